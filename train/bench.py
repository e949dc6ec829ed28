"""The sections of `monitor bench` on what is done offline: frames of many recordings, and training."""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from monitor.bench import Sections
from monitor.bench.machine import window_operations
from monitor.bench.timing import Section, against, race
from monitor.bundle import Bundle
from monitor.config import Config
from monitor.errors import ConfigError, DataError
from monitor.features import Scale
from monitor.precision import native_bfloat16
from monitor.scoring import RecordingScore, row_width
from monitor.snapshot import FloatArray
from monitor.stream import ScoreStream
from train.bench_gpu import gpu
from train.calibrate import scores_of
from train.dataset import LOOKED_FOR, find_recordings
from train.fit import Trainer
from train.frame_file import FrameFile, encoded, footer, write_quickly
from train.frames import FrameCache, Frames, cache_folder, usable
from train.workset import WorkSet

FILES, FILE_S = 200, 10.0
ROUNDS = 3
FRAMES_A_FILE, TRAINED_FILES, GPU_FILES = 640, 25, 2500  # of the training sections


def cache(config: Config) -> Section:
    """The frames of 200 recordings of ten seconds, kept on disk, beside the article's way: librosa, file by file."""
    features = config.features
    total_s = FILES * FILE_S
    with tempfile.TemporaryDirectory() as folder:
        paths = _recordings(Path(folder), features.sample_rate)
        numbers = itertools.count()

        def ours() -> None:
            kept = FrameCache(features, Path(folder) / f"cache-{next(numbers)}")
            usable(kept, paths, training=True, leave_out=_refuse)

        contestants: dict[str, Callable[[], object]] = {"ours": ours}
        if importlib.util.find_spec("librosa"):
            _article(paths[:1], config)  # compiles what it needs
            contestants["article"] = lambda: _article(paths, config)
        timings = race(contestants, rounds=ROUNDS, warm=False)
        again = race({"again": lambda: _again(config, Path(folder) / "cache-0", paths)}, rounds=ROUNDS)
        used = sum(file.stat().st_size for file in (Path(folder) / "cache-0").rglob("*.mel"))
    hour = used / total_s * 3600
    figures: dict[str, object] = {
        "recordings": FILES,
        "times_real_time": total_s / timings.seconds("ours"),
        "again_times_real_time": total_s / again.seconds("again"),
        "bytes_an_hour": hour,
    }
    lines = [
        f"ours        {total_s / timings.seconds('ours'):8,.0f} times real time: {FILES} recordings of {FILE_S:.0f} s",
        f"            {hour / 1e6:8.0f} MB an hour of sound",
        f"once kept   {total_s / again.seconds('again'):8,.0f} times real time",
    ]
    if "article" in contestants:
        figures["article_times_real_time"] = total_s / timings.seconds("article")
        figures["over_article"] = timings.ratio("article", "ours")
        lines.append(
            f"the article {total_s / timings.seconds('article'):8,.0f} times real time; ours "
            f"{against(timings.ratio('article', 'ours'), 5)}"
        )
    return Section(figures, lines)


def _recordings(folder: Path, rate: int) -> list[Path]:
    generator = np.random.default_rng(0)
    paths = [folder / f"{number:03d}.wav" for number in range(FILES)]
    for path in paths:
        soundfile.write(path, 0.1 * generator.standard_normal(round(FILE_S * rate), np.float32), rate, subtype="PCM_16")
    return paths


def _again(config: Config, folder: Path, paths: list[Path]) -> None:
    kept = FrameCache(config.features, folder)
    usable(kept, paths, training=True, leave_out=_refuse)


def _refuse(why: str) -> None:
    raise ConfigError(f"The bench's own recordings cannot be used with these settings: {why}")


def _article(paths: list[Path], config: Config) -> FloatArray:
    """As the article's script prepares its features: every file's frames are added to one growing array."""
    import librosa

    f = config.features
    gathered: FloatArray | None = None
    for path in paths:
        sound, _ = librosa.load(path, sr=f.sample_rate)
        power = librosa.feature.melspectrogram(
            y=sound, sr=f.sample_rate, n_fft=f.n_fft, hop_length=f.hop_length, n_mels=f.n_mels
        ).T.astype(np.float32)
        gathered = power if gathered is None else np.concatenate((gathered, power))
    assert gathered is not None
    return gathered


