"""Readings and facts beside the charts: in the words of somebody who runs machines, at every common size."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from monitor.core.events import Event, State
from monitor.dashboard.layout import Screen, Streams, plan
from monitor.dashboard.render.theme import COLOUR
from monitor.dashboard.render.view import View
from support.snapshots import NOW, ONGOING, drawn, snapshot, stream

COMMON = [(80, 24), (100, 30), (120, 36), (160, 48), (200, 60)]


@pytest.mark.parametrize(("width", "height"), COMMON)
def test_score_and_error_are_shares_of_their_limits(width: int, height: int) -> None:
    rows = [row[-plan(width, height).side :].split() for row in drawn(snapshot(State.ANOMALY), width, height)[:8]]
    assert ["score", "300", "273", "%", "of", "limit"] in rows
    assert ["error", "0.700", "156", "%", "of", "limit"] in rows


@pytest.mark.parametrize(("width", "height"), [(60, 40), (40, 10), (60, 12)])
def test_the_score_is_a_share_of_its_limit_on_small_terminals_too(width: int, height: int) -> None:
    assert "273 % of limit" in "\n".join(drawn(snapshot(State.ANOMALY), width, height)[:6])
    assert "no score" in "\n".join(drawn(snapshot(State.LISTENING), width, height)[:6])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fused", "network + spectrum"), ("mahalanobis", "network"), ("spectrum", "spectrum"), ("error", "mean error"),
        ("other", "other"),
    ],
)  # fmt: skip
def test_what_the_score_is_made_of_is_said_in_plain_words(kind: str, words: str) -> None:
    for rows in (drawn(snapshot(kind=kind), 120, 36), drawn(snapshot(kind=kind), overlay="details")):
        (row,) = [row for row in rows if "method " in row]
        assert row.partition("method ")[2].strip() == words


def test_the_clock_of_a_sender_in_the_network_is_among_the_details_once_it_is_known() -> None:
    (row,) = [row for row in drawn(snapshot(clock_ppm=203.7), overlay="details") if "sender" in row]
    assert row.partition("sender")[2].split() == ["clock", "+204", "ppm"]
    assert not [row for row in drawn(snapshot(), overlay="details") if "sender" in row]


@pytest.mark.parametrize(("width", "height"), COMMON)
def test_growing_evidence_for_a_lasting_anomaly_is_shown_in_per_cent(width: int, height: int) -> None:
    text = "\n".join(drawn(snapshot(State.WARNING, lasting_sum=0.62), width, height))
    assert "62 %" in text
    assert "lasting" in text


def test_evidence_is_amber_from_a_half_and_red_when_it_is_enough() -> None:
    for share, style in ((0.49, COLOUR.value), (0.5, COLOUR.warn), (0.99, COLOUR.warn), (1.0, COLOUR.alert)):
        lines = Screen(snapshot(lasting_sum=share, share_of_limit=1.2), View()).lines(160, 48, COLOUR)
        (gauge,) = [line for line in lines if any(part.text.startswith("lasting ") for part in line)]
        (figures,) = [part for part in gauge if part.text.strip() == f"{100 * share:.0f} %"]
        assert figures.style == style


def test_a_state_that_comes_from_small_but_lasting_deviations_says_so() -> None:
    small = snapshot(score=60.0, lasting_sum=1.1, share_of_limit=1.1)
    lasting = (replace(ONGOING, cause="lasting"),)
    for state, words in ((State.WARNING, "a little unusual for a while"), (State.ANOMALY, "a little unusual for 8 s")):
        rows = drawn(replace(small, state=state, events=lasting), 120, 36)
        assert words in "\n".join(rows)
        assert any("share of limit" in row and "lasting" in row and "110 %" in row for row in rows)
        assert words not in "\n".join(drawn(snapshot(state), 120, 36))


def test_the_banner_says_why_where_and_for_how_long() -> None:
    assert "unusual for 8 s: new sound at 2.1-2.8 kHz" in drawn(snapshot(State.ANOMALY))[4]
    wide = drawn(snapshot(State.ANOMALY), 160, 36)[4]
    assert "unusual for 8 s: new sound at 2.1-2.8 kHz, missing sound at 310-420 Hz" in wide
    later = drawn(snapshot(State.ANOMALY, position_s=492.0 + 185))[4]
    assert "unusual for 3:05: new sound" in later
    assert "no sound comes in, for 10 s" in drawn(snapshot(State.LOST))[4]
    assert "sounds as usual" in drawn(snapshot())[4]


def test_a_busy_computer_is_amber_and_one_that_cannot_follow_is_red() -> None:
    for load, style in ((0.5, COLOUR.value), (0.9, COLOUR.warn), (0.99, COLOUR.alert), (1.0, COLOUR.alert)):
        for shown in (snapshot(load=load), Streams((stream("a", load=load), stream("b")), (0, 1))):
            lines = Screen(shown, View()).lines(80, 24, COLOUR)
            (text,) = [part for line in lines for part in line if part.text.endswith(" % busy")]
            assert text.style == style


def test_how_old_the_limit_is_can_be_read_at_every_common_size() -> None:
    note = "1 false alarm a day, estimated from 150 s, 3 days ago"
    for width, height in COMMON:
        rows = drawn(snapshot(threshold_note=note, lasting_sum=0.7), width, height)
        side = " ".join(" ".join(row[-plan(width, height).side :] for row in rows).split())
        assert "3 days ago" in side or "3 days ago" in "\n".join(rows), (width, height)


def test_a_limit_set_by_hand_says_so() -> None:
    for width, height in ((80, 24), (120, 36)):
        assert "set by hand" in "\n".join(drawn(snapshot(threshold_note="set by hand"), width, height))


@pytest.mark.parametrize(("width", "height"), COMMON)
def test_how_much_was_not_heard_is_a_time(width: int, height: int) -> None:
    text = "\n".join(drawn(snapshot(lost_s=30.02, events=()), width, height))
    assert "30 s not heard" in text or "not heard  30 s" in text


def test_only_a_recent_gap_is_emphasised() -> None:
    for ago, style in ((60.0, COLOUR.warn), (3600.0, COLOUR.value)):
        gap = Event("gap", 10.0, 10.4, NOW - ago, "mic", lost_samples=6400)
        lines = Screen(snapshot(events=(gap,)), View(now=NOW)).lines(120, 36, COLOUR)
        (text,) = [part for line in lines for part in line if part.text == "5.9 s"]
        assert text.style == style


def test_the_delay_is_one_figure_and_its_parts_are_among_the_details() -> None:
    (row,) = [row for row in drawn(snapshot(), 120, 36) if "delay " in row]
    assert row.partition("delay ")[2].strip() == "0.1 s"
    text = " ".join(" ".join(drawn(snapshot(), overlay="details")).split())
    assert "0.1 s: 106 ms until enough sound has come in, and 3.8 ms to compute the score" in text
    assert "99 % within 34.9 ms" in text


def test_the_speed_of_a_replay_is_said_only_where_it_is_not_real_time() -> None:
    assert not any("real time" in row or "speed" in row for row in drawn(snapshot(), 120, 36))
    assert any("4 times real time" in row for row in drawn(snapshot(speed=4.0), 120, 36))
    assert any("as fast as possible" in row for row in drawn(snapshot(speed=math.inf), 120, 36))


def test_the_meter_grows_with_the_level_and_holds_the_peak() -> None:
    def meter(level: float, peak: float) -> str:
        return drawn(snapshot(level_dbfs=level, peak_dbfs=peak))[4][50:]

    lengths = [meter(level, -math.inf).count("█") for level in (-math.inf, -79, -60, -40, -20, 0)]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert lengths[-1] == len(meter(0, 0)[8:-9])
    assert meter(-60, -20).index("┃") > meter(-60, -40).index("┃")


def test_silence_is_said_in_words() -> None:
    for width, height in COMMON:
        text = "\n".join(drawn(snapshot(level_dbfs=-math.inf, peak_dbfs=-math.inf, events=()), width, height))
        assert "no sound" in text


def test_the_end_of_a_recording_is_said_beside_the_time() -> None:
    assert drawn(snapshot(finished=True))[0].endswith("ended")
    assert drawn(snapshot())[0].endswith("running 8:21")


def test_a_stream_of_several_says_its_name_and_the_key_back_to_the_table() -> None:
    for width, height in ((80, 24), (120, 36)):
        rows = drawn(stream("press"), width, height)
        assert any("press" in row for row in rows[:-1])
        assert "esc table" in rows[-1]


def test_the_key_that_resumes_is_visible_while_the_display_is_paused() -> None:
    for shown in (snapshot(State.NO_SIGNAL), stream("press", State.NO_SIGNAL)):
        for message in ("", "paused at 12:00:00, state now NO SIGNAL"):
            assert "space resume" in drawn(shown, 80, 24, paused=True, message=message)[-1]
