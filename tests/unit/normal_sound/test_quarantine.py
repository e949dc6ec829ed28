"""Nothing is learnt from the sound near an anomaly until somebody says that it was no fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import DataError
from monitor.normal_sound.quarantine import (
    LIST,
    QUARANTINE,
    Anomaly,
    Standing,
    standings,
    survey,
    usable_pieces,
    write_anomalies,
)
from monitor.store.database import Store
from monitor.store.verdicts import VERDICTS, record
from support.pieces import piece_at, unwritten
from support.stored import fill, stored_event

HOUR = 3600.0
T = 1_795_000_000.0
USABLE, HELD, REFUSED = Standing


def anomaly(hours: float, lasted_s: float = 30.0, *, sudden: bool = True, **facts: Any) -> Anomaly:
    """An anomaly that began so many hours after T."""
    return Anomaly(f"{hours:g}", T + hours * HOUR, T + hours * HOUR + lasted_s, sudden, **facts)


def standing(hours: float, *anomalies: Anomaly, hold_h: float = 24.0) -> Standing:
    """The standing of a piece so many hours after T."""
    [found] = standings([unwritten(T + hours * HOUR)], anomalies, hold_h * HOUR)
    return found


def test_the_sound_of_an_anomaly_is_never_learnt() -> None:
    for verdict in ("", *VERDICTS):
        assert standing(0.0, anomaly(0.0, verdict=verdict)) is REFUSED
        assert standing(-30 / HOUR, anomaly(0.0, verdict=verdict)) is REFUSED  # up to its onset, with a margin


@pytest.mark.parametrize(
    "lasting", [anomaly(0.0, sudden=False), anomaly(0.0, 700.0), anomaly(0.0, lasts=True)], ids=["slow", "long", "now"]
)
def test_a_fault_that_grows_slowly_does_not_creep_in_before_it_is_reported(lasting: Anomaly) -> None:
    assert standing(-23.9, lasting) is HELD
    assert standing(-24.1, lasting) is USABLE
    assert standing(-6.1, lasting, hold_h=6) is USABLE


def test_after_a_long_anomaly_the_sound_is_held_back_as_well_because_a_fault_may_fall_silent_for_a_time() -> None:
    assert standing(23.9, anomaly(0.0, 700.0)) is HELD
    assert standing(24.5, anomaly(0.0, 700.0)) is USABLE
    assert standing(99.0, anomaly(0.0, lasts=True)) is REFUSED


def test_a_single_short_sudden_anomaly_holds_back_an_hour_but_several_as_much_as_a_long_one() -> None:
    assert standing(-0.9, anomaly(0.0)) is HELD
    assert standing(-1.1, anomaly(0.0)) is USABLE
    often = [anomaly(3.0 * number) for number in range(6)]
    assert standing(-1.1, *often[:5]) is USABLE
    assert standing(-1.1, *often) is HELD
    disturbed = [anomaly(hours, verdict="disturbance") for hours in (3.0, 6.0, 9.0, 12.0, 15.0)]
    assert standing(-1.1, anomaly(0.0), *disturbed) is USABLE  # those that are known to be no fault do not count


@pytest.mark.parametrize("verdict", ["new but normal", "disturbance", "maintenance"])
def test_a_verdict_that_it_was_no_fault_releases_all_outside_of_the_anomaly(verdict: str) -> None:
    assert standing(-1.0, anomaly(0.0, 7200.0, verdict=verdict)) is USABLE
    assert standing(1.0, anomaly(0.0, 7200.0, verdict=verdict)) is REFUSED


@pytest.mark.parametrize("verdict", ["real fault", "sensor"])
def test_a_fault_keeps_the_sound_around_it_out_for_good_however_short_it_was(verdict: str) -> None:
    assert standing(-20.0, anomaly(0.0, verdict=verdict)) is REFUSED
    assert standing(20.0, anomaly(0.0, verdict=verdict)) is REFUSED


@given(
    st.lists(st.tuples(st.floats(-99, 99), st.floats(0, 9e4), st.booleans(), st.sampled_from(["", *VERDICTS]))),
    st.lists(st.floats(-200, 200), max_size=20),
)
def test_one_more_anomaly_never_makes_a_piece_usable(found: list[tuple[Any, ...]], times: list[float]) -> None:
    anomalies = [Anomaly(str(i), T + h * HOUR, T + h * HOUR + s, sudden, verdict=v) for i, (h, s, sudden, v) in
                 enumerate(found)]  # fmt: skip
    pieces = [unwritten(T + hours * HOUR) for hours in times]
    before: list[Standing] = [USABLE] * len(pieces)
    for count in range(len(anomalies) + 1):
        now = standings(pieces, anomalies[:count], 24 * HOUR)
        assert all(after >= earlier for earlier, after in zip(before, now, strict=True))
        before = now


def test_the_newest_verdict_in_the_store_counts_and_can_be_withdrawn(tmp_path: Path) -> None:
    event = stored_event(onset=T, ended=T + 7200, stream="pump")
    folder = tmp_path / "pump"
    early, near = piece_at(folder, T - 48 * HOUR), piece_at(folder / QUARANTINE, T - 2 * HOUR)
    write_anomalies(folder, [Anomaly(event.id, T, T + 7200, sudden=True)])

    def usable() -> list[Path]:
        return [piece.path for piece in usable_pieces(folder, store, hold_h=24)]

    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        fill(store, {}, [event])
        assert usable() == [early.path]
        found = survey(folder, store, hold_h=24)
        assert [piece.path for piece in found.held] == [near.path]
        assert [one.event_id for one in found.undecided] == [event.id]
        record(store, event.id, "disturbance", by="anna")
        assert usable() == [early.path, near.path]
        record(store, event.id, "real fault", by="anna")
        assert usable() == [early.path]
        record(store, event.id, "", by="anna")
        assert usable() == [early.path]
        assert usable_pieces(folder, hold_h=1)[0].path == early.path


def test_anomalies_of_the_store_hold_back_even_if_the_list_beside_the_pieces_was_deleted(tmp_path: Path) -> None:
    piece = piece_at(tmp_path, T - 2 * HOUR)
    long, short, cut_off = (
        stored_event(number, onset=T, ended=T + lasted_s, cut_off=cut_off)
        for number, (lasted_s, cut_off) in enumerate([(7200.0, False), (30.0, False), (30.0, True)])
    )
    assert [one.path for one in survey(tmp_path, hold_h=24, events=[short]).usable] == [piece.path]
    for event in (long, cut_off):  # nobody knows how long one would have lasted that was cut off
        found = survey(tmp_path, hold_h=24, events=[event])
        assert [one.path for one in found.held] == [piece.path]
        assert [one.event_id for one in found.undecided] == [event.id]


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"anomalies": [{"event_id": "1", "onset": null, "ended": NaN, "sudden": true}]}']
)
def test_a_damaged_list_of_anomalies_is_one_sentence_and_nothing_is_learnt(tmp_path: Path, text: str) -> None:
    piece_at(tmp_path, T)
    (tmp_path / LIST).write_text(text)
    with pytest.raises(DataError, match=r"\.anomalies\.json: is damaged, so it is not known which pieces are near an"):
        usable_pieces(tmp_path, hold_h=24)


def test_without_pieces_there_is_nothing_to_use(tmp_path: Path) -> None:
    assert usable_pieces(tmp_path / "pump", hold_h=24) == []
