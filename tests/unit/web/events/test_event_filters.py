"""Filters that stand in the address, and the list as rows and as CSV."""

from __future__ import annotations

import csv
import datetime
import io
from urllib.parse import parse_qsl

import pytest

from monitor.store.event_search import Place
from monitor.web.events.event_filters import Filters, month_of, neighbour_month, place_of, place_text
from monitor.web.events.event_rows import csv_lines, rows
from support.stored import NOW, stored_event


def of(query: str) -> Filters:
    return Filters.of(parse_qsl(query, keep_blank_values=True))


def test_anomalies_without_a_verdict_come_first_unless_something_else_is_chosen() -> None:
    assert of("").search(NOW).kinds == ("anomaly",)
    assert of("").search(NOW).order == "to judge"
    assert of("kind=gap").search(NOW).order == "newest"
    assert of("order=newest").search(NOW).order == "newest"
    assert of("kind=all").search(NOW).kinds == ()


@pytest.mark.parametrize(
    "query",
    ["", "kind=all&open=1", "kind=new+mode&stream=3&stream=7", "verdict=none&verdict=real+fault&last=7d",
     "from=2026-11-01&to=2026-11-03&order=newest", "kind=gap&order=judge"],
)  # fmt: skip
def test_an_address_that_is_sent_to_somebody_shows_the_same(query: str) -> None:
    assert of(query).address() == (f"/events?{query}" if query else "/events")
    assert of(of(query).address().partition("?")[2]) == of(query)


@pytest.mark.parametrize(
    "query",
    ["kind=<script>", "stream=x&stream=-1&stream=99999999999", "last=9y", "from=yesterday", "verdict=maybe", "order=up",
     "open=2", "from=0001-01-01", "to=9999-12-31"],
)  # fmt: skip
def test_what_makes_no_sense_in_an_address_is_passed_over(query: str) -> None:
    assert of(query) == Filters()
    assert of(query).search(NOW).kinds == ("anomaly",)


def test_days_are_local_and_both_are_included() -> None:
    wanted = of("from=2026-10-24&to=2026-10-25").search(NOW)
    assert wanted.since == datetime.datetime(2026, 10, 24).timestamp()
    assert wanted.until == datetime.datetime(2026, 10, 26).timestamp()
    assert of("last=24h").search(NOW).since == NOW - 86_400


def test_a_place_in_the_list_survives_an_address() -> None:
    place = Place(True, NOW + 0.123456, "019ac4f0-0000-7000-8000-0123456789ab")
    assert place_of(place_text(place)) == place
    assert place_of("") is None
    for onset, event_id in (("nan", "019a"), ("inf", "019a"), ("1e300", "019a"), ("-1", "019a"), ("1", "%00")):
        assert place_of(f"1~{onset}~{event_id}") is None, "the database would refuse it"
    assert place_of("1~x~y") is None


def test_months_follow_each_other() -> None:
    december = datetime.date(2026, 12, 1)
    assert neighbour_month(december, 1) == datetime.date(2027, 1, 1)
    assert neighbour_month(datetime.date(2026, 1, 1), -1) == datetime.date(2025, 12, 1)
    assert month_of("2026-12", datetime.date(2026, 5, 9)) == december
    assert month_of("<b>", datetime.date(2026, 5, 9)) == datetime.date(2026, 5, 1)


def test_nothing_that_is_stored_becomes_html() -> None:
    shown = rows(
        [stored_event(0, stream="<script>x</script>", verdict="<b>", acknowledged=NOW, acknowledged_by="<i>")], {}
    )
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "<i>" not in shown


def test_the_csv_has_all_events_and_no_cell_that_a_spreadsheet_computes() -> None:
    events = [stored_event(n, acknowledged=NOW, acknowledged_by="=cmd()") for n in range(1200)]
    text = "".join(csv_lines(events))
    read = list(csv.DictReader(io.StringIO(text)))
    assert [one["id"] for one in read] == [one.id for one in events]
    assert {one["acknowledged_by"] for one in read} == {"'=cmd()"}
    assert read[0]["began"].endswith("Z")
    assert read[0]["peak_share"] == "3.550"


@pytest.mark.parametrize("text", ["0001-01", "1969-12", "9999-12", "2026-13", "x", "2026-11-01", None])
def test_a_month_that_no_clock_shows_is_that_of_today(text: str | None) -> None:
    today = datetime.date(2026, 11, 27)
    assert month_of(text, today) == datetime.date(2026, 11, 1)
