"""When the engine takes its next turn: soon after samples arrive, but not for each stream by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.stream_input import DELIVERY_S

LONGEST_REST_S = 0.25  # of a single stream, so that commands, snapshots and a lost source do not wait longer
IDLE_TURN_S = 0.05  # the same with several streams
POLL_S = 0.002  # sleep between two looks while samples are late
LOOK_S = 0.001  # the same while some streams have a portion, and others are expected to get theirs
EARLY_S = 0.01  # the same while none is expected: so long samples wait that come earlier
WAIT_S = 0.005  # so long the samples of some streams wait for those of others
RECENT_S = 0.25  # a stream whose portion is late by more is not expected to get it
# A turn costs much that does not depend on the number of samples. So what it takes is a share of the time from turn to
# turn: where many streams get their samples at times of their own, as in a network, turns become fewer and larger.
WORKING_SHARE = 1 / 3
LONGEST_TURN_S = 0.01
TOGETHER = 3 / 4  # of the streams that are heard: so many have samples only where they get them at the same times
# Hops of all streams together that are scored in a turn: fewer would take more turns, more would take longer.
HOPS_AT_ONCE = 100
FEW_STREAMS = 3  # whose hops of LIVE_CHUNK_S are about as many


def spread_portions(streams: Sequence[MonitoredStream]) -> None:
    """Makes the portions of many live streams end at different times, so that each turn has some of them and is short.

    Neighbours end together: they are often channels of one device.
    """
    live = [stream.input for stream in streams if stream.source.live]
    turns = max(1, round(sum(one.portion_hops for one in live) / HOPS_AT_ONCE))
    for number, one in enumerate(live):
        one.use_phase((number * turns // len(live)) / turns)


def choose_portions(streams: Sequence[MonitoredStream], *, seen: bool) -> None:
    """Makes the next portion of each of a few live streams end where its alarm decides, unless somebody looks.

    What is scored before a decision changes nothing that is reported, and one long portion takes less than some short
    ones. Those of many streams would come at the same time, and one of them would wait for all others.

    Args:
        streams: that have not ended.
        seen: whether somebody looks at what was scored since the last decision.
    """
    for stream in streams if len(streams) <= FEW_STREAMS else ():
        if stream.source.live:
            stream.score_at_decisions(not seen)


def wait_for_turn(streams: Sequence[MonitoredStream], began: float, *, worked: bool) -> None:
    """Waits after a turn until the next one is due.

    Devices deliver samples at regular times, and several of them often together. When nearly all streams that are being
    heard have a portion, a turn begins at once. Otherwise it begins when half of those have one that are expected to
    have it now, or some have waited for WAIT_S, but not too soon after the last one. A single live stream begins it by
    itself.

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
    first: float | None = None  # when some streams were seen to have a portion
    while (now := time.monotonic()) - began < IDLE_TURN_S or now < earliest or first is not None:
        waiting, expected = _arrivals(streams, now)
        if waiting:
            first = now if first is None else first
            coming = sum(at < now + WAIT_S for at in expected)
            if waiting >= TOGETHER * (waiting + len(expected)):
                return
            if now >= earliest and (waiting >= coming or now - first >= WAIT_S):
                return
            time.sleep(LOOK_S)
        else:
            next_s = min(expected, default=now + EARLY_S) - now
            time.sleep(POLL_S if next_s < 0 else min(next_s + DELIVERY_S, EARLY_S))


def _arrivals(streams: Sequence[MonitoredStream], now: float) -> tuple[int, list[float]]:
    """How many streams have a portion, and when the others that are being heard are expected to have theirs."""
    due = [stream.input.portion_at() for stream in streams]
    return due.count(0.0), [at for at in due if at > now - RECENT_S]
