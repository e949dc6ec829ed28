"""Mel frames of recordings, made once and kept on disk by content and feature settings."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from monitor.audio import read_blocks
from monitor.config import Config, Features
from monitor.errors import DataError
from monitor.features import FrameStream
from monitor.files import require_writable, write_whole
from monitor.snapshot import FloatArray

FORMAT = 2  # of what is kept: raise it when frames come out differently
CLIPPED_SHARE = 1e-3  # of the samples at full scale: more than a loud moment or a normalised peak has
SILENT_PEAK = 1e-5  # half a step of 16 bits


@dataclass(frozen=True, slots=True)
class Frames:
    """The power mel frames of one recording: (T, n_mels) float32, perhaps memory-mapped, and what was noticed."""

    path: Path
    power: FloatArray
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
    made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        names = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "channel")
        settings = {name: getattr(self.features, name) for name in names} | {"format": FORMAT}
        self._settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self._stream = FrameStream(self.features)

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

    def _sound(self, path: Path) -> Frames:
        digest = self._digest(path)
        entry = self.folder / digest[:2] / f"{digest[:32]}-{self._settings}"
        facts_file, frames_file = entry.with_suffix(".json"), entry.with_suffix(".f32")
        try:
            facts = json.loads(facts_file.read_text())
            return Frames(
                path, self._mapped(frames_file, facts["frames"]), digest, facts["peak"], facts["clipped_share"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            return self._make(path, digest, facts_file, frames_file)

    def _make(self, path: Path, digest: str, facts_file: Path, frames_file: Path) -> Frames:
        observed = _Observed()
        write_whole(frames_file, self._transformed(path, observed))
        count = frames_file.stat().st_size // (4 * self.features.n_mels)
        clipped_share = observed.clipped / max(1, observed.total)
        facts = {"frames": count, "peak": observed.peak, "clipped_share": clipped_share}
        write_whole(facts_file, json.dumps(facts).encode())  # last: its presence says that the frames are whole
        self.made += 1
        return Frames(path, self._mapped(frames_file, count), digest, observed.peak, clipped_share)

    def _transformed(self, path: Path, observed: _Observed) -> Iterator[bytes]:
        """The frames of a recording of any length, in pieces."""
        self._stream.reset()
        for block in read_blocks(path, self.features.sample_rate, self.features.channel, observe=observed):
            yield self._stream.push(torch.from_numpy(block)[None])[0].numpy().tobytes()
        yield self._stream.flush()[0].numpy().tobytes()

    def _mapped(self, frames_file: Path, count: int) -> FloatArray:
        shape = (count, self.features.n_mels)
        return np.memmap(frames_file, np.float32, "r", shape=shape) if count else np.empty(shape, np.float32)

    def _digest(self, path: Path) -> str:
        """The content's digest, remembered by path, size and time of change, so that large sets start at once."""
        try:
            stat = path.stat()
            key = hashlib.sha256(os.fsencode(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}")).hexdigest()
            note = self.folder / "seen" / key[:2] / key[2:32]
            if note.is_file():
                return note.read_text()
            digest = _content_digest(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
        write_whole(note, digest.encode())
        return digest


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
    paths: Iterable[Path],
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
    for path in paths:
        try:
            frames = cache.frames(path)
        except DataError as error:
            leave_out(str(error))
        else:
            if training and frames.peak < SILENT_PEAK:
                leave_out(f"{path}: silent.")
            elif training and frames.clipped_share > CLIPPED_SHARE:
                leave_out(f"{path}: clipped ({frames.clipped_share:.1%} of its samples are at full scale).")
            else:
                kept.append(frames)
        advance()
    return kept


def manifest_digest(recordings: Iterable[Frames]) -> str:
    """One digest for a whole set of recordings, by their contents, whatever they are called."""
    return hashlib.sha256("\n".join(sorted(frames.digest for frames in recordings)).encode()).hexdigest()


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
