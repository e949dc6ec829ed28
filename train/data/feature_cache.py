"""A cache of mel frames on disk: those of each recording are computed once, and found by content and settings."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.audio.quality import recording_defect
from monitor.audio.reader import read_blocks
from monitor.audio.sound_facts import SoundFacts, SoundSurvey
from monitor.config.schema import Config, Features
from monitor.core.atomic_io import remove_leftovers, require_writable, write_atomically
from monitor.core.errors import DataError, MonitorError
from monitor.core.types import FloatArray
from monitor.streaming.hops import FrameStream
from train.data.content_digests import ContentDigests, content_digest, file_state
from train.data.discovery import ARRAY_SUFFIX
from train.data.feature_store import Stored, StoredFrames, file_content, open_stored
from train.data.mel_arrays import ArrayFrames, open_array
from train.data.parallel_reading import results_of

FORMAT = 4  # version of the cached frames: increase it when a change of the code changes their values

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frames:
    """The power mel frames of one recording, and the facts of its samples."""

    path: Path
    power: FloatArray | StoredFrames | ArrayFrames  # (T, n_mels) float32, in memory or in a file
    digest: str  # SHA-256 of the recording's content
    sound: SoundFacts = field(default_factory=SoundFacts)


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
        self._stream = FrameStream(self.features)
        self._digests = ContentDigests(self.folder / "seen")
        names = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "channel")
        settings = {name: getattr(self.features, name) for name in names} | {"format": FORMAT}
        self._settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def frames(self, path: Path, digest: str | None = None) -> Frames:
        """The frames of one recording: an audio file, or an array of power mel frames (.npy).

        Args:
            path: the recording.
            digest: of its content, as `kept_digest` returned it a moment ago; None: not known.

        Raises:
            DataError: if the file cannot be read, or is shorter than a window.
        """
        frames = self._from_array(path) if _is_array(path) else self._from_audio(path, digest)
        if len(frames.power) < self.features.window_frames:
            raise DataError(
                f"{path}: too short: {len(frames.power)} frames of {self.features.hop_s * 1000:.0f} ms, "
                f"a window has {self.features.window_frames}."
            )
        return frames

    def digest(self, path: Path) -> str:
        """The SHA-256 of a recording's content, in hexadecimal.

        Raises:
            DataError: if the file cannot be read.
        """
        return self._digests.of(path)

    def _from_array(self, path: Path) -> Frames:
        power, peak = open_array(path, self.features.n_mels)
        return Frames(path, power, content_digest(path), SoundFacts(peak=peak))

    def has(self, path: Path) -> bool:
        """Whether the frames of a recording are cached, or need no cache (.npy). Does not read the recording."""
        return _is_array(path) or self.kept_digest(path) is not None

    def kept_digest(self, path: Path) -> str | None:
        """The digest of an audio file whose frames are cached; None if they are not. Does not read the recording."""
        digest = self._digests.noted(path)
        return digest if digest is not None and self._file(digest).is_file() else None

    def _file(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest[:32]}-{self._settings}.mel"

    def _from_audio(self, path: Path, digest: str | None) -> Frames:
        if digest is not None and (stored := self._stored(digest)) is not None:
            return Frames(path, stored.power, digest, stored.sound)
        before = file_state(path)
        digest = self._digests.of(path)
        file = self._file(digest)
        stored = self._stored(digest)
        if stored is None:
            if file.exists():
                log.info("%s: kept frames are damaged; those of %s are made anew.", file, path)
            write_atomically(file, self._encoded_frames(path, digest), durable=False)
            if file_state(path) != before:
                file.unlink(missing_ok=True)
                raise DataError(f"{path}: was changed while it was read: begin again when it is complete.")
            stored = self._stored(digest)
            if stored is None:
                raise MonitorError(f"{file}: what was written cannot be read again; is the disk all right?")
            self.computed += 1
        return Frames(path, stored.power, digest, stored.sound)

    def _stored(self, digest: str) -> Stored | None:
        return open_stored(self._file(digest), self.features.n_mels, self._identity(digest))

    def _identity(self, digest: str) -> bytes:
        """What a cache file says of itself: whose frames it has, and by which settings."""
        return hashlib.sha256(f"{digest} {self._settings}".encode()).digest()

    def _encoded_frames(self, path: Path, digest: str) -> Iterator[bytes]:
        survey = SoundSurvey()
        return file_content(self._identity(digest), self.features.n_mels, self._computed_frames(path, survey), survey)

    def _computed_frames(self, path: Path, survey: SoundSurvey) -> Iterator[FloatArray]:
        self._stream.flush()  # discards the samples of a recording whose reading failed
        for block in read_blocks(path, self.features.sample_rate, self.features.channel, observe=survey.add):
            yield self._stream.push(block)
        yield self._stream.flush()


def cache_path(config: Config) -> Path:
    """The folder of the cache: `train.cache_dir`, by default in the user's cache folder. It may not exist yet.

    A user without a home folder has a temporary one, until the program ends.
    """
    if config.train.cache_dir is not None:
        return config.train.cache_dir.expanduser()
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return Path(_temporary_folder().name)
    return Path(base) / "acoustic-monitor" / "frames"


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that is removed when the program ends."""
    log.warning("There is no home folder to keep mel frames in: they are made anew every time. Set train.cache_dir.")
    return tempfile.TemporaryDirectory(prefix="acoustic-monitor-")


