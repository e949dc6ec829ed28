"""Section "frames": the speed of mel frames, compared with torchaudio and librosa."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
import torchaudio.transforms

from monitor.bench.targets import Target
from monitor.bench.timing import Section, time_all
from monitor.config.schema import Config
from monitor.core.thread_pool import ThreadPool, available_processors, single_threaded_blas
from monitor.features.mel import MelTransform

SECONDS = 600  # length of the recording
BLOCK_S = 60  # it is processed in blocks of this length
AIM = 5.0  # times as fast as the others
ONE_THREAD = "one thread"


def measure(config: Config) -> Section:
    """Measures the speed of our frames, of torchaudio's, and of librosa's if it is installed, as times real time.

    All may use the same number of threads: all processors, or one.
    """
    features = config.features
    sound = 0.1 * torch.randn(1, SECONDS * features.sample_rate, generator=torch.Generator().manual_seed(0))
    samples, length = sound.numpy(), BLOCK_S * features.sample_rate
    blocks = [samples[:, start : start + length] for start in range(0, samples.shape[1], length)]
    threads = available_processors()
    transform, pool = MelTransform(features), ThreadPool(threads) if threads > 1 else None

    def ours(pool: ThreadPool | None) -> None:
        with single_threaded_blas():
            for block in blocks:
                transform(block, pool)

    def on_one_thread(run: Callable[[], object]) -> None:
        torch.set_num_threads(1)
        with single_threaded_blas():
            run()
        torch.set_num_threads(threads)

    torchaudios = torchaudio.transforms.MelSpectrogram(
        features.sample_rate, features.n_fft, hop_length=features.hop_length, n_mels=features.n_mels,
        f_min=features.fmin, f_max=features.f_top, norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    rivals: dict[str, Callable[[], object]] = {"torchaudio": lambda: torchaudios(sound)}
    if importlib.util.find_spec("librosa"):
        import librosa

        rivals["librosa"] = lambda: librosa.feature.melspectrogram(
            y=samples[0], sr=features.sample_rate, n_fft=features.n_fft, hop_length=features.hop_length,
            n_mels=features.n_mels, fmin=features.fmin, fmax=features.f_top,
        )  # fmt: skip
    candidates: dict[str, Callable[[], object]] = {"ours": lambda: ours(pool), **rivals}
    compared = [("ours", rival) for rival in rivals]
    if threads > 1:
        mine, torchaudio_alone = f"ours, {ONE_THREAD}", f"torchaudio, {ONE_THREAD}"
        candidates[mine] = lambda: on_one_thread(lambda: ours(None))
        candidates[torchaudio_alone] = lambda: on_one_thread(rivals["torchaudio"])
        compared.append((mine, torchaudio_alone))
    timings = time_all(candidates)
    if pool is not None:
        pool.close()
    figures: dict[str, object] = {name: {"times_real_time": SECONDS / timings.seconds(name)} for name in candidates}
    figures |= {f"over_{rival}": timings.ratio(rival, mine) for mine, rival in compared}
    lines = [f"{name:22} {SECONDS / timings.seconds(name):8,.0f} times real time" for name in candidates]
    targets = [Target("mel frames", timings.ratio(rival, mine), AIM, f"times {rival}") for mine, rival in compared]
    return Section(figures, lines, targets)
