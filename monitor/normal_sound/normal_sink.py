"""NormalSoundSink: keeps pieces of the normal sound of a stream."""

from __future__ import annotations

import logging
import math
import shutil
import threading
from collections import deque
from pathlib import Path

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.clips.speech import SpeechFinder, is_installed
from monitor.config.improving import Normal
from monitor.core.errors import MonitorError
from monitor.core.events import Event, ScoreRows
from monitor.core.text import counted, stream_folder
from monitor.core.types import FloatArray
from monitor.normal_sound.keeping import StreamPieces
from monitor.normal_sound.piece_writing import file_name
from monitor.normal_sound.pieces import Piece, power_in_db
from monitor.normal_sound.quarantine import Anomaly, with_verdicts
from monitor.normal_sound.taking import PieceTaker, TakenPiece
from monitor.outputs.background import BackgroundSink
from monitor.store.database import Store

QUEUE_SIZE = 8  # jobs of a stream that may wait for a slow disk; a piece takes 1 MB of memory
DENSE_PIECES = 60  # with so many at the start, none have to be taken more often at first
HARMLESS = ("drift", "self-test")  # kinds of events during which the sound may be normal
NO_LIBRARY = (
    "No normal sound is kept, because it is not known whether people speak in it: pip install "
    "'acoustic-monitor[speech]', or set normal.speech: keep, or normal.enabled: false."
)

log = logging.getLogger(__name__)