def cache_folder(config: Config) -> Path:
    """The folder of the cache, which is made if it is missing; what killed programs left in it is removed.

    Raises:
        ConfigError: if the folder cannot be written to.
    """
    folder = cache_path(config)
    require_writable(folder, "mel frames are kept here; choose another folder with --set train.cache_dir=FOLDER.")
    remove_leftovers(folder, below=True)
    return folder


def usable_frames(
    cache: FeatureCache,
    paths: Sequence[Path],
    *,
    training: bool,
    leave_out: Callable[[Path, str], None],
    advance: Callable[[], None] = lambda: None,
) -> list[Frames]:
    """The frames of all usable recordings.

    Args:
        cache: the cache to read through.
        paths: the recordings.
        training: whether to leave out silent and clipped recordings too, which are not the machine's normal sound.
            Test recordings keep them, because a faulty machine can be loud, or stand still.
        leave_out: is called with each recording that cannot be used, and the reason: a sentence without its path.
        advance: is called after each recording.
    """
    kept: list[Frames] = []
    with contextlib.closing(_all_frames(cache, paths)) as results:
        for path, frames in zip(paths, results, strict=True):
            if isinstance(frames, DataError):
                leave_out(path, str(frames).removeprefix(f"{path}: "))
            elif training and (defect := recording_defect(frames.sound)):
                leave_out(path, defect)
            else:
                kept.append(frames)
            advance()
    return kept


@dataclass(frozen=True, slots=True)
class _FramesOrError:
    """Returns the frames of one recording. An error is returned, not raised, because other processes call this."""

    cache: FeatureCache

    def __call__(self, path: Path, digest: str | None = None) -> Frames | MonitorError:
        try:
            return self.cache.frames(path, digest)
        except MonitorError as error:
            return error


def _all_frames(cache: FeatureCache, paths: Sequence[Path]) -> Generator[Frames | DataError]:
    """The frames or the error of each recording, in order."""
    with contextlib.closing(_read(cache, paths)) as results:
        for result in results:
            if isinstance(result, MonitorError) and not isinstance(result, DataError):
                raise result
            yield result


def _read(cache: FeatureCache, paths: Sequence[Path]) -> Generator[Frames | MonitorError]:
    """Reads recordings in order; from the first one on whose frames are missing, with all processors.

    Cached frames are read so fast that starting processes for them would take longer.
    """
    frames_of = _FramesOrError(cache)
    for number, path in enumerate(paths):
        digest = None if _is_array(path) else cache.kept_digest(path)
        if digest is None and not _is_array(path):
            yield from results_of(frames_of, paths[number:])
            return
        yield frames_of(path, digest)


def manifest_digest(recordings: Iterable[Frames]) -> str:
    """The SHA-256 of the contents of a set of recordings; names and order do not matter."""
    return hashlib.sha256("\n".join(sorted(frames.digest for frames in recordings)).encode()).hexdigest()


def _is_array(path: Path) -> bool:
    return path.suffix.lower() == ARRAY_SUFFIX
