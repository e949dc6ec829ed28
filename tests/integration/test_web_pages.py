"""The pages of a stream, of the events and of a month, in a real browser."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from monitor.core.events import State, new_event_id
from monitor.store import queries, tables
from support.browser import Page, browser, needs_chromium
from support.listening import wait_until
from support.snapshots import SLOTS, snapshot
from support.web_server import SETTINGS, Hall, WebServer, hall_of, web_server

pytestmark = [pytest.mark.long, needs_chromium]
PHONE = (390, 844)
WEEK_S = 7 * 86_400
LIVE = "getElement(+document.querySelector('.live-view').id.slice(1))"
CHART = "getElement(+document.querySelector('.history-chart').id.slice(1)).chart"


@dataclass
class Plant:
    """A page's server, a browser, and the hall whose streams they show."""

    hall: Hall
    server: WebServer
    page: Page
    slot: int = 0  # the newest that was heard

    def go(self, path: str) -> None:
        """Opens a page in the size of a laptop's screen."""
        self.page.size(1366, 768)
        self.page.go(self.server.url + path)

    def hear(self, slots: int, *, loud: bool = False) -> None:
        """The pump is heard for some tenths of a second."""
        assert self.hall.status is not None
        self.slot += slots
        shown = snapshot(State.ANOMALY if loud else State.NORMAL)
        rolled = np.roll(shown.score_history, -slots)
        self.hall.status.snapshot(
            dataclasses.replace(
                shown,
                stream="pump",
                first_slot=self.slot,
                score_history=rolled,
                events=(),
                share_of_limit=2.5 if loud else 0.45,
            )
        )


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Two streams with an hour of minutes, that of last week, and 250 anomalies over five weeks."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "config.yaml").write_text(SETTINGS)
    with hall_of(folder / "state", ("pump", "fan")) as hall:
        fill(hall)
        with web_server(folder, folder / "state") as server, browser(folder) as page:
            yield Plant(hall, server, page)


