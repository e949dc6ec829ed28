"""A session ends when its sound, its time or somebody's patience does, and always in order."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.runtime.builder import StreamPlan
from monitor.runtime.session import ENDING_SIGNALS, Session, low_latency
from monitor.sources.generated import BlockSource, GeneratedSource
from support.builders import RATE, noise, small_bundle
from support.listening import DEADLINE_S, RememberingSink, never_alarmed, plan, wait_until, with_thresholds


class Noise:
    """White noise without end."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def read(self, n: int) -> np.ndarray:
        return (0.1 * self._random.standard_normal(n)).astype(np.float32)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return never_alarmed(small_bundle())


def endless(bundle: Bundle, *, name: str = "", speed: float = 1.0) -> tuple[StreamPlan, RememberingSink]:
    sink = RememberingSink()
    source = GeneratedSource(Noise(), RATE, "noise", length_s=None, speed=speed)
    return plan(bundle, source, name=name, sinks=[sink]), sink


def blocks(bundle: Bundle, seconds: float, *, name: str = "") -> tuple[StreamPlan, RememberingSink]:
    sink = RememberingSink()
    return plan(bundle, BlockSource([noise(round(seconds * RATE))], RATE), name=name, sinks=[sink]), sink


def run(session: Session, **options: object) -> None:
    """Runs a session here, and ends it where it does not end by itself."""
    guard = threading.Timer(DEADLINE_S, session.end)
    guard.start()
    try:
        session.run(**options)  # type: ignore[arg-type]
        assert guard.is_alive(), "it did not end by itself"
    finally:
        guard.cancel()


def assert_ended_in_order(session: Session, *sinks: RememberingSink) -> None:
    assert session.engine.finished
    assert all(stream.latest.finished for stream in session.streams)
    assert [sink.closed for sink in sinks] == [1] * len(sinks)


def test_it_ends_with_its_sound(bundle: Bundle) -> None:
    (one, first), (two, second) = blocks(bundle, 2.0, name="a"), blocks(bundle, 1.0, name="b")
    session = Session([one, two], device="cpu")
    run(session)
    assert session.over()
    assert_ended_in_order(session, first, second)
    assert [len(sink.score) for sink in (first, second)] == [201, 101]
    assert (session.error, session.anomalies) == (None, 0)


def test_it_ends_when_its_time_is_up(bundle: Bundle) -> None:
    one, sink = endless(bundle)
    session = Session([one], device="cpu")
    run(session, duration_s=0.1)
    assert_ended_in_order(session, sink)


def test_any_thread_can_end_it_and_what_lasts_ends_with_it(bundle: Bundle) -> None:
    one, sink = endless(with_thresholds(bundle, 1e-20), speed=20.0)
    session = Session([one], device="cpu")

    def end() -> None:
        wait_until(lambda: sink.events, "an anomaly")
        session.end()

    thread = threading.Thread(target=end)
    thread.start()
    run(session)
    thread.join()
    assert_ended_in_order(session, sink)
    begun, ended = sink.events
    assert begun.id == ended.id
    assert ended.end_s is not None
    assert session.anomalies == 1


def broken_source() -> BlockSource:
    def sound() -> object:
        yield noise(RATE)
        raise ZeroDivisionError("by nobody's fault")

    return BlockSource(sound, RATE, name="broken")


def test_a_stream_that_fails_ends_the_others_only_where_that_is_asked_for(bundle: Bundle) -> None:
    """Without it they would go on for ever here; the error is that of the session in either case."""
    other, sink = endless(bundle, name="other")
    session = Session([plan(bundle, broken_source(), name="broken"), other], device="cpu", end_with_first_error=True)
    run(session)
    assert_ended_in_order(session, sink)
    assert "by nobody's fault" in str(session.error)

    finite, sink = blocks(bundle, 3.0, name="other")
    session = Session([plan(bundle, broken_source(), name="broken"), finite], device="cpu")
    run(session)
    assert len(sink.score) == 301
    assert "by nobody's fault" in str(session.error)


def test_what_shows_it_is_given_the_session_and_may_end_it(bundle: Bundle) -> None:
    one, sink = endless(bundle)
    session, seen = Session([one], device="cpu"), []

    def show(shown: Session) -> None:
        seen.append((shown is session, shown.over()))
        wait_until(lambda: sink.rows, "scores while it is shown")

    run(session, show=show)
    assert seen == [(True, False)]
    assert_ended_in_order(session, sink)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_where_showing_it_is_interrupted_or_fails_all_is_ended_in_order_all_the_same(
    bundle: Bundle, error: type[BaseException]
) -> None:
    one, sink = endless(bundle)
    session = Session([one], device="cpu")

    def show(_: Session) -> None:
        wait_until(lambda: sink.rows, "scores")
        raise error

    with pytest.raises(error):
        run(session, show=show)
    assert_ended_in_order(session, sink)


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_a_signal_ends_it_in_order_and_afterwards_means_what_it_meant_before(
    bundle: Bundle, number: signal.Signals
) -> None:
    """Tested where sessions run: on the main thread."""
    one, sink = endless(bundle)
    session, received = Session([one], device="cpu"), []
    before = signal.signal(number, lambda *_: received.append(number))
    try:

        def send() -> None:
            wait_until(lambda: sink.rows, "scores")
            os.kill(os.getpid(), number)

        thread = threading.Thread(target=send)
        thread.start()
        run(session)
        thread.join()
        assert not received
        signal.raise_signal(number)
        assert received == [number]
    finally:
        signal.signal(number, before)
    assert_ended_in_order(session, sink)


def test_a_hang_up_does_what_it_was_given_to_do_and_the_session_goes_on(bundle: Bundle) -> None:
    one, sink = endless(bundle)
    session, hung_up = Session([one], device="cpu"), threading.Event()

    def send() -> None:
        wait_until(lambda: sink.rows, "scores")
        os.kill(os.getpid(), signal.SIGHUP)
        assert hung_up.wait(DEADLINE_S)
        before = len(sink.rows)
        wait_until(lambda: len(sink.rows) > before, "more scores")
        session.end()

    thread = threading.Thread(target=send)
    thread.start()
    run(session, hangup=hung_up.set)
    thread.join()
    assert_ended_in_order(session, sink)


def test_a_session_can_run_on_a_thread_that_is_not_the_main_one(bundle: Bundle) -> None:
    one, sink = blocks(bundle, 1.0)
    session = Session([one], device="cpu")
    thread = threading.Thread(target=session.run)
    thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert_ended_in_order(session, sink)


def test_a_threshold_is_scaled_for_the_stream_of_a_name(bundle: Bundle) -> None:
    (one, _), (two, _) = blocks(bundle, 1.0, name="a"), blocks(bundle, 1.0, name="b")
    session = Session([one, two], device="cpu")
    session.scale_threshold(2.0, "b")
    session.scale_threshold(3.0, "nobody")
    run(session)
    threshold = bundle.thresholds["score"].value
    assert [shown.threshold for shown in session.engine.latest] == [threshold, 2 * threshold]


def test_what_makes_listening_prompt_is_undone_afterwards() -> None:
    interval, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    with low_latency():
        assert sys.getswitchinterval() == pytest.approx(1e-4)
        assert gc.get_freeze_count() > frozen
    assert (sys.getswitchinterval(), gc.get_freeze_count()) == (interval, 0)
