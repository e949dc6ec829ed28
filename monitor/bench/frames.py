"""Section "frames": the speed of mel frames, compared with torchaudio and librosa."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torchaudio.transforms
from torch import Tensor

from monitor.bench.targets import Target
from monitor.bench.timing import Section, Timings, time_all
from monitor.config.schema import Config, Features
from monitor.core.thread_pool import ThreadPool, available_processors, single_threaded_blas
from monitor.features.mel import MelTransform

SECONDS = 600  # of sound: one recording, or many short ones
SHORT_S = 10  # length of these, that of most public recordings of machines
AIM = 5.0  # times as fast as the others
ONE_THREAD = "one thread"

Frames = Callable[[Tensor], object]  # from the samples (1, n) of a recording


def measure(config: Config) -> Section:
    """Measures the speed of our frames, of torchaudio's, and of librosa's if it is installed, as times real time.

    All get the same recordings, and may use the same number of threads: all processors, or one.
    """
    features = config.features
    sound = 0.1 * torch.randn(1, SECONDS * features.sample_rate, generator=torch.Generator().manual_seed(0))
    figures: dict[str, object] = {}
    lines: list[str] = []
    targets: list[Target] = []
    for kind, recordings in (
        ("one recording", [sound]),
        (f"recordings of {SHORT_S} s", list(torch.split(sound, SHORT_S * features.sample_rate, dim=1))),
    ):
        timings, rivals = _timed(features, recordings)
        speeds = {name: SECONDS / timings.seconds(name) for name in timings.rounds}
        ratios = {rival: timings.ratio(rival, mine) for rival, mine in rivals.items()}
        figures[kind] = {"times_real_time": speeds, "over": ratios}
        lines += [f"{kind:18} {name:22} {speed:8,.0f} times real time" for name, speed in speeds.items()]
        targets += [Target(f"mel frames, {kind}", ratio, AIM, f"times {rival}") for rival, ratio in ratios.items()]
    return Section(figures, lines, targets)


def _timed(features: Features, recordings: Sequence[Tensor]) -> tuple[Timings, Mapping[str, str]]:
    """Times ours and its rivals; returns the times, and the name of ours beside which each rival stands."""
    threads = available_processors()
    transform, pool = MelTransform(features), ThreadPool(threads) if threads > 1 else None

    def ours(pool: ThreadPool | None, samples: Tensor) -> None:
        transform(samples.numpy(), pool)

    def of_all(frames: Frames) -> None:
        for samples in recordings:
            frames(samples)

    def ours_of_all(pool: ThreadPool | None) -> None:
        with single_threaded_blas():
            of_all(partial(ours, pool))

    def on_one_thread(run: Callable[[], object]) -> None:
        torch.set_num_threads(1)
        with single_threaded_blas():
            run()
        torch.set_num_threads(threads)

    rivals = {name: partial(of_all, frames) for name, frames in _rivals(features).items()}
    candidates: dict[str, Callable[[], object]] = {"ours": partial(ours_of_all, pool), **rivals}
    beside = dict.fromkeys(rivals, "ours")
    if threads > 1:
        mine, torchaudio_alone = f"ours, {ONE_THREAD}", f"torchaudio, {ONE_THREAD}"
        candidates[mine] = partial(on_one_thread, partial(ours_of_all, None))
        candidates[torchaudio_alone] = partial(on_one_thread, rivals["torchaudio"])
        beside[torchaudio_alone] = mine
    try:
        return time_all(candidates), beside
    finally:
        if pool is not None:
            pool.close()


def _rivals(features: Features) -> dict[str, Frames]:
    """torchaudio, and librosa if it is installed, with our settings."""
    torchaudios = torchaudio.transforms.MelSpectrogram(
        features.sample_rate, features.n_fft, hop_length=features.hop_length, n_mels=features.n_mels,
        f_min=features.fmin, f_max=features.f_top, norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    rivals: dict[str, Frames] = {"torchaudio": torchaudios}
    if importlib.util.find_spec("librosa"):
        import librosa

        rivals["librosa"] = lambda samples: librosa.feature.melspectrogram(
            y=samples[0].numpy(), sr=features.sample_rate, n_fft=features.n_fft, hop_length=features.hop_length,
            n_mels=features.n_mels, fmin=features.fmin, fmax=features.f_top,
        )  # fmt: skip
    return rivals
