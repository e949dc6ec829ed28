"""Gathers what is known of a stream: its normal sound, and the clips of its anomalies by what people said of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.clips.access import ClipAccess, NoClip
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.text import counted, stream_folder
from monitor.normal_sound.pieces import Piece
from monitor.normal_sound.quarantine import survey
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.location import normal_folder
from monitor.store.records import StoredEvent, StoredStream
from train.calibration.tail_model import DAY_S
from train.commands.prepare import RecordingReader, without_copies
from train.commands.progress import Progress
from train.data.discovery import find_recordings, normal_files
from train.data.feature_cache import FeatureCache, Frames, cache_folder
from train.data.frame_scale import compare_scale
from train.data.known_recordings import known_recordings

FAULT, LEARNT = "real fault", "new but normal"
NO_FAULT = ("disturbance", "maintenance", "sensor")  # heard by the microphone, but not the machine as it is
MOST_UNJUDGED = 200  # clips without a verdict that are looked at, the newest ones

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventClip:
    """The sound of an anomaly of the stream."""

    event: StoredEvent
    path: Path
    frames: Frames
    onset_s: float  # of the anomaly, from the beginning of the clip
    end_s: float  # of the anomaly, or of the clip


@dataclass(frozen=True, slots=True)
class Material:
    """All that is known of a stream.

    Attributes:
        stored: pieces of normal sound that the monitor has kept and that may be learnt from.
        given: recordings of normal sound that were given.
        trained: recordings that the network was trained on, as far as they can be found.
        learnt: clips that are new, but normal.
        faults: clips of real faults.
        unjudged: clips of anomalies without a verdict.
        no_fault: clips of disturbances, maintenance and faults of the microphone: neither learnt, nor faults.
        without_sound: anomalies that are learnt, faults, or without a verdict, of which there is no clip.
        held_back: number of stored pieces that nothing may be learnt from, because an anomaly was near.
        recent: those of `stored` that were heard within a day before the newest one.
    """

    stored: list[Frames]
    given: list[Frames]
    trained: list[Frames]
    learnt: list[EventClip] = field(default_factory=list)
    faults: list[EventClip] = field(default_factory=list)
    unjudged: list[EventClip] = field(default_factory=list)
    no_fault: list[EventClip] = field(default_factory=list)
    without_sound: list[StoredEvent] = field(default_factory=list)
    held_back: int = 0
    recent: list[Frames] = field(default_factory=list)

    @property
    def heard(self) -> list[Frames]:
        """Normal sound that the network was not trained on."""
        return [*self.stored, *self.given]


def gather(
    bundle: Bundle, config: Config, store: Store, stream: StoredStream, normal: Sequence[Path], progress: Progress
) -> Material:
    """Gathers the sound and the clips of a stream.

    Args:
        bundle: the model in force.
        config: the settings in force.
        store: has the events and verdicts.
        stream: the stream in it.
        normal: files and folders with more normal sound.
        progress: shows the progress.

    Raises:
        DataError: if there is no normal sound at all, or what was given cannot be used.
    """
    cache = FeatureCache(bundle.config.features.model_copy(update={"channel": "mix"}), cache_folder(config))
    events = queries.events(store, streams=[stream.id], kinds=["anomaly"])
    folder = normal_folder(config) / stream_folder(stream.name)
    found = survey(folder, store, hold_h=config.normal.hold_h, events=events)
    pieces, given = [piece.path for piece in found.usable], normal_files(normal) if normal else []
    trained = _training_files(bundle)
    reader = RecordingReader(cache, progress, len(pieces) + len(given) + len(trained) + len(events))
    stored = without_copies(reader.read(pieces, training=True))
    # Recordings that people made, and of the training, may have several channels.
    reader.cache = FeatureCache(bundle.config.features, cache.folder)
    more = without_copies(reader.read(given, training=True))
    compare_scale(bundle, more)
    known = known_recordings(reader.read(trained, training=True), bundle.provenance.get("contents"))
    digests = {frames.digest for frames in (*stored, *known)}
    material = Material(
        stored, [frames for frames in more if frames.digest not in digests], known,
        held_back=len(found.held) + len(found.refused), recent=_recent(stored, found.usable),
    )  # fmt: skip
    reader.cache = cache
    clips = ClipAccess(config)
    _add_clips(material, events, clips, reader)
    clips.close()
    if not material.heard and not material.trained:
        why = f" ({counted(material.held_back, 'piece')} held back because of anomalies)" if material.held_back else ""
        raise DataError(
            f"There is no normal sound of {stream.name} to learn from{why}: `monitor live` keeps it while it runs; or "
            "give recordings with --normal FOLDER."
        )
    return material


def verdicts_of_events(events: Sequence[StoredEvent]) -> dict[str, str]:
    """The newest verdicts on events, by their ids; those without one are left out."""
    return {event.id: event.verdict for event in events if event.verdict}


def _recent(stored: Sequence[Frames], pieces: Sequence[Piece]) -> list[Frames]:
    """The stored pieces that were heard within a day before the newest one."""
    began = {piece.path: piece.began for piece in pieces}
    newest = max((began[one.path] for one in stored), default=0.0)
    return [one for one in stored if began[one.path] >= newest - DAY_S]


def _training_files(bundle: Bundle) -> list[Path]:
    """The training recordings of a model's data set; none if they are not there any more."""
    folder = bundle.provenance.get("data")
    if not isinstance(folder, str) or not Path(folder).exists():
        return []
    try:
        return find_recordings(Path(folder)).train_normal
    except DataError:
        return []


def _add_clips(material: Material, events: Sequence[StoredEvent], clips: ClipAccess, reader: RecordingReader) -> None:
    """Assigns the clips of events, newest first, to the lists of the material."""
    lists = {FAULT: material.faults, LEARNT: material.learnt, "": material.unjudged}
    for event in events:
        group = lists.get(event.verdict, material.no_fault)
        if group is material.unjudged and len(group) >= MOST_UNJUDGED:
            continue
        clip = _clip(event, clips, reader)
        if clip is not None:
            group.append(clip)
        elif group is not material.no_fault:
            material.without_sound.append(event)
    for group in (*lists.values(), material.no_fault):
        group.reverse()  # oldest first
    if (unjudged := sum(not event.verdict for event in events)) > MOST_UNJUDGED:
        log.warning(
            "%d anomalies have no verdict: only the newest %d of them are looked at. Say what the others were with "
            "`monitor verdict`.",
            unjudged,
            MOST_UNJUDGED,
        )


def _clip(event: StoredEvent, clips: ClipAccess, reader: RecordingReader) -> EventClip | None:
    if not event.clip or event.clip_start is None:
        return None
    try:
        path = clips.local(event.host, event.clip)
    except NoClip:
        return None
    read = reader.read([path])
    if not read:
        return None
    length_s = len(read[0].power) * reader.cache.features.hop_s
    onset_s = max(0.0, event.onset - event.clip_start)
    end_s = length_s if event.ended is None else min(length_s, event.ended - event.clip_start)
    return EventClip(event, path, read[0], onset_s, max(onset_s, end_s))