def fill(hall: Hall) -> None:
    now = time.time()
    earlier = range(int((now - WEEK_S) // 60) - 90, int((now - WEEK_S) // 60) + 90)
    rows = [{"stream_id": hall.ids["pump"], "minute": one, "share_mean": 600, "share_max": 700, "level": -300,
             "normal_s": 60} for one in earlier]  # fmt: skip
    events: list[dict[str, object]] = []
    judged: list[dict[str, object]] = []
    for number in range(250):
        event_id, onset = new_event_id(), now - 7200 - number * 12_000
        stream = hall.ids["pump" if number % 5 else "fan"]
        events.append({"id": event_id, "stream_id": stream, "kind": "anomaly", "onset": onset, "reported": onset,
                       "ended": onset + 30, "peak_share": 1.4, "cause": "sudden", "bands": []})  # fmt: skip
        if number % 2:
            verdict = "disturbance" if number % 4 == 1 else "real fault"
            judged.append({"event_id": event_id, "verdict": verdict, "time": now, "by": "Maria"})
    with hall.store.begin() as connection:
        connection.execute(tables.minutes.insert(), rows)
        connection.execute(tables.events.insert(), events)
        connection.execute(tables.verdicts.insert(), judged)


def no_sideways_scrolling(page: Page) -> bool:
    return bool(page.value("document.documentElement.scrollWidth <= innerWidth"))


def test_the_live_charts_begin_with_the_last_minute_and_move_with_the_sound(plant: Plant) -> None:
    plant.hear(600)
    plant.go(f"/stream/{plant.hall.ids['pump']}")
    plant.page.wait(f"{LIVE}.newest()?.[1] >= {SLOTS}", "the last minute")
    before = plant.page.value(f"{LIVE}.newest()[0]")
    plant.hear(25, loud=True)
    plant.page.wait(f"{LIVE}.newest()[0] === {before} + 25", "what is new")
    plant.page.wait("document.querySelector('.state').innerText.trim() === 'ANOMALY'")
    assert "250 % of the limit" in plant.page.text()
    assert "from 40 held-out recordings" in plant.page.text(), "where the limit comes from"
    plant.hear(5)
    plant.page.wait("document.querySelector('.state').innerText.trim() === 'NORMAL'")
    drawn = plant.page.value(
        "(() => { const c = document.querySelector('.live-view canvas');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(one => one > 0); })()"
    )
    assert drawn
    assert not plant.page.complaints


def test_ranges_switch_and_last_weeks_line_can_be_put_beside(plant: Plant) -> None:
    plant.go(f"/stream/{plant.hall.ids['pump']}?range=1h")
    series = f"Object.fromEntries({CHART}.getOption().series.map(one => [one.id, one.data.length]))"
    plant.page.wait(f"({series}).mean === 60", "the last hour")
    assert plant.page.value(series)["before"] == 60
    assert "Last week: 60 % on average" in plant.page.text()
    plant.page.click("input[type=checkbox]")
    plant.page.wait(f"({series}).before === undefined", "the line of last week to go")
    plant.page.press("3")
    plant.page.wait(f"({series}).mean === 720", "30 days")
    assert plant.page.value(f"({series}).events") > 100, "anomalies are marked"
    plant.page.wait("location.search === '?range=30d&show=share'", "a link that can be sent")
    label = plant.page.value("document.querySelector('.history-chart').getAttribute('aria-label')")
    assert "of the limit on average" in label, "also for those who cannot see the chart"
    plant.page.value("document.querySelector('.history-chart').focus()")
    plant.page.press("ArrowLeft")
    assert plant.page.value("document.activeElement.getAttribute('aria-label')") != label, "a single value is read"
    assert not plant.page.complaints


def test_an_anomaly_is_acknowledged_and_a_stream_muted_by_key(plant: Plant) -> None:
    event_id = plant.hall.store_event("pump")
    plant.go(f"/stream/{plant.hall.ids['pump']}")
    plant.page.wait("!!document.querySelector('[data-key=a]')?.offsetParent", "the button")
    plant.page.wait(f"document.querySelector('a[href=\"/event/{event_id}\"]') !== null", "the way to the event")
    plant.page.press("a")
    wait_until(lambda: queries.event(plant.hall.store, event_id).acknowledged, "the acknowledgement")
    plant.page.wait("!document.querySelector('[data-key=a]').offsetParent", "the button to go")
    plant.page.value(
        "(() => { const one = document.querySelector('[data-key=m]'); one.value = '3600';"
        " one.dispatchEvent(new Event('change')); })()"
    )
    wait_until(lambda: queries.streams(plant.hall.store)[1].muted_until, "the muting")
    plant.page.wait("document.querySelector('.muted-until').innerText.startsWith('muted until')")
    with plant.hall.store.begin() as connection:
        known = connection.execute(tables.audit.select().order_by(tables.audit.c.id.desc()).limit(2)).all()
        ended = {"acknowledged": time.time(), "ended": time.time()}
        connection.execute(tables.events.update().where(tables.events.c.id == event_id).values(**ended))
    assert [one.what for one in known] == ["mute", "acknowledge"]


def test_filters_act_at_once_and_stand_in_the_address(plant: Plant) -> None:
    plant.go("/events")
    plant.page.wait("document.querySelectorAll('tr.event').length >= 100")
    first = "document.querySelector('tr.event .verdict').innerText"
    assert plant.page.value(first) == "to judge"
    plant.page.value(
        "(() => { const one = document.querySelector('select[name=verdict]'); one.value = 'real fault';"
        " one.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    plant.page.wait("location.search === '?verdict=real+fault'")
    plant.page.wait(f"document.querySelector('tr.event') && {first} === 'real fault'")
    plant.go(plant.page.value("location.pathname + location.search") + f"&stream={plant.hall.ids['fan']}")
    plant.page.wait("document.querySelector('select[name=stream]')?.selectedOptions[0].text === 'fan'")
    shown = plant.page.value("document.querySelectorAll('tr.event').length")
    assert f"{shown} events" in plant.page.text()
    assert set(plant.page.value("[...document.querySelectorAll('tr.event .stream')].map(one => one.innerText)")) == {
        "fan"
    }
    with urllib.request.urlopen(
        plant.server.url + plant.page.value("document.querySelector('a[download]').pathname + location.search")
    ) as answer:
        assert len(list(csv.DictReader(io.StringIO(answer.read().decode())))) == shown
    assert not plant.page.complaints


def test_further_events_come_as_one_scrolls_and_keys_open_one(plant: Plant) -> None:
    plant.go("/events?order=newest")
    plant.page.wait("document.querySelectorAll('tr.event').length >= 100")
    plant.page.value("scrollTo(0, document.documentElement.scrollHeight)")
    plant.page.wait("document.querySelectorAll('tr.event').length >= 200", "further events")
    times = plant.page.value("[...document.querySelectorAll('tr.event time')].map(one => one.dateTime)")
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times)
    plant.page.press("ArrowDown", "ArrowDown")
    target = plant.page.value("document.activeElement.getAttribute('href')")
    assert target == plant.page.value("document.querySelectorAll('tr.event .when a')[1].getAttribute('href')")
    plant.page.press("Enter")
    plant.page.wait(f"location.pathname === '{target}'")


def test_a_day_of_the_calendar_opens_its_list_and_months_change_by_key(plant: Plant) -> None:
    newest = datetime.datetime.fromtimestamp(time.time() - 7200)
    plant.go(f"/calendar?month={newest:%Y-%m}")
    day = f"a[data-day='{newest.date()}']"
    plant.page.wait(f'!!document.querySelector("table.month[data-complete] {day}")', "the month with its minutes")
    label = plant.page.value(f"document.querySelector(\"{day}\").getAttribute('aria-label')")
    assert "anomal" in label
    assert "to judge" in label
    assert "highest share of the limit" in label
    many = sum(
        int(one)
        for one in plant.page.value(f'[...document.querySelectorAll("{day} .verdict b")].map(one => one.innerText)')
    )
    plant.page.value(f'document.querySelector("{day}").focus()')
    plant.page.press("Enter")
    plant.page.wait(
        f"location.search === '?from={newest.date()}&to={newest.date()}' && !!document.querySelector('tr.event')"
    )
    assert plant.page.value("document.querySelectorAll('tr.event').length") == many
    plant.go(f"/calendar?month=2026-03&stream={plant.hall.ids['fan']}")
    plant.page.wait("document.querySelector('h1')?.innerText === 'March 2026'")
    plant.page.press("p")
    plant.page.wait("document.querySelector('h1')?.innerText === 'February 2026'")
    assert f"stream={plant.hall.ids['fan']}" in plant.page.value("location.search")
    assert not plant.page.complaints


@pytest.mark.parametrize("path", ["/stream/1?range=24h", "/events", "/calendar"])
def test_nothing_is_wider_than_a_phone(plant: Plant, path: str) -> None:
    plant.page.size(*PHONE, phone=True)
    plant.page.go(plant.server.url + path)
    plant.page.wait("!!document.querySelector('tr.event, table.month[data-complete], .history-chart canvas')")
    assert no_sideways_scrolling(plant.page)


def test_a_stream_that_there_is_not_is_said_in_a_sentence(plant: Plant) -> None:
    plant.go("/stream/77")
    plant.page.wait("document.body.innerText.includes('There is no stream number 77')")


def test_the_charts_go_on_where_they_were_after_the_page_was_hidden(plant: Plant) -> None:
    plant.hear(10)
    plant.go(f"/stream/{plant.hall.ids['pump']}")
    plant.page.wait(f"{LIVE}.newest() !== null", "the last minute")
    be = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    plant.page.value(f"{be % 'true'} document.dispatchEvent(new Event('visibilitychange'))")
    before = plant.page.value(f"{LIVE}.newest()[0]")
    plant.hear(40)
    plant.page.value(f"{be % 'false'} document.dispatchEvent(new Event('visibilitychange'))")
    plant.page.wait(f"{LIVE}.newest()[0] === {before} + 40", "what was missed meanwhile")
