"""Signs of life: who is alive, stopped or silent, by the clock of the database, and what is said of clocks."""

from __future__ import annotations

import logging
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor import __version__
from monitor.config.fleet import Fleet
from monitor.fleet import clock
from monitor.fleet.clock import clock_offset, is_wrong
from monitor.fleet.heartbeat import Heartbeat
from monitor.fleet.host_facts import EXTRAS
from monitor.store import fleet
from monitor.store.database import Store
from monitor.store.fleet import StoredMonitor
from monitor.store.fleet_models import ModelOrder
from monitor.store.tables import model_files, model_orders, monitors
from support.listening import wait_until
from support.postgres import PostgresServer

OFTEN = Fleet(every_s=1)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as made:
        yield made


@pytest.fixture
def on_server(postgres: PostgresServer) -> Iterator[tuple[Store, str]]:
    """A store with a clock of its own, and its address."""
    url = postgres.new_database()
    with Store.open(url) as made:
        yield made, url


def heartbeat(url: str, host: str = "hall-a", settings: Fleet = OFTEN, **more: object) -> Heartbeat:
    return Heartbeat(url, host, settings, "here", lambda: {"press": "NORMAL"}, **more)  # type: ignore[arg-type]


def alive(store: Store, host: str = "hall-a") -> StoredMonitor | None:
    return next((one for one in fleet.monitors(store) if one.host == host), None)


def test_a_monitor_says_that_it_lives_and_what_it_is_and_that_it_was_ended(store: Store, store_url: str) -> None:
    one = heartbeat(store_url, spooled=lambda: 7)
    one.start()
    wait_until(lambda: alive(store), "a sign of life")
    found = alive(store)
    assert found is not None
    assert (found.state, found.version, found.spooled, found.streams) == (
        "alive", __version__, 7, {"press": "NORMAL"},
    )  # fmt: skip
    assert {"system", "machine", "processors", "extras", "python"} <= set(found.facts)
    one.close()
    ended = alive(store)
    assert ended is not None
    assert ended.state == "stopped"
    again = heartbeat(store_url)
    again.start()
    wait_until(lambda: (now := alive(store)) is not None and now.state == "alive", "the next start")
    again.close()


def test_a_monitor_that_gives_no_signs_of_life_any_more_is_silent(store: Store) -> None:
    with store.begin() as connection:
        now = fleet.database_time(connection)
        for host, age_s in (("fresh", 80.0), ("gone", 3600.0)):
            values = {"version": "1", "started": now - 9e4, "last_seen": now - age_s, "facts": {"every_s": 30}}
            fleet.write_sign(connection, host, values)
    assert {one.host: one.state for one in fleet.monitors(store)} == {"fresh": "alive", "gone": "silent"}


