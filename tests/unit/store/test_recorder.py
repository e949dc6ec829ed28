"""What the recorder makes of a stream: events with their shares of the limit, warnings, and minute values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from monitor.core.events import Event, ScoreRows, State
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.recorder import Recorder
from monitor.store.records import StoredEvent
from monitor.store.writer import StoreWriter
from support.listening import wait_until
from support.score_rows import MINUTE, START, cut, following, made_rows
from support.snapshots import snapshot

URL = "sqlite:///store.sqlite"  # each test runs in a folder of its own


class Recorded:
    """A recorder with a store of its own."""

    def __init__(self) -> None:
        self.writer = StoreWriter(URL, "hall-3")
        self.recorder = Recorder(self.writer)

    def scores(self, *rows: ScoreRows) -> None:
        for one in rows:
            self.recorder.scores(one)

    def close(self) -> None:
        self.recorder.close()
        self.recorder.close()  # once for each stream
        self.writer.close()
        assert self.recorder.error is None

    def events(self, *kinds: str) -> list[StoredEvent]:
        """What is stored, the oldest first."""
        self.close()
        with Store.open(URL, create=False) as store:
            return queries.events(store, kinds=kinds, newest_first=False)


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.close()


def anomaly(start_s: float, end_s: float | None, reported_s: float = 0.0, **facts: object) -> Event:
    given = {"peak": 150.0, "mean": 120.0, "threshold": 100.0, "cause": "sudden", "stream": "pump", **facts}
    return Event("anomaly", start_s, end_s, START + start_s, "mic", reported_s=reported_s, **given)  # type: ignore[arg-type]


def test_an_anomaly_has_the_times_of_its_onset_its_report_and_its_end(recorded: Recorded) -> None:
    begun = anomaly(10.0, None, 40.0, model_id="1f0c")
    for event in (begun, replace(begun, reminders=1), replace(begun, reminders=1, end_s=70.0)):
        recorded.recorder.event(event)
        recorded.recorder.snapshot(snapshot(stream="pump"))
    [stored] = recorded.events()
    assert stored.id == begun.id
    assert (stored.onset, stored.reported, stored.ended) == (START + 10, START + 40, START + 70)
    assert (stored.host, stored.stream, stored.source, stored.model_id) == ("hall-3", "pump", "mic", "1f0c")
    assert (stored.cause, stored.peak, stored.threshold, stored.reminders) == ("sudden", 150.0, 100.0, 1)
    assert (stored.start_s, stored.cut_off) == (10.0, False)


def test_the_share_of_an_anomaly_counts_from_its_onset_to_its_end(recorded: Recorded) -> None:
    pieces = following(
        (30.0, State.NORMAL, 0.2), (20.0, State.WARNING, 0.8), (10.0, State.ANOMALY, 1.5), (10.0, State.ANOMALY, 0.4)
    )
    begun = anomaly(30.0, None, 50.0)
    recorded.scores(*pieces[:2])
    recorded.recorder.event(begun)  # it is reported before the scores that it was found in
    recorded.scores(*cut(pieces[2], [7]), *cut(pieces[3], [13]))
    recorded.recorder.event(replace(begun, end_s=60.0))
    [stored] = recorded.events("anomaly")
    assert stored.peak_share == pytest.approx(1.5)
    assert stored.mean_share == pytest.approx((20 * 0.8 + 10 * 1.5) / 30)


def test_the_share_at_the_report_is_above_the_limit_when_it_is_told(recorded: Recorded) -> None:
    told: list[StoredEvent] = []
    recorded.writer.on_event = lambda _, event: told.append(event)
    recorded.scores(*following((30.0, State.NORMAL, 0.2)))
    recorded.recorder.event(anomaly(29.0, None, 30.5))
    recorded.scores(made_rows(0.5, State.ANOMALY, share=1.1, first=300))
    recorded.close()
    assert [(event.ended, event.peak_share) for event in told] == [(None, pytest.approx(1.1))]


def test_an_anomaly_without_scores_is_recorded_with_the_share_of_its_score(recorded: Recorded) -> None:
    recorded.recorder.event(anomaly(3.0, 5.0))
    [stored] = recorded.events()
    assert (stored.peak_share, stored.mean_share) == pytest.approx((1.5, 1.2))


def test_a_recording_that_is_an_anomaly_as_a_whole_is_above_the_limit_of_recordings(recorded: Recorded) -> None:
    recorded.scores(made_rows(10.0, share=0.6))
    recorded.recorder.event(anomaly(0.0, 10.0, 10.0, cause="recording", peak=30.0, mean=30.0, threshold=20.0))
    [stored] = recorded.events()
    assert (stored.peak_share, stored.mean_share) == pytest.approx((1.5, 1.5))


def test_an_anomaly_that_lasts_for_hours_keeps_its_share(recorded: Recorded) -> None:
    begun = anomaly(10.0, None, 10.0)
    recorded.scores(made_rows(10.0, share=0.1))
    recorded.recorder.event(begun)
    recorded.scores(made_rows(10.0, State.ANOMALY, share=3.0, first=100))
    recorded.scores(made_rows(5000.0, State.ANOMALY, share=1.2, first=200))
    recorded.recorder.event(replace(begun, end_s=5020.0))
    [stored] = recorded.events()
    assert stored.peak_share == pytest.approx(3.0)
    assert stored.mean_share == pytest.approx((10 * 3.0 + 5000 * 1.2) / 5010)


def test_a_warning_is_an_event_with_its_times_and_its_share(recorded: Recorded) -> None:
    pieces = following((10.0, State.NORMAL, 0.2), (4.0, State.WARNING, 0.8), (60.0, State.NORMAL, 0.3))
    recorded.scores(*(part for rows in pieces for part in cut(rows, [5])))
    [stored] = recorded.events()
    assert (stored.kind, stored.onset, stored.reported, stored.ended) == ("warning", START + 10, START + 10, START + 14)
    assert (stored.peak_share, stored.mean_share) == pytest.approx((0.8, 0.8))
    assert (stored.peak, stored.threshold) == pytest.approx((80.0, 100.0))
    assert not stored.cut_off


def test_warnings_close_to_each_other_are_one_and_others_are_not(recorded: Recorded) -> None:
    warning, normal = (1.0, State.WARNING, 0.9), State.NORMAL
    pieces = following(warning, (29.0, normal, 0.2), warning, (31.0, normal, 0.2), warning, (31.0, normal, 0.2))
    recorded.scores(*(part for rows in pieces for part in cut(rows, [5])))
    assert [(event.onset - START, (event.ended or 0.0) - START) for event in recorded.events()] == [(0, 31), (62, 63)]


def test_a_warning_that_becomes_an_anomaly_ends_there(recorded: Recorded) -> None:
    pieces = following((5.0, State.WARNING, 0.9), (20.0, State.ANOMALY, 1.2), (5.0, State.WARNING, 0.9))
    recorded.scores(*pieces[:2])
    recorded.scores(pieces[2])
    first, second = recorded.events()
    assert ((first.ended or 0.0) - START, first.cut_off) == (5.0, False)
    assert (second.onset - START, (second.ended or 0.0) - START, second.cut_off) == (25.0, 30.0, True)


def test_a_warning_that_the_sound_breaks_off_in_is_cut_off(recorded: Recorded) -> None:
    now = time.time()
    recorded.scores(made_rows(5.0, State.WARNING, first=1, wall_time=now - 3600))
    recorded.recorder.snapshot(snapshot(State.LOST, stream="pump"))
    [stored] = recorded.events()
    assert stored.cut_off
    assert stored.ended == pytest.approx(now - 3595, abs=1e-3)


def test_a_warning_ends_with_its_recording(recorded: Recorded) -> None:
    recorded.scores(made_rows(5.0, State.WARNING), made_rows(5.0, source="b.wav", wall_time=START + 100))
    [stored] = recorded.events()
    assert (stored.ended, stored.cut_off) == (START + 5, True)


@pytest.mark.parametrize("lengths", [[1], [7, 300], [1000]])
def test_however_scores_are_cut_warnings_and_their_shares_are_the_same(recorded: Recorded, lengths: list[int]) -> None:
    random = np.random.default_rng(0)
    pieces = following((10.0, State.NORMAL, 0.1), (9.0, State.WARNING, 0.8), (90.0, State.NORMAL, 0.3))
    pieces[1] = replace(pieces[1], share=random.random(90))
    recorded.scores(*(part for rows in pieces for part in cut(rows, lengths)))
    [stored] = recorded.events()
    assert (stored.onset, stored.ended) == (START + 10, START + 19)
    assert stored.mean_share == pytest.approx(pieces[1].share.mean())


def test_minutes_of_several_streams_are_kept_apart(recorded: Recorded) -> None:
    for stream, share in (("pump", 0.4), ("fan", 0.6)):
        recorded.scores(made_rows(90.0, stream=stream, share=share))
        recorded.recorder.snapshot(snapshot(stream=stream, level_dbfs=-30.0))
    recorded.close()
    with Store.open(URL, create=False) as store:
        for stream in queries.streams(store):
            values = queries.minutes(store, stream.id, since=START, until=START + 600)
            assert values.time.tolist() == [60 * MINUTE, 60 * (MINUTE + 1)]
            assert values.share_mean == pytest.approx([0.6 if stream.name == "fan" else 0.4] * 2)
            assert values.level[1] == pytest.approx(-30.0)
            assert values.seconds["normal"].tolist() == [60, 30]
            assert stream.last_seen == START + 90


def test_the_level_of_a_minute_is_that_of_all_its_sound_not_of_the_moments_of_the_snapshots(recorded: Recorded) -> None:
    recorded.scores(made_rows(90.0))
    recorded.recorder.snapshot(snapshot(stream="pump", level_dbfs=-60.0, mean_level_dbfs=-30.0))
    recorded.close()
    with Store.open(URL, create=False) as store:
        [stream] = queries.streams(store)
        assert queries.minutes(store, stream.id, since=START, until=START + 600).level[1] == pytest.approx(-30.0)


def test_a_stream_that_has_ended_is_written_at_once(recorded: Recorded) -> None:
    recorded.scores(made_rows(30.0))
    recorded.recorder.snapshot(snapshot(stream="pump", finished=True))

    def written() -> bool:
        with Store.open(URL) as store:
            return len(queries.minutes(store, 1, since=START, until=START + 60).time) == 1

    wait_until(written, "the minute of the stream that has ended")


def test_what_is_wrong_with_the_store_is_said_by_the_recorder() -> None:
    writer = StoreWriter("sqlite:////nowhere/store.sqlite", "hall-3")
    recorder = Recorder(writer)
    recorder.scores(made_rows(90.0))
    recorder.close()
    writer.close()
    assert "no folder /nowhere" in recorder.trouble
    assert "no folder /nowhere" in str(recorder.error)
    assert recorder.dropped == 2