def training(config: Config) -> Section:
    """An epoch beside its bare steps and beside a DataLoader; bfloat16 beside float32; memory beside disk."""
    recordings = _invented(config, TRAINED_FILES)
    work = WorkSet(recordings, Scale(config.features), config)
    figures: dict[str, object] = {"windows": len(work)}
    lines: list[str] = []
    native = native_bfloat16(torch.device("cpu"))
    for batch in (100, 512):
        for precision in ("float32", "bfloat16") if native and batch >= 512 else ("float32",):
            speed, share = _epoch_beside_steps(config, work, batch, precision)
            figures[f"epoch_{batch}_{precision}"] = {"windows_per_second": speed, "share_of_bare_step": share}
            lines.append(
                f"epoch, batch {batch:4}, {precision:8} {speed:8,.0f} windows/s: {share:6.1%} of the bare step "
                "(aim: 95 %)"
            )
    figures["loader"] = loader = _beside_loader(config, work, recordings)
    lines.append(
        f"DataLoader, batch 100          {loader['windows_per_second']:8,.0f} windows/s; ours "
        f"{loader['over_loader_100']:.2f} times as fast (aim: 1.3), at batch 512 {loader['over_loader_512']:.2f} (1.7)"
    )
    for batch in (512, 2048) if native else ():
        figures[f"bfloat16_{batch}"] = gain = _bfloat16_beside_float32(config, work, batch)
        lines.append(
            f"bfloat16, batch {batch:4}           {gain['windows_per_second']:8,.0f} windows/s: "
            f"{gain['over_float32']:5.2f} times float32, {gain['share_of_peak']:.0%} of the matrix product's peak"
        )
    ratio = _from_disk(config, work, recordings)
    figures["from_disk"] = {"share_of_memory": ratio}
    lines.append(f"windows read from disk in portions: {ratio:6.1%} of the speed from memory")
    return Section(figures, lines)


def on_gpu(config: Config) -> Section:
    """What a GPU makes of streams and of training."""
    if not torch.cuda.is_available():
        return Section({}, ["there is no GPU here that torch can use"])
    device = torch.device("cuda")
    return gpu(config, WorkSet(_invented(config, GPU_FILES), Scale(config.features), config, device), device)


def _invented(config: Config, count: int) -> list[Frames]:
    generator = np.random.default_rng(0)
    shape = (FRAMES_A_FILE, config.features.n_mels)
    return [
        Frames(Path(f"{number}"), generator.exponential(1.0, shape).astype(np.float32), str(number))
        for number in range(count)
    ]


def _trainer(config: Config, batch: int, precision: str) -> Trainer:
    settings = config.train.model_copy(update={"batch_size": batch, "precision": precision})
    # As if there were many windows: the size of a step is what is measured here.
    return Trainer(config.model_copy(update={"train": settings}), 10**9, torch.device("cpu"))


def _resident_batch(work: WorkSet, batch: int) -> Tensor:
    [portion] = work.portions(work.plan())
    return portion.gather(torch.randperm(len(portion))[:batch])


