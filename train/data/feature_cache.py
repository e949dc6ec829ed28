"""Mel frames of recordings, made once and kept on disk by content and feature settings."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch.utils.data import DataLoader, Dataset

from monitor.audio.reader import read_blocks
from monitor.config.schema import Config, Features
from monitor.core.errors import DataError, MonitorError
from monitor.features.mel import FrameStream
from monitor.core.atomic_io import require_writable
from monitor.core.snapshot import FloatArray
from train.data.feature_store import FrameFile, encoded, footer, opened, write_quickly

FORMAT = 3  # of what is kept: raise it when frames come out differently
CLIPPED_SHARE = 1e-3  # of the samples at full scale: more than a loud moment or a normalised peak has
SILENT_PEAK = 1e-5  # half a step of 16 bits


@dataclass(frozen=True, slots=True)
class Frames:
    """The power mel frames of one recording: (T, n_mels) float32, perhaps still in a file, and what was noticed."""

    path: Path
    power: FloatArray | FrameFile
    digest: str  # of the recording's content
    peak: float = 1.0
    clipped_share: float = 0.0


@dataclass(slots=True)
class _Observed:
    low: float = 0.0
    high: float = 0.0
    clipped: int = 0
    total: int = 0

    def __call__(self, block: FloatArray) -> None:
        low, high = float(block.min()), float(block.max())
        self.low, self.high = (min(self.low, low), max(self.high, high)) if self.total else (low, high)
        self.clipped += int((np.abs(block) >= 0.9999).sum())
        self.total += block.size

    @property
    def peak(self) -> float:
        """Half of what it swings by: a constant is as silent as nothing."""
        return (self.high - self.low) / 2


@dataclass
class FrameCache:
    """Gives the frames of recordings, from disk where they have been made before."""

    features: Features
    folder: Path
    made: int = field(default=0, init=False)  # by this process

    def __post_init__(self) -> None:
        self._stream = FrameStream(self.features)
        names = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "channel")
        settings = {name: getattr(self.features, name) for name in names} | {"format": FORMAT}
        self._settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def frames(self, path: Path) -> Frames:
        """The frames of one recording (sound, or an array of power mel frames).

        Raises:
            DataError: if it cannot be read, or is shorter than a window.
        """
        frames = self._array(path) if path.suffix == ".npy" else self._sound(path)
        if len(frames.power) < self.features.window_frames:
            raise DataError(
                f"{path}: too short: {len(frames.power)} frames of {self.features.hop_s * 1000:.0f} ms, "
                f"a window has {self.features.window_frames}."
            )
        return frames

    def _array(self, path: Path) -> Frames:
        try:
            # The header is a Python literal: damaged, it fails in ways of its own.
            power = open_memmap(path, mode="r")
            digest = _content_digest(path)
        except Exception as error:  # noqa: BLE001
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{path}: is not an array that can be read: {reason}.") from None
        n_mels = self.features.n_mels
        if power.dtype.kind not in "fiu":
            raise DataError(f"{path}: power mel frames are real numbers, this array holds {power.dtype}.")
        if power.ndim != 2 or power.shape[1] != n_mels:
            raise DataError(
                f"{path}: an array of power mel frames has the shape (frames, {n_mels}), this one has {power.shape}."
            )
        with np.errstate(over="ignore"):
            frames = np.ascontiguousarray(power, np.float32)
        if not np.isfinite(frames).all() or (frames < 0).any():
            raise DataError(f"{path}: power mel frames are finite and not negative; these are not (are they in dB?).")
        return Frames(path, frames, digest, float(np.sqrt(frames.max(initial=0.0))))

    def has(self, path: Path) -> bool:
        """Whether there is nothing to make for this recording, as far as can be told without reading it."""
        if path.suffix == ".npy":
            return True
        try:
            digest = _noted(self._note(path))
        except OSError:
            return False
        return digest is not None and self._file(digest).is_file()

    def _file(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest[:32]}-{self._settings}.mel"

    def _sound(self, path: Path) -> Frames:
        digest = self._digest(path)
        file = self._file(digest)
        kept = opened(file, self.features.n_mels)
        if kept is None:
            self._write(file, self._transformed(path))
            kept = opened(file, self.features.n_mels)
            if kept is None:
                raise MonitorError(f"{file}: what was written cannot be read again; is the disk sound?")
            self.made += 1
        return Frames(path, kept.power, digest, kept.peak, kept.clipped_share)

    def _transformed(self, path: Path) -> Iterator[bytes]:
        """The frames of a recording of any length as they are kept, in pieces."""
        observed, count = _Observed(), 0
        stream = self._stream
        stream.reset()
        for block in read_blocks(path, self.features.sample_rate, self.features.channel, observe=observed):
            frames = stream.push(torch.from_numpy(block)[None])[0]
            count += len(frames)
            yield encoded(frames).tobytes()
        frames = stream.flush()[0]
        yield encoded(frames).tobytes()
        share = observed.clipped / max(1, observed.total)
        yield footer(count + len(frames), self.features.n_mels, observed.peak, share)

    def _write(self, file: Path, pieces: Iterable[bytes]) -> None:
        try:
            write_quickly(file, pieces, f"{os.getpid()}")
        except OSError as error:
            raise MonitorError(f"{file}: cannot be written: {error.strerror}.") from None

    def _digest(self, path: Path) -> str:
        """The content's digest, remembered by path, size and time of change, so that large sets start at once."""
        try:
            note = self._note(path)
            if (noted := _noted(note)) is not None:
                return noted
            digest = _content_digest(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
        self._write(note, (digest.encode(),))
        return digest

    def _note(self, path: Path) -> Path:
        stat = path.stat()
        key = hashlib.sha256(os.fsencode(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}")).hexdigest()
        return self.folder / "seen" / key[:2] / key[2:32]


def cache_folder(config: Config) -> Path:
    """Where frames are kept: `train.cache_dir`, else the user's cache folder.

    Raises:
        ConfigError: if nothing can be written there.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "acoustic-monitor" / "frames"
    folder = config.train.cache_dir.expanduser() if config.train.cache_dir is not None else base
    require_writable(folder, "mel frames are kept here; choose another folder with --set train.cache_dir=FOLDER.")
    return folder


def usable(
    cache: FrameCache,
    paths: Sequence[Path],
    *,
    training: bool,
    leave_out: Callable[[str], None],
    advance: Callable[[], None] = lambda: None,
) -> list[Frames]:
    """The frames of all recordings that can be used; of each other one `leave_out` is told why.

    For training, silent and clipped recordings are left out too: they are not how the machine sounds. Tests are
    judged whatever they are like, because a fault may well be loud.
    """
    kept: list[Frames] = []
    for path, frames in zip(paths, _all_frames(cache, paths), strict=True):
        if isinstance(frames, DataError):
            leave_out(str(frames))
        elif training and frames.peak < SILENT_PEAK:
            leave_out(f"{path}: silent.")
        elif training and frames.clipped_share > CLIPPED_SHARE:
            leave_out(f"{path}: clipped ({frames.clipped_share:.1%} of its samples are at full scale).")
        else:
            kept.append(frames)
        advance()
    return kept


@dataclass(frozen=True, slots=True)
class _Recordings(Dataset["Frames | MonitorError"]):
    """Recordings to make frames of, by their numbers. Why there are none is an item too: it has to cross processes."""

    cache: FrameCache
    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Frames | MonitorError:
        try:
            return self.cache.frames(self.paths[number])
        except MonitorError as error:
            return error


def _all_frames(cache: FrameCache, paths: Sequence[Path]) -> Iterator[Frames | DataError]:
    """The frames of the recordings in turn, or why there are none; each processor makes those of some of them."""
    missing = [path for path in paths if not cache.has(path)]
    made, kept = iter(_made(_Recordings(cache, missing))), _Recordings(cache, paths)
    absent = set(missing)
    for number, path in enumerate(paths):
        found = next(made) if path in absent else kept[number]
        if isinstance(found, MonitorError) and not isinstance(found, DataError):
            raise found
        yield found


def _made(recordings: _Recordings) -> Iterable[Frames | MonitorError]:
    """The recordings' items, by several processes where that is worth while.

    Threads would not do: reading, resampling and transforming are steps too short for Python's lock to change hands.
    """
    # torchrun gives each of its processes a share of the processors, and all but one of them wait for this.
    allowed = torch.get_num_threads() * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    workers = min(allowed, os.cpu_count() or 1, len(recordings) // 2)
    if workers < 2:
        yield from map(recordings.__getitem__, range(len(recordings)))
        return
    loader = DataLoader(
        recordings,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_leave_signals_to_the_parent,
        multiprocessing_context="fork" if sys.platform == "linux" else None,  # which begins at once
        generator=torch.Generator(),  # it draws a seed: not from the one that the training counts on
    )
    try:
        yield from loader
    except RuntimeError as error:
        if not re.search("killed by signal|exited unexpectedly", str(error)):
            raise
        raise MonitorError(
            "A process that read recordings has been ended, perhaps for want of memory; begin again, what is kept "
            f"already is not made anew ({str(error).splitlines()[0].rstrip('. ')})."
        ) from None


def _leave_signals_to_the_parent(_worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def manifest_digest(recordings: Iterable[Frames]) -> str:
    """One digest for a whole set of recordings, by their contents, whatever they are called."""
    return hashlib.sha256("\n".join(sorted(frames.digest for frames in recordings)).encode()).hexdigest()


def _noted(note: Path) -> str | None:
    """The digest that a note holds; None if there is no note, or it is damaged."""
    try:
        text = note.read_text()
    except (OSError, ValueError):
        return None
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
