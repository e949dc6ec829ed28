"""Section "frames": the speed of mel frames, compared with torchaudio and librosa."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
import torchaudio.transforms

from monitor.bench.timing import Section, ratio_text, time_all
from monitor.config.schema import Config
from monitor.core.thread_pool import ThreadPool, single_threaded_blas
from monitor.features.mel import MelTransform
from monitor.model.cuda_transfer import TorchBackend

SECONDS = 600  # length of the recording
BLOCK_S = 60  # it is processed in blocks of this length


def measure(config: Config) -> Section:
    """Measures the speed of our frames, of torchaudio's, and of librosa's if it is installed, as times real time."""
    features = config.features
    sound = 0.1 * torch.randn(1, SECONDS * features.sample_rate, generator=torch.Generator().manual_seed(0))
    blocks = torch.split(sound, BLOCK_S * features.sample_rate, dim=1)
    threads = torch.get_num_threads()
    pool = ThreadPool(threads) if threads > 1 else None
    listening, training = MelTransform(features), MelTransform(features, TorchBackend("cpu"))

    def on_one_thread(run: Callable[[], object]) -> None:
        torch.set_num_threads(1)
        with single_threaded_blas():
            run()
        torch.set_num_threads(threads)

    torchaudios = torchaudio.transforms.MelSpectrogram(
        features.sample_rate, features.n_fft, hop_length=features.hop_length, n_mels=features.n_mels,
        f_min=features.fmin, f_max=features.f_top, norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    candidates: dict[str, Callable[[], object]] = {
        "ours": lambda: on_one_thread(lambda: [training(block, pool) for block in blocks]),
        "ours, numpy": lambda: on_one_thread(lambda: [listening(block.numpy(), pool) for block in blocks]),
        "torchaudio": lambda: torchaudios(sound),
    }
    if threads > 1:
        candidates["torchaudio, one thread"] = lambda: on_one_thread(lambda: torchaudios(sound))
    if importlib.util.find_spec("librosa"):
        import librosa

        candidates["librosa"] = lambda: librosa.feature.melspectrogram(
            y=sound[0].numpy(), sr=features.sample_rate, n_fft=features.n_fft, hop_length=features.hop_length,
            n_mels=features.n_mels, fmin=features.fmin, fmax=features.f_top,
        )  # fmt: skip
    timings = time_all(candidates)
    if pool is not None:
        pool.close()
    figures: dict[str, object] = {name: {"times_real_time": SECONDS / timings.seconds(name)} for name in candidates}
    lines = [
        f"ours, as in training    {SECONDS / timings.seconds('ours'):8,.0f} times real time",
        f"ours, as in listening   {SECONDS / timings.seconds('ours, numpy'):8,.0f} times real time",
    ]
    for name, aim in (("torchaudio", 5.0), ("torchaudio, one thread", 5.0), ("librosa", 3.0)):
        if name in candidates:
            figures[f"over_{name}"] = timings.ratio(name, "ours")
            lines.append(
                f"{name:23} {SECONDS / timings.seconds(name):8,.0f} times real time; ours "
                f"{ratio_text(timings.ratio(name, 'ours'), aim)}"
            )
    return Section(figures, lines)
