"""Measures how fast frames of many recordings are computed and cached, compared with the article's librosa script."""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from monitor.bench.targets import Target
from monitor.bench.timing import Section, time_all
from monitor.config.schema import Config
from monitor.core.errors import ConfigError
from monitor.core.types import FloatArray
from train.data.feature_cache import FeatureCache, usable_frames

FILES, FILE_S = 200, 10.0
LARGE_H = 540  # hours of the ToyADMOS data set, for which the time is extrapolated
LARGE_FILES, LARGE_RATE = 60, 48_000  # number and sample rate of the recordings that it is measured with
ROUNDS = 3
AIM = 5.0  # times as fast as the article's script


def measure(config: Config) -> Section:
    """Measures the cache with 200 recordings of ten seconds, and the article's librosa script if librosa is there."""
    features = config.features
    total_s = FILES * FILE_S
    with tempfile.TemporaryDirectory() as folder:
        paths = _recordings(Path(folder) / "small", FILES, features.sample_rate)
        large = _recordings(Path(folder) / "large", LARGE_FILES, LARGE_RATE)
        numbers = itertools.count()

        def ours(recordings: list[Path]) -> None:
            cache = FeatureCache(features, Path(folder) / f"cache-{next(numbers)}")
            usable_frames(cache, recordings, training=True, leave_out=_refuse)

        candidates: dict[str, Callable[[], object]] = {"ours": partial(ours, paths)}
        if importlib.util.find_spec("librosa"):
            _article(paths[:1], config)  # librosa compiles functions on the first call
            candidates["article"] = lambda: _article(paths, config)
        timings = time_all(candidates, rounds=ROUNDS, warm=False)
        large_s = time_all({"large": partial(ours, large)}, rounds=ROUNDS).seconds("large")
        again = time_all({"again": lambda: _again(config, Path(folder) / "cache-0", paths)}, rounds=ROUNDS)
        used = sum(file.stat().st_size for file in (Path(folder) / "cache-0").rglob("*.mel"))
    hour, large_rate = used / total_s * 3600, LARGE_FILES * FILE_S / large_s
    figures: dict[str, object] = {
        "recordings": FILES,
        "times_real_time": total_s / timings.seconds("ours"),
        "again_times_real_time": total_s / again.seconds("again"),
        "bytes_an_hour": hour,
        "large_times_real_time": large_rate,
    }
    lines = [
        f"ours        {total_s / timings.seconds('ours'):8,.0f} times real time: {FILES} recordings of {FILE_S:.0f} s",
        f"            {hour / 1e6:8.0f} MB an hour of sound",
        f"from 48 kHz {large_rate:8,.0f} times real time: {LARGE_H} hours in {LARGE_H / large_rate:.1f} hours, to "
        f"{LARGE_H * hour / 1e9:.0f} GB",
        f"once kept   {total_s / again.seconds('again'):8,.0f} times real time",
    ]
    targets = []
    if "article" in candidates:
        figures["article_times_real_time"] = total_s / timings.seconds("article")
        figures["over_article"] = ratio = timings.ratio("article", "ours")
        lines.append(f"the article {total_s / timings.seconds('article'):8,.0f} times real time")
        targets.append(Target(f"the cache of {FILES} recordings", ratio, AIM, "times the article's script"))
    return Section(figures, lines, targets)


def _recordings(folder: Path, count: int, rate: int) -> list[Path]:
    """Writes recordings of white noise."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = [folder / f"{number:03d}.wav" for number in range(count)]
    for path in paths:
        soundfile.write(path, 0.1 * generator.standard_normal(round(FILE_S * rate), np.float32), rate, subtype="PCM_16")
    return paths


def _again(config: Config, folder: Path, paths: list[Path]) -> None:
    """Reads frames that are cached already."""
    cache = FeatureCache(config.features, folder)
    usable_frames(cache, paths, training=True, leave_out=_refuse)


def _refuse(_path: Path, why: str) -> None:
    raise ConfigError(f"The bench's own recordings cannot be used with these settings: {why}")


def _article(paths: list[Path], config: Config) -> FloatArray:
    """Computes frames as the article's script does: the frames of each file are appended to a growing array."""
    import librosa

    f = config.features
    frames: FloatArray | None = None
    for path in paths:
        sound, _ = librosa.load(path, sr=f.sample_rate)
        power = librosa.feature.melspectrogram(
            y=sound, sr=f.sample_rate, n_fft=f.n_fft, hop_length=f.hop_length, n_mels=f.n_mels
        ).T.astype(np.float32)
        frames = power if frames is None else np.concatenate((frames, power))
    assert frames is not None
    return frames