def test_the_clock_of_another_computer_changes_nothing_about_who_is_silent(
    on_server: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The computer that asks is two hours ahead."""
    store, _ = on_server
    with store.begin() as connection:
        now = fleet.database_time(connection)
        fleet.write_sign(connection, "hall-a", {"version": "1", "started": now, "last_seen": now, "facts": {}})
    real = time.time
    monkeypatch.setattr("monitor.store.fleet.time.time", lambda: real() + 7200)
    found = alive(store)
    assert found is not None
    assert found.state == "alive"
    with store.begin() as connection:
        offset = clock_offset(connection)
    assert offset is not None
    assert offset.seconds == pytest.approx(7200, abs=60)
    assert is_wrong(offset.seconds, offset.error_s)


def test_the_offset_of_a_clock_is_that_of_the_quickest_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is 5 s behind; its answers take 2, 0.2 and 1 s, each measured in the middle."""
    wall, steady = [1000.0], [0.0]
    delays = iter([2.0, 0.2, 1.0])

    def answer(_: sa.Connection) -> float:
        delay = next(delays)
        read = wall[0] + delay / 2 - 5.0
        wall[0], steady[0] = wall[0] + delay, steady[0] + delay
        return read

    class Connection:
        class dialect:  # noqa: N801 - as SQLAlchemy calls it
            name = "postgresql"

    monkeypatch.setattr(clock, "database_time", answer)
    monkeypatch.setattr(clock.time, "time", lambda: wall[0])
    monkeypatch.setattr(clock.time, "monotonic", lambda: steady[0])
    found = clock_offset(Connection())  # type: ignore[arg-type]
    assert found is not None
    assert (found.seconds, found.error_s) == (pytest.approx(5.0), pytest.approx(0.1))


def test_a_clock_counts_as_wrong_only_if_that_is_certain() -> None:
    assert not is_wrong(None, None)
    assert not is_wrong(0.9, 0.0)
    assert is_wrong(-1.2, 0.1)
    assert not is_wrong(1.2, 0.5), "the answer took a second, so it may be right"


def test_a_wrong_clock_is_told_once_in_the_log(
    on_server: tuple[Store, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = time.time
    monkeypatch.setattr("monitor.fleet.clock.time.time", lambda: real() - 100)
    one = heartbeat(on_server[1])
    with caplog.at_level(logging.INFO, logger="monitor"):
        one._sign()
        one._sign()
    assert caplog.text.count("s behind the database's: set both by NTP") == 1


def test_of_two_monitors_of_the_same_name_the_second_is_told_and_takes_nothing(
    store: Store, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Until the first is silent. A monitor that was killed and starts again is not another one."""
    first, again = heartbeat(store_url, spooled=lambda: 1), heartbeat(store_url, spooled=lambda: 2)
    second = Heartbeat(store_url, "hall-a", OFTEN, "elsewhere", dict, spooled=lambda: 3)
    for one in (first, again, second, second):
        one._sign()
    found = alive(store)
    assert found is not None
    assert found.spooled == 2
    assert caplog.text.count("Another monitor gives signs of life under the name hall-a") == 1
    with store.begin() as connection:
        connection.execute(monitors.update().values(last_seen=fleet.database_time(connection) - 100))
    second._sign()
    found = alive(store)
    assert found is not None
    assert found.spooled == 3


def test_while_the_store_is_away_no_sign_of_life_is_kept_for_later(tmp_path: Path) -> None:
    away = tmp_path / "not" / "yet"
    one = heartbeat(f"sqlite:///{away / 'store.sqlite'}")
    one.start()
    away.mkdir(parents=True)
    with Store.open(f"sqlite:///{away / 'store.sqlite'}") as store:
        wait_until(lambda: alive(store), "the store to be found")
        with store.begin() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(monitors)) == 1
    one.close()


def test_no_model_is_looked_for_if_none_is_to_be_taken(store: Store, store_url: str) -> None:
    taken: list[ModelOrder] = []
    with store.begin() as connection:
        file = {"model_id": "0" * 12, "name": "x", "size": 1, "added": 0.0, "by": "x", "content": b"x"}
        connection.execute(model_files.insert().values(sha256="a" * 64, **file))
        order = {"host": "hall-a", "stream": "press", "sha256": "a" * 64, "time": 1.0, "by": "anna"}
        connection.execute(model_orders.insert().values(order))
    one = heartbeat(store_url, settings=Fleet(every_s=1, take_models=False), take=taken.extend)
    one._sign()
    found = alive(store)
    assert found is not None
    assert not found.takes_models
    assert taken == []
    one.use(Fleet(every_s=1))
    one._sign()
    assert [order.stream for order in taken] == ["press"]


def test_a_host_that_is_there_no_more_can_be_forgotten(store: Store, store_url: str) -> None:
    heartbeat(store_url)._sign()
    assert fleet.forget(store, "hall-a", by="anna")
    assert not fleet.forget(store, "hall-a", by="anna")
    assert fleet.monitors(store) == []


def test_every_extra_of_the_program_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"plant", "test", "dev"}
