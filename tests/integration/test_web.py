"""The page in real browsers: the hall with 40 streams, logins and roles, and what goes away and comes back."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from monitor.core.events import State
from monitor.store import queries, tables
from monitor.web.login import passwords, users
from support.browser import Page, browser, needs_chromium
from support.postgres import PROGRAMS, postgres_server
from support.web_server import NAMES, SETTINGS, Hall, WebServer, hall_of, web_server

pytestmark = [pytest.mark.long, needs_chromium]

PASSWORD = "correct horse"
ROWS = "document.querySelectorAll('.streams li[data-key]').length"
FIRST = "document.querySelector('.streams li .name')?.textContent"
HERE = "document.activeElement.closest('li')?.querySelector('.name').textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page runs, with its settings."""
    made = tmp_path_factory.mktemp("web")
    (made / "config.yaml").write_text(SETTINGS)
    return made


@pytest.fixture(scope="module")
def hall(folder: Path) -> Iterator[Hall]:
    """40 streams, and the users anna (operator) and vic (viewer)."""
    with hall_of(folder / "state") as made:
        with patch.object(passwords, "COST", 2**10):
            users.add_user(made.store, "anna", "operator", PASSWORD, by="root")
            users.add_user(made.store, "vic", "viewer", PASSWORD, by="root")
        yield made


@pytest.fixture(scope="module")
def server(folder: Path, hall: Hall) -> Iterator[WebServer]:
    """The page."""
    with web_server(folder, hall.state) as made:
        yield made


@pytest.fixture(scope="module")
def anna(folder: Path, server: WebServer) -> Iterator[Page]:
    """The hall in the browser of an operator, who logged in by keys alone."""
    with browser(folder / "anna") as page:
        page.size(1366, 768)
        page.go(f"{server.url}/")
        page.wait("document.activeElement.name === 'name'")
        page.type("anna")
        page.press("Tab")
        page.type(PASSWORD)
        page.press("Enter")
        page.wait(f"{ROWS} === 40")
        yield page


@pytest.fixture(scope="module")
def vic(folder: Path, server: WebServer) -> Iterator[Page]:
    """The hall in the browser of a viewer, on a phone."""
    with browser(folder / "vic") as page:
        page.size(390, 844, phone=True)
        page.log_in(f"{server.url}/", "vic", PASSWORD)
        page.wait(f"{ROWS} === 40")
        yield page


