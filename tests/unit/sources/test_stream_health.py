"""Interruptions of a live source do not overlap, and each is reported at its beginning and its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.ring_buffer import RingReader, SampleRing
from monitor.core.events import State
from monitor.sources.gap_detector import GapDetector, Interruption
from monitor.sources.preprocess import Preprocessor
from monitor.sources.stream_health import StreamHealth
from support.builders import noise

RATE = 1000
STEP_S = 0.02


@dataclass
class Watched:
    """A minimal source for StreamHealth."""

    lost_since: float | None = None
    overflows: int = 0
    gap_detector = staticmethod(GapDetector)


class Listening:
    """Reads a stream as the engine does, on its own clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.source, self.ring = Watched(), SampleRing(30 * RATE)
        self.preprocessor = Preprocessor(RingReader(self.ring), RATE, RATE, hold_silence=True)
        self.health = StreamHealth(self.source, self.preprocessor)
        self.reported: list[Interruption] = []
        self.states: list[State | None] = []
        self._sound = noise(10_000)

    def hear(self, seconds: float, *, constant: bool = False, late_s: float = 0.0) -> None:
        """Delivers sound in real time; with `late_s` sound of this length arrives late in a burst before it."""
        if late_s:
            self.wait(late_s)
            self.arrive(late_s)
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.arrive(STEP_S, constant)
            self._check()

    def wait(self, seconds: float) -> None:
        """Lets time pass without samples."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self._check()

    def arrive(self, seconds: float, constant: bool = False) -> None:
        size = round(seconds * RATE)
        block = np.zeros(size, np.float32) if constant else self._sound[np.arange(size) % len(self._sound)]
        self.ring.write(block[:, None])
        self.ring.written_at = self.now

    def _check(self) -> None:
        self.reported += self.health.check(self.now)
        if self.health.lost:
            self.preprocessor.discard()
        else:
            reader, held = self.preprocessor.reader, self.health.held_from
            self.preprocessor.take(RATE if held is None else min(RATE, held - reader.read))
            self.reported += self.health.after_portion(self.now)
        self.states.append(self.health.state)


def lose(stream: Listening, seconds: float) -> None:
    """The source is lost for some seconds, and then delivers samples in a new ring."""
    stream.source.lost_since = stream.now
    stream.wait(seconds)
    stream.ring = SampleRing(30 * RATE)
    stream.preprocessor = Preprocessor(RingReader(stream.ring), RATE, RATE, hold_silence=True)
    stream.source.lost_since = None
    stream.reported += stream.health.check(stream.now)
    stream.health.attach(stream.preprocessor)


def kinds(reported: list[Interruption]) -> list[tuple[str, bool]]:
    """Kind of each report, and whether it has ended."""
    return [(one.kind, one.ended is not None) for one in reported]


def test_sound_in_real_time_has_no_interruption() -> None:
    stream = Listening()
    stream.hear(20)
    assert stream.reported == []
    assert set(stream.states) == {None}


def test_a_source_that_is_lost_begins_one_interruption_and_ends_it_when_it_is_back() -> None:
    stream = Listening()
    stream.hear(2)
    lose(stream, 7)
    stream.hear(2)
    assert kinds(stream.reported) == [("lost", False), ("lost", True)]
    assert State.LOST in stream.states
    assert stream.health.state is None
    lost = stream.reported[-1]
    assert lost.ended is not None
    assert 6.9 < lost.ended - lost.began < 7.2


def test_a_dead_microphone_has_no_signal_until_it_delivers_sound_again() -> None:
    stream = Listening()
    stream.hear(2)
    stream.hear(5, constant=True)
    assert stream.health.state is State.NO_SIGNAL
    stream.hear(2)
    assert kinds(stream.reported) == [("no signal", False), ("no signal", True)]
    silence = stream.reported[-1]
    assert silence.ended is not None
    assert 4.9 < silence.ended - silence.began < 5.2


def test_a_dead_microphone_that_is_lost_is_lost_and_no_longer_silent() -> None:
    stream = Listening()
    stream.hear(2, constant=True)
    lose(stream, 3)
    stream.hear(2)
    assert kinds(stream.reported) == [("no signal", False), ("no signal", True), ("lost", False), ("lost", True)]


def test_a_stall_that_turns_out_as_a_loss_is_one_loss_from_when_the_sound_stopped() -> None:
    stream = Listening()
    stream.hear(2)
    began = stream.now
    stream.wait(1)
    stream.hear(0.02, late_s=0.5)  # it seems to continue, with a burst
    lose(stream, 3)
    stream.hear(2)
    [end] = [one for one in stream.reported if one.ended is not None]
    assert end.kind == "lost"
    assert abs(end.began - began) < 2.0


def test_an_overflow_that_the_device_reports_is_a_gap() -> None:
    stream = Listening()
    stream.hear(3)
    stream.source.overflows += 1
    stream.hear(1)
    assert kinds(stream.reported) == [("gap", True)]


def test_sound_that_the_engine_had_no_time_for_is_no_gap_and_is_scored_later() -> None:
    stream = Listening()
    stream.hear(2)
    for _ in range(round(8 / STEP_S)):  # it arrives in real time, but the engine does not read it
        stream.now += STEP_S
        stream.arrive(STEP_S)
    stream.hear(1)
    assert stream.reported == []
    assert stream.preprocessor.discarded == 0
    assert stream.preprocessor.scored == 11 * RATE


def test_a_gap_within_a_silence_ends_the_silence_and_another_one_begins_after_it() -> None:
    stream = Listening()
    stream.hear(3)
    stream.hear(3, constant=True)
    stream.wait(2)
    stream.hear(3, constant=True)
    stream.hear(1)
    assert kinds(stream.reported) == [
        ("no signal", False),
        ("no signal", True),
        ("gap", True),
        ("no signal", False),
        ("no signal", True),
    ]


def test_an_ongoing_interruption_ends_when_the_monitoring_ends() -> None:
    stream = Listening()
    stream.hear(2, constant=True)
    stream.reported += stream.health.finish(stream.now)
    assert kinds(stream.reported) == [("no signal", False), ("no signal", True)]
    assert stream.health.finish(stream.now) == []


STEPS = st.lists(
    st.sampled_from(["sound", "silence", "stall", "late", "lost", "overflow"]).flatmap(
        lambda kind: st.tuples(st.just(kind), st.floats(0.2, 4.0))
    ),
    max_size=12,
)


@given(steps=STEPS)
def test_whatever_happens_interruptions_begin_and_end_one_after_another_and_never_overlap(
    steps: list[tuple[str, float]],
) -> None:
    stream = Listening()
    for kind, seconds in steps:
        if kind == "lost":
            lose(stream, seconds)
        elif kind == "overflow":
            stream.source.overflows += 1
        elif kind == "stall":
            stream.wait(seconds)
        elif kind == "late":
            stream.hear(0.1, late_s=seconds)
        else:
            stream.hear(seconds, constant=kind == "silence")
    stream.hear(1)
    stream.reported += stream.health.finish(stream.now)
    opened: Interruption | None = None
    newest = 0.0
    for one in stream.reported:
        if one.ended is None:
            assert opened is None, "one at a time"
            opened = one
            continue
        assert (opened is None and one.kind == "gap") or (opened is not None and opened.kind == one.kind)
        opened = None
        assert newest <= one.began <= one.ended <= stream.now
        newest = one.ended
    assert opened is None, "what begins ends"
