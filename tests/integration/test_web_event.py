"""The page of an event in a real browser: from the alarm to heard and judged, by mouse and by keyboard."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from monitor.audio.writer import as_int16
from monitor.bundle.bundle_io import save_bundle
from monitor.normal_sound.piece_writing import file_name, write_piece
from monitor.normal_sound.pieces import Piece, power_in_db
from monitor.store import queries, tables, verdicts
from monitor.store.database import Store
from monitor.web.event.event_analysis import mel_frames
from monitor.web.login import sessions, users
from support.browser import Page, browser, needs_chromium
from support.builders import RATE, small_bundle
from support.stored import NOW, fill, stored_event
from support.web_server import SETTINGS, WebServer, web_server

pytestmark = [pytest.mark.long, needs_chromium]
READY = "document.querySelector('.play')?.disabled === false"
LOOKS = "document.dispatchEvent(new Event('visibilitychange'))"  # as when one comes back to the page
PLAYS = "[...document.querySelectorAll('audio')].find((one) => !one.paused)"


@dataclass
class Plant:
    """A running page with three anomalies of a pump: 0 and 1 with a clip, 2 without one."""

    server: WebServer
    store: Store

    def event(self, number: int) -> str:
        return f"{self.server.url}/event/{stored_event(number).id}"

    def media(self, number: int) -> str:
        return f"{self.server.url}/media/event/{stored_event(number).id}"

    def verdict(self, number: int) -> tuple[str, str, str]:
        found = queries.event(self.store, stored_event(number).id)
        return found.verdict, found.verdict_by, found.verdict_comment

    def login(self, page: Page, name: str) -> None:
        """Lets a browser have the session of a user."""
        secret = sessions.begin(self.store, name, address="127.0.0.1", session_s=3600)
        page.call(
            "Network.setCookie", name=f"monitor_session_{self.server.port}", value=secret, url=self.server.url + "/"
        )


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    state = folder / "state"
    (state / "clips" / "pump").mkdir(parents=True)
    (state / "normal" / "pump").mkdir(parents=True)
    saved = save_bundle(small_bundle(), folder / "pump.safetensors")
    (folder / "config.yaml").write_text(
        f"{SETTINGS}streams:\n  - name: pump\n    bundle: {folder / 'pump.safetensors'}\n", encoding="utf-8"
    )
    rng = np.random.default_rng(1)
    samples = 0.02 * rng.standard_normal(8 * RATE)
    samples[4 * RATE : 6 * RATE] += 0.1 * np.sin(2 * np.pi * 2400 * np.arange(2 * RATE) / RATE)
    for number in range(2):
        soundfile.write(state / "clips" / "pump" / f"{number}.flac", as_int16(samples.astype(np.float32)), RATE)
    normal = (0.02 * rng.standard_normal(2 * RATE)).astype(np.float32)
    features = saved.config.features
    spectrum = power_in_db(mel_frames(normal, features), features.floor)
    piece = Piece(
        state / "normal" / "pump" / file_name(NOW), NOW, 2.0, RATE, spectrum_db=spectrum, stream="pump"
    )  # fmt: skip
    write_piece(piece, as_int16(normal))
    events = [
        stored_event(
            number, model_id=saved.model_id, clip=f"pump/{number}.flac" if number < 2 else "",
            clip_start=stored_event(number).onset - 4.0, note="" if number < 2 else "Speech: the clip is not kept.",
        )
        for number in range(3)
    ]  # fmt: skip
    with Store.open(f"sqlite:///{state / 'monitor.sqlite'}") as store:
        fill(store, {}, events)
        users.add_user(store, "mia", "operator", None, by="test")
        users.add_user(store, "vic", "viewer", None, by="test")
        with web_server(folder, state) as server:
            yield Plant(server, store)


@pytest.fixture(scope="module")
def tab(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(tab: Page, plant: Plant) -> Iterator[Page]:
    """A browser in which mia is logged in, and an event that nobody has judged."""
    for number in range(3):
        if plant.verdict(number)[0]:
            verdicts.record(plant.store, stored_event(number).id, "", by="test")
    plant.login(tab, "mia")
    tab.complaints.clear()
    yield tab
    assert not tab.complaints


def click(page: Page, selector: str) -> None:
    """Clicks as a finger does, in the middle of an element, which has to be on the screen."""
    x, y = page.value(
        f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def test_an_alarm_is_heard_and_judged_in_three_clicks(page: Page, plant: Plant) -> None:
    page.size(1366, 768)
    page.go(f"{plant.server.url}/events")
    link = f'a[href^="/event/{stored_event(0).id}"]'
    page.wait(f"document.querySelector('{link}') !== null")
    click(page, link)
    page.wait(READY)
    click(page, ".play")
    page.wait(f"({PLAYS})?.currentTime > 2.2", "the sound plays")  # it begins two seconds before the anomaly
    click(page, '[data-verdict="new but normal"]')
    page.wait("document.querySelector('.event-judge .verdict') !== null")
    assert plant.verdict(0) == ("new but normal", "mia", "")
    assert "monitor improve pump makes the next model learn it" in page.text()


def test_the_pictures_show_the_clip_and_a_press_on_them_moves_the_cursor(page: Page, plant: Plant) -> None:
    page.go(plant.event(0))
    page.wait(READY)
    shown = "[...document.querySelectorAll('.strip img')].filter((one) => one.src && !one.hidden)"
    page.wait(f"{shown}.length === 4 && {shown}.every((one) => one.naturalWidth > 0 && one.alt)")
    assert page.value("document.querySelectorAll('.bars rect').length") == 64
    assert page.value("document.querySelector('[data-picture=score] path.line').getAttribute('d').length") > 100
    click(page, '[data-picture="recorded"] .strip')
    page.wait("Math.abs(document.querySelector('audio').currentTime - 4) < 0.1")
    assert 49 < page.value("parseFloat(document.querySelector('.cursor').style.left)") < 51


def test_event_and_normal_sound_are_compared_at_the_same_moment_by_one_key(page: Page, plant: Plant) -> None:
    page.go(plant.event(0))
    page.wait(READY)
    page.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft")
    for key, sound in (("a", "normal-all"), ("b", "normal-bands"), ("a", "event-bands"), ("b", "event-all")):
        page.press(key)
        audio = f"document.querySelector('audio[data-sound={sound}]')"
        page.wait(f"{audio}.readyState > 0 && Math.abs({audio}.currentTime - 2) < 0.05")
        assert page.value(f"Math.round({audio}.duration)") == 8
        said = page.value("document.querySelector('[data-fact=gain]').textContent")
        assert ("Only 2.1-2.8 kHz" in said) is sound.endswith("bands")
        assert "dB louder than recorded, event and normal sound alike" in said


def test_by_keyboard_alone_events_are_heard_judged_and_left_behind(page: Page, plant: Plant) -> None:
    page.go(plant.event(1))
    page.wait(READY)
    page.press("Space")
    page.wait(f"({PLAYS})?.currentTime > 2.2")
    page.press("Space")
    page.wait(f"({PLAYS}) === undefined")
    page.press("m")
    page.type("the crew, at night")
    page.press("Escape", "3")
    page.wait("document.activeElement.matches('.event-judge .on')")
    assert plant.verdict(1) == ("disturbance", "mia", "the crew, at night")
    page.press("l")
    page.wait("document.querySelector('[data-act=lock]').getAttribute('aria-pressed') === 'true'")
    assert queries.event(plant.store, stored_event(1).id).locked
    page.press("0")
    page.wait("document.querySelector('.event-judge .verdict') === null")
    assert plant.verdict(1)[0] == ""
    for key, number in (("p", 0), ("j", 1), ("n", 2), ("u", 0)):
        page.press(key)
        page.wait(f"location.pathname === '/event/{stored_event(number).id}' && document.querySelector('h1') !== null")
        page.wait("document.querySelector('article.event')?.dataset.begun === 'yes'")


def test_an_event_without_a_clip_says_why(page: Page, plant: Plant) -> None:
    page.go(plant.event(2))
    page.wait("document.querySelector('.why') !== null")
    assert page.value("document.querySelector('.why').textContent") == "Speech: the clip is not kept."
    assert page.value("document.querySelectorAll('audio').length") == 0
    page.press("Space", "a", "ArrowRight")  # they do nothing
    with plant.store.begin() as connection:
        its_own = tables.events.c.id == stored_event(2).id
        connection.execute(tables.events.update().where(its_own).values(clip="pump/1.flac", note=None))
    page.value(LOOKS)
    page.wait(READY, "the clip that was written meanwhile")


def test_what_somebody_else_says_appears_by_itself(page: Page, plant: Plant) -> None:
    page.go(plant.event(0))
    page.wait(READY)
    verdicts.record(plant.store, stored_event(0).id, "maintenance", by="ben")
    page.value(LOOKS)
    page.wait("document.querySelector('.event-judge .verdict')?.textContent.includes('ben')")


def test_a_viewer_hears_and_sees_but_cannot_judge(page: Page, plant: Plant) -> None:
    plant.login(page, "vic")
    page.go(plant.event(0))
    page.wait(READY)
    assert page.value("document.querySelector('[data-verdict], [data-act]')") is None
    page.press("1", "l", "s")
    for what in ("verdict", "lock", "acknowledge"):
        body = json.dumps({"verdict": "sensor", "locked": True})
        sent = f"fetch(location.pathname + '/{what}', {{method: 'POST', body: {json.dumps(body)}}})"
        assert page.value(f"{sent}.then((answer) => answer.status)") == 403
    page.complaints.clear()  # of the browser, that it was refused
    found = queries.event(plant.store, stored_event(0).id)
    assert (found.verdict, found.locked) == ("", False)


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, plant: Plant) -> None:
    page.size(390, 844, phone=True)
    page.go(plant.event(0))
    page.wait(READY)
    assert page.value("document.documentElement.scrollWidth") == 390
    assert page.value("document.querySelector('[data-verdict]').getBoundingClientRect().bottom") < 844
    page.size(1366, 768)


def test_sound_is_private_seekable_and_nothing_else_is_served(page: Page, plant: Plant) -> None:
    secret = sessions.begin(plant.store, "vic", address="127.0.0.1", session_s=3600)
    cookie = {"Cookie": f"monitor_session_{plant.server.port}={secret}"}

    def status(url: str, headers: dict[str, str]) -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    for name in ("clip.flac", "event-all.flac", "recorded.png", "analysis.json"):
        assert status(f"{plant.media(0)}/{name}", {"Sec-Fetch-Mode": "no-cors"}) == 401
        assert status(f"{plant.media(0)}/{name}", cookie) == 200
    for name in ("config.yaml", "..%2f..%2fmonitor.sqlite", "%2e%2e/monitor.sqlite", "event-all.wav", "facts"):
        assert status(f"{plant.media(0)}/{name}", cookie) == 404
    assert status(f"{plant.server.url}/media/event/019ac4f0/clip.flac", cookie) == 404
    asked = urllib.request.Request(f"{plant.media(0)}/clip.flac", headers=cookie | {"Range": "bytes=4-9"})
    with urllib.request.urlopen(asked) as answer:
        content = (plant.server.state / "clips" / "pump" / "0.flac").read_bytes()
        assert (answer.status, answer.read()) == (206, content[4:10])
        assert answer.headers["content-type"] == "audio/flac"
        assert answer.headers["cache-control"] == "no-store, private"
