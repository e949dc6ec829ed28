"""ClipSink: cuts a clip for each anomaly of a stream out of its newest sound."""

from __future__ import annotations

import math
from dataclasses import dataclass

from monitor.bundle.bundle import Bundle
from monitor.clips.clip import Clip
from monitor.clips.folder import ClipFolder
from monitor.clips.memory import SoundMemory
from monitor.clips.writing import ClipWriting
from monitor.core.errors import MonitorError
from monitor.core.events import Event
from monitor.core.snapshot import Snapshot
from monitor.core.text import counted
from monitor.core.types import FloatArray
from monitor.detection.alarm_rules import decisions_per_window, rows_per_decision
from monitor.outputs.background import BackgroundSink
from monitor.scoring.scorer import rolling_length

QUEUE_SIZE = 2  # clips of a stream that may wait for a slow disk, in memory
CLOSE_S = 30.0  # longest time for a clip at the end, in which speech is to be found first


@dataclass(slots=True)
class _Open:
    """A clip whose end has not been heard yet."""

    event: Event  # as it was reported last
    first: int  # frame number of the clip's beginning
    note: str  # what is missing at its beginning
    bundle: Bundle  # the model that reported the anomaly


class ClipSink(BackgroundSink):
    """Keeps the sound of each anomaly of one stream: from `before_s` before its onset to `after_s` after its end.

    The last `memory_s` seconds of sound wait in memory, because the onset is known only when the anomaly is reported.
    A clip begins exactly at a frame of the stream and at a decision of the alarm, so that a replay gives the same
    scores and the same anomaly. It ends at the latest after `longest_s`, and at an interruption of the sound. Anomalies
    that are close to each other have a clip each. Everything that waits for the disk runs on the sink's thread.

    Args:
        folder: where clips are written; the streams share it.
        bundle: the model of the stream.
        wait: as in `BackgroundSink`.
    """

    def __init__(self, folder: ClipFolder, bundle: Bundle, *, wait: bool = False) -> None:
        settings, features = folder.settings, bundle.config.features
        hop_s = features.hop_s
        self._folder, self._hop_s = folder, hop_s
        self._before_s, self._after_s = settings.before_s, settings.after_s
        self._longest = math.floor(settings.longest_s / hop_s)  # frames
        self.use_model(bundle)
        self._memory = SoundMemory(settings.memory_s, features)
        self._open: dict[str, _Open] = {}  # by the event's id
        self._not_kept = 0  # clips for which the disk had no room
        super().__init__(
            f"clips in {folder.path}", wait=wait, size=QUEUE_SIZE, close_s=CLOSE_S,
            amount=lambda count: counted(count, "clip"),
        )  # fmt: skip

    @property
    def error(self) -> MonitorError | None:
        """What is wrong: clips cannot be written at present, or some are missing."""
        missing = f"{counted(self._not_kept, 'clip')} of {self._folder.path} missing: the disk was nearly full."
        return super().error or (MonitorError(missing) if self._not_kept else None)

    @error.setter
    def error(self, error: MonitorError | None) -> None:
        self._failure = error

    @property
    def dropped(self) -> int:
        """The number of clips that were lost."""
        return super().dropped + self._not_kept

    @property
    def trouble(self) -> str:
        """Why clips cannot be written at present; empty if they can."""
        return super().trouble or self._folder.trouble

    def use_model(self, bundle: Bundle) -> None:
        """Cuts the clips of anomalies that begin from now on for another model; the sound goes on."""
        features, score = bundle.config.features, bundle.config.score
        decision = rows_per_decision(bundle.config.alarm, features.hop_s)
        # A replay of the clip makes its decisions, and the steps of the cumulative sum, at the same places.
        self._grid = decision * decisions_per_window(rolling_length(score, features), decision)
        self._bundle = bundle

    def segment(self, first: int) -> None:
        """Ends all clips, because what follows does not continue the sound."""
        why = "the recording ended" if first == 0 else "the sound was interrupted"
        for event_id in list(self._open):
            self._finish(event_id, None, why)
        self._memory.restart(first)

    def samples(self, samples: FloatArray) -> None:
        """Keeps samples (n,), and hands over the clips that they complete."""
        self._memory.push(samples)
        if self._open:
            self._finish_complete()

    def event(self, event: Event) -> None:
        """Begins the clip of an anomaly, or notes its end."""
        if event.kind != "anomaly":
            return
        if event.id in self._open:
            self._open[event.id].event = event
            self._finish_complete()
        elif event.end_s is None and not event.reminders:  # not one whose clip has reached its greatest length
            self._begin(event)

    def snapshot(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - only its time counts
        """Lets old clips be deleted when that is due."""
        if self._folder.cleaning_due and not self._worker.full:
            self._folder.cleaning_begins()
            self._put(self._folder.clean, 0)

    def close(self) -> None:
        """Writes the clips so far, and ends the thread. Clips that take too long are abandoned."""
        for event_id in list(self._open):
            self._finish(event_id, None, "the monitoring ended, or its settings changed")
        super().close()

    def _begin(self, event: Event) -> None:
        wanted = math.floor((event.start_s - self._before_s) / self._hop_s)
        at_decision = wanted - (wanted - self._memory.begin) % self._grid
        first = max(at_decision, self._memory.oldest)
        note = ""
        before_s, forgotten = event.start_s - first * self._hop_s, self._memory.oldest > self._memory.begin
        if before_s < 0 or (forgotten and first > wanted):
            when = f"{-before_s:.0f} s after" if before_s < 0 else f"only {before_s:.0f} s before"
            why = "clips.memory_s reaches back no further" if forgotten else "what was heard before is not in memory"
            note = f"The clip begins {when} the anomaly: {why}."
        self._open[event.id] = _Open(event, first, note, self._bundle)
        self._keep_needed()

    def _stop(self, clip: _Open) -> int:
        """The frame at which a clip ends if the sound goes on."""
        longest = clip.first + self._longest
        end_s = clip.event.end_s
        return longest if end_s is None else min(longest, math.ceil((end_s + self._after_s) / self._hop_s))

    def _finish_complete(self) -> None:
        for event_id in list(self._open):
            if self._memory.end >= (stop := self._stop(self._open[event_id])):
                self._finish(event_id, stop)

    def _finish(self, event_id: str, stop: int | None, why: str = "") -> None:
        """Hands a clip over to be written.

        Args:
            event_id: of its anomaly.
            stop: frame at which it ends; None: at the end of the sound so far.
            why: why it ends there.
        """
        clip = self._open.pop(event_id)
        cut = self._memory.cut(clip.first, stop)
        self._keep_needed()
        if not cut.count:
            return
        event, ends_s = clip.event, clip.first * self._hop_s + cut.count / self._bundle.config.features.sample_rate
        notes = [clip.note] if clip.note else []
        if event.end_s is None or event.end_s > ends_s:
            why = why or "clips.longest_s allows no more"
            notes.append(f"The clip ends {ends_s - event.start_s:.0f} s after the anomaly began: {why}.")
        elif why:
            notes.append(f"The clip ends {ends_s - event.end_s:.0f} s after the anomaly: {why}.")
        write = ClipWriting(self._folder, Clip(event, cut, clip.bundle, tuple(notes)))
        self._put(lambda: self._count(write()))

    def _count(self, kept: bool) -> None:
        self._not_kept += not kept

    def _keep_needed(self) -> None:
        self._memory.needed = min((clip.first for clip in self._open.values()), default=None)
