"""Whether scoring makes progress: the measure of a monitor that works, for its status and for systemd's watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from monitor.core.events import ScoreRows, State
from monitor.core.snapshot import Snapshot
from monitor.core.text import counted, duration_text

HUNG_S = 15.0  # seconds without progress from which on a monitor counts as hung
# In these states there is no sound to score, or too little, and the state itself says so.
WITHOUT_SCORES = frozenset({State.LOST, State.NO_SIGNAL, State.OFF, State.OVERLOADED})


@dataclass(slots=True)
class _Times:
    """The newest times of a stream, on the monotonic clock."""

    published: float  # when its state was published
    scored: float | None = None  # when windows were scored
    progressed: float = 0.0  # when windows were scored, or there were none to score
    ended: bool = False


class ScoringProgress:
    """Remembers when each stream was scored and published last. Written by the engine's thread, read by any.

    Args:
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams: dict[str, _Times] = {}

    def scores(self, rows: ScoreRows) -> None:
        """Takes note of scored windows."""
        if (times := self._streams.get(rows.stream)) is not None:
            times.scored = times.progressed = self._clock()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Takes note of the published state of a stream."""
        now = self._clock()
        times = self._streams.get(snapshot.stream)
        if times is None:
            times = self._streams[snapshot.stream] = _Times(now, progressed=now)
        if snapshot.state in WITHOUT_SCORES or times.ended:  # one that had ended begins anew
            times.progressed = now
        times.published, times.ended = now, snapshot.finished

    def keep(self, streams: Collection[str]) -> None:
        """Forgets all streams but these."""
        for name in self._streams.keys() - set(streams):
            self._streams.pop(name, None)

    def published_s_ago(self) -> float | None:
        """Seconds since the engine has published any stream that has not ended; None if there is none."""
        newest = [times.published for times in self._streams.copy().values() if not times.ended]
        return self._clock() - max(newest) if newest else None

    def scored_s_ago(self, stream: str) -> float | None:
        """Seconds since windows of a stream were scored; None if there were none yet."""
        times = self._streams.get(stream)
        return None if times is None or times.scored is None else self._clock() - times.scored

    def stalled(self, stream: str, limit_s: float) -> bool:
        """Whether a stream has sound, but was not scored for longer than `limit_s` seconds."""
        times = self._streams.get(stream)
        return times is not None and not times.ended and self._clock() - times.progressed > limit_s

    def stall(self, limit_s: float) -> str:
        """Why the monitor counts as hung, in a few words; "" if it does not.

        Args:
            limit_s: seconds without progress from which on it does.
        """
        published = self.published_s_ago()
        if published is not None and published > limit_s:
            return f"the engine has not reported for {duration_text(published)}"
        stalled = [name for name in self._streams.copy() if self.stalled(name, limit_s)]
        if not stalled:
            return ""
        which = stalled[0] if len(stalled) == 1 else counted(len(stalled), "stream")
        return f"{which or 'the stream'}: sound comes in, but was not scored for {duration_text(limit_s)}"
