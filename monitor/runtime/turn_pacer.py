"""When the engine takes its next turn: soon after samples arrive, but not for each stream by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.stream_input import DELIVERY_S

LONGEST_REST_S = 0.1  # of a single stream, so that commands, snapshots and a lost source do not wait longer
POLL_S = 0.002  # sleep between two looks while no samples arrive
LOOK_S = 0.001  # the same while some streams have samples, and others are expected to get theirs
WAIT_S = 0.005  # so long the samples of some streams wait for those of others
RECENT_S = 0.25  # streams whose samples are older are not expected to get more at once
IDLE_TURN_S = 0.01  # time from turn to turn while no samples arrive
# A turn costs much that does not depend on the number of samples. So what it takes is a share of the time from turn to
# turn: where many streams get their samples at times of their own, as in a network, turns become fewer and larger.
WORKING_SHARE = 1 / 3
LONGEST_TURN_S = 0.05
TOGETHER = 3 / 4  # of the streams that are heard: so many have samples only where they get them at the same times


def wait_for_turn(streams: Sequence[MonitoredStream], began: float, *, worked: bool) -> None:
    """Waits after a turn until the next one is due.

    Devices deliver samples at regular times, and several of them often together: when nearly all streams that are being
    heard have samples, a turn begins at once. Otherwise it begins when half of them have, or some have waited for
    WAIT_S, but not too soon after the last one. A single live stream begins it by itself.

    Args:
        streams: that have not ended.
        began: when the turn began, on the monotonic clock.
        worked: whether there were any samples.
    """
    if len(streams) == 1 and streams[0].source.live:
        if not streams[0].input.wait(LONGEST_REST_S) and not worked:
            time.sleep(LOOK_S)  # sound has arrived that could not be taken yet
        return
    if not worked:
        time.sleep(DELIVERY_S)  # as above: not to look at it without a pause
    now = time.monotonic()
    earliest = began + min((now - began) / WORKING_SHARE, LONGEST_TURN_S)
    first: float | None = None  # when some streams were seen to have samples
    while (now := time.monotonic()) - began < IDLE_TURN_S or now < earliest or first is not None:
        waiting, heard = _arrivals(streams, now)
        if waiting:
            first = now if first is None else first
            if waiting >= TOGETHER * heard:
                return
            if now >= earliest and (2 * waiting >= heard or now - first >= WAIT_S):
                return
        time.sleep(LOOK_S if waiting else POLL_S)


def _arrivals(streams: Sequence[MonitoredStream], now: float) -> tuple[int, int]:
    """How many streams have samples for a turn, and how many are being heard."""
    waiting = heard = 0
    for stream in streams:
        reader = stream.input.reader
        ring = reader.ring
        waiting += ring.written - reader.read >= stream.input.portion
        heard += now - ring.written_at < RECENT_S
    return waiting, heard