class NormalSound:
    """What the streams of a monitor share: the folder, the settings, the search for speech, and the disk.

    Args:
        folder: with a folder for each stream; it need not exist.
        settings: what is kept.
        min_free_gb: gigabytes of the disk that remain free (`clips.min_free_gb`).
        store_url: of the store, which has the verdicts; None: there is none.
    """

    def __init__(
        self, folder: Path, settings: Normal, *, min_free_gb: float = 0.0, store_url: str | None = None
    ) -> None:
        self.folder, self.settings, self.min_free_gb = folder, settings, min_free_gb
        self.lock = threading.Lock()  # one stream at a time, so that many do not need many processors
        self.takes = settings.speech == "keep" or is_installed()
        self.trouble = ""  # why no piece is kept at present
        self._store_url = store_url
        self._find_speech = SpeechFinder() if settings.speech == "drop" else None
        if not self.takes:
            log.warning("%s", NO_LIBRARY)

    def has_speech(self, piece: TakenPiece, rate: int) -> bool:
        """Whether people speak in a piece; False if that does not matter."""
        return self._find_speech is not None and bool(self._find_speech(piece.samples, rate))

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes may be written; if not, `trouble` says so.

        Raises:
            OSError: if the folder cannot be made.
        """
        self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free >= size + self.min_free_gb * 1e9:
            return True
        self.failed(f"less than {self.min_free_gb:g} GB of the disk would remain (clips.min_free_gb)")
        return False

    def failed(self, why: str) -> None:
        """Says once that no pieces are kept."""
        trouble = f"{self.folder}: no normal sound is kept: {why}."
        if self.trouble != trouble:
            self.trouble = trouble
            log.warning("%s", trouble)

    def works(self) -> None:
        """Says that pieces are kept again, if none were."""
        if self.trouble:
            self.trouble = ""
            log.warning("%s: normal sound is kept again.", self.folder)

    def verdicts(self, anomalies: list[Anomaly]) -> list[Anomaly]:
        """The anomalies with the newest verdicts; as they are if the store does not answer, which it says itself."""
        if self._store_url is None:
            return anomalies
        try:
            with Store.open(self._store_url, create=False) as store:
                return with_verdicts(anomalies, store)
        except MonitorError as error:
            log.debug("%s", error)
            return anomalies


class NormalSoundSink(BackgroundSink):
    """Keeps pieces of ten seconds of normal sound of one stream, over all hours of the day (see `StreamPieces`).

    Pieces are found on the engine's thread, which only copies their samples (`PieceTaker`). Whether people speak in
    them, their spectrum and the disk are the business of the sink's thread. A piece that cannot be written is not
    missed: there will be others. An anomaly that cannot be noted is tried again until it can.

    Args:
        shared: what the streams share.
        stream: name of the stream.
        bundle: its model.
        wait: as in `BackgroundSink`.
        seed: of the random moments; None: another one each time.
    """

    def __init__(
        self, shared: NormalSound, stream: str, bundle: Bundle, *, wait: bool = False, seed: int | None = None
    ) -> None:
        self._shared, self._stream, self._bundle, self._waits = shared, stream, bundle, wait
        settings = shared.settings
        self._taker = PieceTaker(bundle, settings.every_s, seed=seed)
        self.pieces = StreamPieces(
            shared.folder / stream_folder(stream), minutes=settings.minutes, hold_h=settings.hold_h,
            ask_verdicts=shared.verdicts,
        )  # fmt: skip
        self._ready: deque[float] = deque()  # the sound's times at which pieces have waited long enough
        self._anomalies: deque[Anomaly] = deque()  # not noted yet; they are small, and none may be lost
        self._now = math.nan  # Unix time of the newest scores
        super().__init__(
            f"normal sound in {self.pieces.folder}", wait=wait, size=QUEUE_SIZE,
            amount=lambda count: counted(count, "anomaly", "anomalies"),
        )  # fmt: skip
        self._put(self._open, 0)

    @property
    def trouble(self) -> str:
        """Why no normal sound is kept at present; empty if it is."""
        return super().trouble or self._shared.trouble

    def segment(self, first: int) -> None:
        """Sound begins that does not continue the samples so far: a piece does not go on in it."""
        self._taker.segment(first)

    def use_model(self, bundle: Bundle) -> None:
        """Another model says from now on what is normal."""
        self._bundle = bundle
        self._taker.use_model(bundle)

    def samples(self, samples: FloatArray) -> None:
        """Takes samples (n,) for a piece."""
        if self._shared.takes:
            self._taker.samples(samples)

    def frames(self, first: int, power: FloatArray) -> None:
        """Takes frames (t, n_mels) for a piece."""
        self._taker.frames(first, power)

    def event(self, event: Event) -> None:
        """Notes an anomaly, and gives up a piece during any event that is not harmless."""
        if event.kind in HARMLESS:
            return
        self._taker.interrupted(event.id, lasts=event.end_s is None)
        if event.kind == "anomaly":
            lasts = event.end_s is None
            ended = np.fmax(event.wall_time, self._now) if lasts else event.wall_time + (event.duration_s or 0.0)
            sudden = event.cause == "sudden" and not event.cut_off
            anomaly = Anomaly(event.id, event.wall_time, float(ended), sudden, lasts)
            self._anomalies.append(anomaly)
            self._put(self._note, 0)

    def scores(self, rows: ScoreRows) -> None:
        """Hands a piece over that is complete and normal, and lets those be kept that have waited long enough."""
        self._now = rows.wall_time
        piece, heard_s = self._taker.scores(rows), self._taker.heard_s
        if piece is not None and self._has_room:
            ready_s = heard_s + self._shared.settings.wait_s
            bundle = self._bundle
            self._put(lambda: self._add(piece, bundle, ready_s), 0)
            self._ready.append(ready_s)
        if self._ready and heard_s >= self._ready[0] and self._has_room:
            self._ready.popleft()
            self._put(lambda: self._keep(heard_s), 0)

    @property
    def _has_room(self) -> bool:
        """Whether a piece may be handed over: a replay waits for the disk, but not while it fails."""
        return not self._worker.full or (self._waits and not self._worker.failure)

    def close(self) -> None:
        """Ends the thread; pieces that wait are given up."""
        self._worker.close(last=self.pieces.close)
        self._worker.lost += len(self._anomalies)
        self._anomalies = deque()

    def _open(self) -> None:
        with self._shared.lock:
            self._taker.dense = self.pieces.open() < DENSE_PIECES

    def _note(self) -> None:
        """Notes all anomalies that are not noted yet: nothing is kept before that."""
        waiting = self._anomalies
        with self._shared.lock:
            while waiting:
                self.pieces.note(waiting[0])
                waiting.popleft()

    def _add(self, taken: TakenPiece, bundle: Bundle, ready_s: float) -> None:
        """Writes a piece in which nobody speaks."""
        features, shared = bundle.config.features, self._shared
        with shared.lock:
            if shared.has_speech(taken, features.sample_rate):
                return
            frames = np.concatenate(taken.frames)
            piece = Piece(
                Path(file_name(taken.began)), taken.began, len(taken.samples) / features.sample_rate,
                features.sample_rate, share=taken.share, spectrum_db=power_in_db(frames, features.floor),
                model_id=bundle.model_id, mode=mode_of(bundle, frames), stream=self._stream,
            )  # fmt: skip
            try:
                if shared.has_room(taken.samples.nbytes):
                    self.pieces.add(piece, taken.samples, ready_s)
                    shared.works()
            except OSError as error:
                shared.failed(f"it cannot be written ({error.strerror or error})")
            except MonitorError as error:
                shared.failed(str(error).removesuffix("."))

    def _keep(self, heard_s: float) -> None:
        with self._shared.lock:
            try:
                self.pieces.keep_ready(heard_s)
            except (OSError, MonitorError) as error:
                self._shared.failed(str(error).removesuffix("."))


def mode_of(bundle: Bundle, frames: FloatArray) -> int | None:
    """The operating mode of the sound with power mel frames (t, n_mels): that of the nearest mean spectrum.

    None if the model has no modes.
    """
    if bundle.modes is None:
        return None
    mean = bundle.normalization()(frames).mean(axis=0)
    return int(bundle.modes.distances(mean).argmin())
