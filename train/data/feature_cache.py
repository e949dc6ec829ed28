"""A cache of mel frames on disk: those of each recording are computed once, and found by content and settings."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from monitor.audio.quality import CLIPPED_SHARE, SILENT_PEAK, Amplitudes
from monitor.audio.reader import read_blocks
from monitor.config.schema import Config, Features
from monitor.core.atomic_io import require_writable, write_atomically
from monitor.core.errors import DataError, MonitorError
from monitor.core.types import FloatArray
from monitor.model.cuda_transfer import TorchBackend
from monitor.streaming.hops import FrameStream
from train.data.feature_store import StoredFrames, encoded, footer, open_stored
from train.data.parallel_reading import results_of

FORMAT = 3  # version of the cached frames: increase it when a change of the code changes their values


@dataclass(frozen=True, slots=True)
class Frames:
    """The power mel frames of one recording, and the peak and clipping of its samples."""

    path: Path
    power: FloatArray | StoredFrames  # (T, n_mels) float32, in memory or in a file
    digest: str  # SHA-256 of the recording's content
    peak: float = 1.0  # largest absolute sample
    clipped_share: float = 0.0  # share of clipped samples


@dataclass
class FeatureCache:
    """Returns the frames of recordings: from disk if they are cached, else computed and then cached.

    Args:
        features: settings of the frames.
        folder: folder of the cache.
    """

    features: Features
    folder: Path
    computed: int = field(default=0, init=False)  # number of recordings whose frames this process computed

    def __post_init__(self) -> None:
        # torch's FFT takes half the time of numpy's, and training imports torch anyway.
        self._stream = FrameStream(self.features, TorchBackend("cpu"))
        names = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "channel")
        settings = {name: getattr(self.features, name) for name in names} | {"format": FORMAT}
        self._settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def frames(self, path: Path) -> Frames:
        """The frames of one recording: an audio file, or an array of power mel frames (.npy).

        Raises:
            DataError: if the file cannot be read, or is shorter than a window.
        """
        frames = self._from_array(path) if path.suffix == ".npy" else self._from_audio(path)
        if len(frames.power) < self.features.window_frames:
            raise DataError(
                f"{path}: too short: {len(frames.power)} frames of {self.features.hop_s * 1000:.0f} ms, "
                f"a window has {self.features.window_frames}."
            )
        return frames

    def _from_array(self, path: Path) -> Frames:
        try:
            # numpy parses the header as a Python literal, so a damaged one can raise many kinds of exceptions.
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
        """Whether the frames of a recording are cached, or need no cache (.npy). Does not read the recording."""
        if path.suffix == ".npy":
            return True
        try:
            digest = _stored_digest(self._digest_file(path))
        except OSError:
            return False
        return digest is not None and self._file(digest).is_file()

    def _file(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest[:32]}-{self._settings}.mel"

    def _from_audio(self, path: Path) -> Frames:
        digest = self._digest(path)
        file = self._file(digest)
        stored = open_stored(file, self.features.n_mels)
        if stored is None:
            write_atomically(file, self._encoded_frames(path), durable=False)
            stored = open_stored(file, self.features.n_mels)
            if stored is None:
                raise MonitorError(f"{file}: what was written cannot be read again; is the disk all right?")
            self.computed += 1
        return Frames(path, stored.power, digest, stored.peak, stored.clipped_share)

    def _encoded_frames(self, path: Path) -> Iterator[bytes]:
        """The content of a cache file, in blocks, so that memory does not grow with the recording."""
        amplitudes, count, stream = Amplitudes(), 0, self._stream
        stream.flush()  # discards the samples of a recording whose reading failed
        for block in read_blocks(path, self.features.sample_rate, self.features.channel, observe=amplitudes.add):
            frames = stream.push(block)
            count += len(frames)
            yield encoded(frames).tobytes()
        frames = stream.flush()
        yield encoded(frames).tobytes()
        yield footer(count + len(frames), self.features.n_mels, amplitudes.peak, amplitudes.clipped_share)

    def _digest(self, path: Path) -> str:
        """The digest of a recording's content, stored by path, size and time of change, to avoid reading it again."""
        try:
            file = self._digest_file(path)
            if (stored := _stored_digest(file)) is not None:
                return stored
            digest = _content_digest(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
        write_atomically(file, digest.encode(), durable=False)
        return digest

    def _digest_file(self, path: Path) -> Path:
        """The file that stores the digest of a recording."""
        stat = path.stat()
        key = hashlib.sha256(os.fsencode(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}")).hexdigest()
        return self.folder / "seen" / key[:2] / key[2:32]


def cache_folder(config: Config) -> Path:
    """The folder of the cache: `train.cache_dir`, by default in the user's cache folder.

    Raises:
        ConfigError: if the folder cannot be written to.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "acoustic-monitor" / "frames"
    folder = config.train.cache_dir.expanduser() if config.train.cache_dir is not None else base
    require_writable(folder, "mel frames are kept here; choose another folder with --set train.cache_dir=FOLDER.")
    return folder


def usable_frames(
    cache: FeatureCache,
    paths: Sequence[Path],
    *,
    training: bool,
    leave_out: Callable[[str], None],
    advance: Callable[[], None] = lambda: None,
) -> list[Frames]:
    """The frames of all usable recordings.

    Args:
        cache: the cache to read through.
        paths: the recordings.
        training: whether to leave out silent and clipped recordings too, which are not the machine's normal sound.
            Test recordings keep them, because a faulty machine can be loud, or stand still.
        leave_out: is called with the reason for each recording that cannot be used.
        advance: is called after each recording.
    """
    kept: list[Frames] = []
    with contextlib.closing(_all_frames(cache, paths)) as results:
        for path, frames in zip(paths, results, strict=True):
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
class _FramesOrError:
    """Returns the frames of one recording. An error is returned, not raised, because other processes call this."""

    cache: FeatureCache

    def __call__(self, path: Path) -> Frames | MonitorError:
        try:
            return self.cache.frames(path)
        except MonitorError as error:
            return error


def _all_frames(cache: FeatureCache, paths: Sequence[Path]) -> Generator[Frames | DataError]:
    """The frames or the error of each recording, in order. Missing frames are computed by all processors."""
    frames_of = _FramesOrError(cache)
    missing = [path for path in paths if not cache.has(path)]
    to_compute = set(missing)
    with contextlib.closing(results_of(frames_of, missing)) as computed:
        for path in paths:
            result = next(computed) if path in to_compute else frames_of(path)
            if isinstance(result, MonitorError) and not isinstance(result, DataError):
                raise result
            yield result


def manifest_digest(recordings: Iterable[Frames]) -> str:
    """The SHA-256 of the contents of a set of recordings; names and order do not matter."""
    return hashlib.sha256("\n".join(sorted(frames.digest for frames in recordings)).encode()).hexdigest()


def _stored_digest(file: Path) -> str | None:
    """The digest in a file of `_digest_file`; None if the file is missing or damaged."""
    try:
        text = file.read_text()
    except (OSError, ValueError):
        return None
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
