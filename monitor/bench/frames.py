"""How fast samples become mel frames, beside torchaudio and librosa."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch
import torchaudio.transforms

from monitor.bench.timing import Section, against, race
from monitor.config.schema import Config
from monitor.features.mel import FrameStream
from monitor.core.thread_pool import Processors

SECONDS = 600  # of a long recording
BLOCK_S = 60  # of it at a time


def measure(config: Config) -> Section:
    """Times real time of our frames, of torchaudio's and, where it is installed, of librosa's."""
    features = config.features
    sound = 0.1 * torch.randn(1, SECONDS * features.sample_rate, generator=torch.Generator().manual_seed(0))
    blocks = torch.split(sound, BLOCK_S * features.sample_rate, dim=1)
    threads = torch.get_num_threads()
    processors = Processors(threads) if threads > 1 else None
    stream = FrameStream(features, processors=processors)

    def on_one_thread(run: Callable[[], object]) -> None:
        torch.set_num_threads(1)
        run()
        torch.set_num_threads(threads)

    torchaudios = torchaudio.transforms.MelSpectrogram(
        features.sample_rate, features.n_fft, hop_length=features.hop_length, n_mels=features.n_mels,
        f_min=features.fmin, f_max=features.f_top, norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: on_one_thread(lambda: [*map(stream.push, blocks), stream.flush()]),
        "torchaudio": lambda: torchaudios(sound),
    }
    if threads > 1:
        contestants["torchaudio, one thread"] = lambda: on_one_thread(lambda: torchaudios(sound))
    if importlib.util.find_spec("librosa"):
        import librosa

        contestants["librosa"] = lambda: librosa.feature.melspectrogram(
            y=sound[0].numpy(), sr=features.sample_rate, n_fft=features.n_fft, hop_length=features.hop_length,
            n_mels=features.n_mels, fmin=features.fmin, fmax=features.f_top,
        )  # fmt: skip
    timings = race(contestants)
    if processors is not None:
        processors.close()
    figures: dict[str, object] = {name: {"times_real_time": SECONDS / timings.seconds(name)} for name in contestants}
    lines = [f"ours                    {SECONDS / timings.seconds('ours'):8,.0f} times real time"]
    for name, aim in (("torchaudio", 5.0), ("torchaudio, one thread", 5.0), ("librosa", 3.0)):
        if name in contestants:
            figures[f"over_{name}"] = timings.ratio(name, "ours")
            lines.append(
                f"{name:23} {SECONDS / timings.seconds(name):8,.0f} times real time; ours "
                f"{against(timings.ratio(name, 'ours'), aim)}"
            )
    return Section(figures, lines)