def test_forty_streams_fit_the_screen_of_a_laptop_and_the_width_of_a_phone(anna: Page, vic: Page) -> None:
    assert anna.value("document.documentElement.scrollHeight <= innerHeight"), "no scrolling"
    names = anna.value("[...document.querySelectorAll('.streams .name')].map(one => one.textContent)")
    assert sorted(names) == sorted(NAMES)
    for page in (anna, vic):
        assert page.value("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_comes_from_elsewhere_and_no_script_complains(anna: Page, vic: Page, server: WebServer) -> None:
    for page in (anna, vic):
        assert all(one.startswith((server.url, server.url.replace("http", "ws"), "data:")) for one in page.requested)
        assert page.complaints == []
    assert {one.name for one in server.folder.iterdir()} == {"config.yaml", "state", "anna", "vic"}


def test_an_anomaly_appears_at_once_at_all_viewers_and_ends_with_one_key(
    anna: Page, vic: Page, hall: Hall, server: WebServer
) -> None:
    event_id = hall.become("pump 7", State.ANOMALY, 1.42)
    for page in (anna, vic):
        page.wait(f"{FIRST} === 'pump 7'")
        page.wait(f"document.querySelector('#arrivals a[href=\"/event/{event_id}\"]') !== null")
        assert page.value("document.querySelector('.streams .state').textContent") == "ANOMALY"

    assert vic.value("[...document.querySelectorAll('.streams button')].every(one => one.hidden)")
    vic.value(f"emitEvent('acknowledge', {hall.ids['pump 7']})")  # what no button does
    vic.wait("document.getElementById('said').textContent.includes('needs the role operator; vic is viewer')")
    assert queries.event(hall.store, event_id).acknowledged is None

    anna.value("document.body.focus()")
    anna.press("j")
    assert anna.value(HERE) == "pump 7"
    anna.press("a")
    anna.wait("document.querySelector('.streams .state').classList.contains('seen')")
    vic.wait("document.querySelector('.streams .state').classList.contains('seen')")
    assert queries.event(hall.store, event_id).acknowledged_by == "anna"
    anna.press("e")
    anna.wait(f"location.pathname === '/event/{event_id}'")
    anna.go(f"{server.url}/")
    anna.click(".streams .state.anomaly")
    anna.wait(f"location.pathname === '/event/{event_id}'")
    anna.go(f"{server.url}/")
    hall.become("pump 7", State.NORMAL)
    anna.wait(f"{ROWS} === 40 && document.querySelector('.state.anomaly') === null")


def test_everything_can_be_reached_without_a_mouse(anna: Page, hall: Hall, server: WebServer) -> None:
    anna.press("/")
    anna.type("press")
    anna.wait(f"{ROWS} === 8")
    anna.press("ArrowDown", "ArrowDown", "k", "ArrowDown", "Home")
    first = anna.value(HERE)
    assert first == "press 1"
    assert anna.value("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus can be seen"
    anna.press("/", "Escape")
    anna.wait(f"{ROWS} === 40")
    anna.press("g", "g")
    anna.wait("document.querySelectorAll('.streams li.group').length === 5")
    anna.press("g", "g", "?")
    anna.wait("document.querySelector('dialog.keys')?.open")
    anna.press("Enter")  # its button has the focus
    anna.wait("document.querySelector('dialog.keys') === null")
    anna.go(f"{server.url}/")
    anna.wait(f"{ROWS} === 40")
    anna.press("Tab")
    assert "Skip" in anna.value("document.activeElement.textContent")
    anna.press("j", "Enter")
    anna.wait(f"location.pathname === '/stream/{hall.ids['conveyor 1']}'")
    anna.go(f"{server.url}/")
    anna.wait(f"{ROWS} === 40")


def test_a_login_survives_a_restart_of_the_page(anna: Page, hall: Hall, server: WebServer) -> None:
    assert server.stop() == 0
    assert server.output == ""
    server.start()
    hall.become("fan 1", State.WARNING, 0.9)
    anna.wait(f"{FIRST} === 'fan 1'")
    hall.become("fan 1", State.NORMAL)


def test_when_the_monitor_ends_the_page_says_so_and_keeps_what_is_stored(anna: Page, hall: Hall) -> None:
    hall.end()
    anna.wait("document.getElementById('notices').textContent.includes('No live values: No monitor runs')")
    assert anna.value("/Since \\d\\d:\\d\\d/.test(document.getElementById('notices').textContent)")
    assert anna.value(ROWS) == 40
    hall.start()
    anna.wait("document.getElementById('notices').textContent === ''")


def test_a_session_that_has_ended_ends_the_pages_that_are_open(
    anna: Page, vic: Page, hall: Hall, server: WebServer
) -> None:
    anna.wait(f"{ROWS} === 40")
    with hall.store.begin() as connection:
        old = tables.sessions.update().where(tables.sessions.c.user == "anna")
        connection.execute(old.values(used=time.time() - 13 * 3600))
    anna.wait("location.pathname === '/login'")
    users.remove_user(hall.store, "vic", by="root")
    vic.wait("location.pathname === '/login'")
    anna.log_in(f"{server.url}/?x=1", "anna", PASSWORD)
    assert anna.value("location.search") == "?x=1", "where they wanted to go"
    anna.click("form[action='/logout'] button")
    anna.wait("location.pathname === '/login'")
    anna.go(f"{server.url}/")
    assert anna.value("location.pathname") == "/login"


def test_who_may_not_write_cannot_do_so_by_direct_requests_either(hall: Hall, server: WebServer) -> None:
    with patch.object(passwords, "COST", 2**10):
        users.add_user(hall.store, "root", "admin", PASSWORD, by="root")
        users.add_user(hall.store, "ben", "operator", PASSWORD, by="root")
    new = {"name": "mallory", "role": "admin", "password": PASSWORD}
    assert "only admin" in request(server, "root", "/users/change", {"name": "root", "action": "remove"})
    assert "needs the role admin; ben is operator" in request(server, "ben", "/users/add", new)
    assert "Log in first" in request(server, "", "/users/add", new)
    assert users.role_of(hall.store, "mallory") is None
    assert "Added mallory, admin." in request(server, "root", "/users/add", new)
    change = {"name": "mallory", "action": "role", "role": "viewer"}
    assert "mallory is viewer now." in request(server, "root", "/users/change", change)
    assert users.role_of(hall.store, "mallory") == "viewer"
    for path in ("/nothing", "/stream/x"):
        assert "There is no such page" in request(server, "ben", path)


def request(server: WebServer, name: str, path: str, form: dict[str, str] | None = None) -> str:
    """The text of the answer to a request of a user, after redirects; a form is sent by POST."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    if name:
        opener.open(f"{server.url}/login", urlencode({"name": name, "password": PASSWORD}).encode())
    try:
        with opener.open(f"{server.url}{path}", None if form is None else urlencode(form).encode()) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_wrong_passwords_are_slowed_down_and_noted(vic: Page, hall: Hall, server: WebServer) -> None:
    said = "document.querySelector('.wrong')?.textContent ?? ''"
    for _ in range(6):
        vic.go(f"{server.url}/login")
        vic.wait("document.querySelector('input[name=password]') !== null && !document.querySelector('.wrong')")
        vic.value("document.querySelector('input[name=name]').value = 'anna'")
        vic.value("document.querySelector('input[name=password]').value = 'wrong'; document.forms[0].submit()")
        vic.wait(f"({said}) !== ''")
    assert "Too many wrong passwords: try again in" in vic.value(said)
    with hall.store.reading() as connection:
        chosen = sa.select(tables.audit.c.facts).where(tables.audit.c.what == "wrong password")
        assert [one["after"] for one in connection.scalars(chosen)] == [{"address": "127.0.0.1"}] * 5
    assert "not the password" in request(server, "", "/login", {"name": "x" * 3000, "password": "y" * 9000})


@pytest.mark.skipif(not (PROGRAMS / "initdb").exists(), reason="PostgreSQL is not installed")
def test_the_page_waits_for_the_first_streams_and_survives_the_death_of_the_database(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SETTINGS)
    (tmp_path / "state").mkdir()
    notices = "document.getElementById('notices').textContent"
    with postgres_server() as database:
        url = database.new_database()
        with (
            web_server(tmp_path, tmp_path / "state", environment={"MONITOR_STORE_URL": url}) as server,
            browser(tmp_path / "one") as page,
        ):
            page.go(f"{server.url}/")
            page.wait(f"{notices}.includes('nothing is stored here yet')")
            with hall_of(tmp_path / "state", NAMES[:3], url=url) as hall:
                page.wait(f"{ROWS} === 3")
                page.wait(f"{notices} === ''")
                database.stop()
                page.wait(f"{notices}.includes('The store cannot be read')")
                hall.become("pump 2", State.WARNING, 0.95)
                page.wait(f"{FIRST} === 'pump 2'")  # live values go on
                assert page.value(ROWS) == 3, "what was stored is still shown"
                database.start()
                page.wait(f"{notices} === ''")
                hall.store_event("pump 3", "lost")
                page.wait("document.getElementById('arrivals').textContent.includes('pump 3')")