def _epoch_beside_steps(config: Config, work: WorkSet, batch: int, precision: str) -> tuple[float, float]:
    """Windows a second of an epoch, and its share of the speed of as many steps on a batch that is there already."""
    trainer = _trainer(config, batch, precision)
    windows, rest = _resident_batch(work, batch), _resident_batch(work, len(work) % batch)

    def bare() -> None:
        for _ in range(len(work) // batch):
            trainer.step(windows)
        if len(rest) > 1:
            trainer.step(rest)

    timings = race({"epoch": lambda: trainer.epoch(1, work), "bare": bare}, rounds=5)
    return len(work) / timings.seconds("epoch"), timings.ratio("bare", "epoch")


class _ArticlesDataset(Dataset[Tensor]):
    """The article's Dataset, which cuts a window from the frames for every item; its conversion of the whole array
    to a tensor for each of them is mended, or it would take minutes."""

    def __init__(self, frames: Tensor, size: int) -> None:
        self._frames, self._size = frames, size

    def __len__(self) -> int:
        return len(self._frames) - self._size + 1

    def __getitem__(self, number: int) -> Tensor:
        return self._frames[number : number + self._size].flatten()


def _beside_loader(config: Config, work: WorkSet, recordings: list[Frames]) -> dict[str, float]:
    """How many times as fast epochs are as one with a DataLoader, batch 100; and the loader's windows a second."""
    trainer, larger = _trainer(config, 100, "float32"), _trainer(config, 512, "auto")
    scale = Scale(config.features)
    frames = scale(torch.from_numpy(np.concatenate([np.array(recording.power) for recording in recordings])))
    data = _ArticlesDataset(frames, config.features.window_frames)
    loader = DataLoader(data, batch_size=100, shuffle=True)

    def loaded() -> None:
        for windows in loader:
            trainer.step(windows)

    ours = {"100": lambda: trainer.epoch(1, work), "512": lambda: larger.epoch(1, work)}
    timings = race({"loader": loaded, **ours}, rounds=ROUNDS)
    ratios = {f"over_loader_{batch}": timings.ratio("loader", batch) for batch in ours}
    return {"windows_per_second": len(data) / timings.seconds("loader"), **ratios}


def _bfloat16_beside_float32(config: Config, work: WorkSet, batch: int) -> dict[str, float]:
    trainers = {precision: _trainer(config, batch, precision) for precision in ("float32", "bfloat16")}
    windows = _resident_batch(work, batch)
    steps = max(2, 6000 // batch)

    def steps_of(trainer: Trainer) -> Callable[[], None]:
        def run() -> None:
            for _ in range(steps):
                trainer.step(windows)

        return run

    left = torch.randn(2048, 2048).bfloat16()
    contestants: dict[str, Callable[[], object]] = {name: steps_of(trainer) for name, trainer in trainers.items()}
    timings = race(contestants | {"product": lambda: left @ left}, rounds=5)
    speed = steps * batch / timings.seconds("bfloat16")
    peak = 2 * 2048**3 / timings.seconds("product")
    return {
        "windows_per_second": speed,
        "over_float32": timings.ratio("float32", "bfloat16"),
        # Forward is one product, backward two: by the weights, and by what came in.
        "share_of_peak": 3 * window_operations(config) * speed / peak,
    }


def _from_disk(config: Config, work: WorkSet, recordings: list[Frames]) -> float:
    """The speed of an epoch that reads kept frames in portions, as a share of one from memory.

    The files are fresh, so the system has them in memory still: what is measured is everything but the disk.
    """
    trainer = _trainer(config, 512, "auto")
    n_mels = config.features.n_mels
    little = config.train.model_copy(update={"memory_gb": 1e-6})
    with tempfile.TemporaryDirectory() as folder:
        kept: list[Frames] = []
        for recording in recordings:
            file = Path(folder) / f"{recording.path}.mel"
            codes = encoded(torch.from_numpy(np.array(recording.power)))
            write_quickly(file, (codes.tobytes(), footer(len(codes), n_mels, 1.0, 0.0)), "bench")
            kept.append(replace(recording, power=FrameFile(file, 0, (len(codes), n_mels))))
        on_disk = WorkSet(kept, Scale(config.features), config.model_copy(update={"train": little}))
        timings = race({"memory": lambda: trainer.epoch(1, work), "disk": lambda: trainer.epoch(1, on_disk)}, rounds=5)
    return timings.ratio("memory", "disk")


def precision(bundle: Bundle, data: Path, config: Config) -> Section:
    """What bfloat16 changes of the scores of test recordings, and of how well they tell normal and anomalous apart.

    Raises:
        DataError: if there is none that can be used.
    """
    found = find_recordings(data)
    cache = FrameCache(bundle.config.features, cache_folder(config))
    paths = [*found.test_normal, *found.test_anomaly]
    recordings = [cache.frames(path) for path in paths]
    if not recordings:
        raise DataError(f"{data}: no test recording there. Looked for {LOOKED_FOR}.")
    anomaly = np.array([path in set(found.test_anomaly) for path in paths])
    rolling, whole = zip(*(_scores(bundle, recordings, name) for name in ("float32", "bfloat16")), strict=True)
    change = np.abs(rolling[1] / rolling[0] - 1)
    change = change[np.isfinite(change)]
    figures: dict[str, object] = {"recordings": len(recordings), "scores": len(change)}
    lines = [f"{len(recordings)} recordings"]
    if len(change):
        figures["score_change_p99"] = worst = float(np.quantile(change, 0.99))
        lines.append(f"scores change by {worst:.2%} at most, 99 % of {len(change):,} (aim: 1 %)")
    if anomaly.any() and not anomaly.all():
        figures["auc"] = auc = [float(roc_auc_score(anomaly, scores)) for scores in whole]
        lines.append(f"AUC {auc[0]:.4f} in float32, {auc[1]:.4f} in bfloat16 (aim: within 0.001)")
    return Section(figures, lines)


def _scores(bundle: Bundle, recordings: list[Frames], name: str) -> tuple[FloatArray, FloatArray]:
    """All rolling scores of recordings, and the score of each of them."""
    stream, features = ScoreStream(bundle, precision=name), bundle.config.features
    rolling, whole = [], []
    for recording in recordings:
        total = RecordingScore(bundle.config.score, bundle.scorer(), row_width(bundle.config.score, features))
        for scores in scores_of(stream, recording):
            total.push(scores.rows[0], scores.score[0])
            rolling.append(scores.score[0].numpy())
        whole.append(total.value())
    return np.concatenate(rolling), np.array(whole)


SECTIONS: Sections = {"cache": cache, "training": training, "gpu": on_gpu}
