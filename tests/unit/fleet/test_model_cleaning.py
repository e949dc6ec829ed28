"""Models that were handed out do not pile up for ever, and none goes that somebody may still need."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.config.fleet import Fleet
from monitor.core.errors import MonitorError
from monitor.fleet import handing_out
from monitor.fleet.model_cleaning import delete_unneeded
from monitor.fleet.model_content import content_of, keep_content
from monitor.store import fleet_models, queries, rows
from monitor.store.database import Store
from monitor.store.fleet import database_time
from monitor.store.fleet_models import ModelFile
from monitor.store.records import StoredStream
from monitor.store.tables import audit, model_files, model_orders
from support.listening import DEADLINE_S

DAY_S = 86_400.0
SETTINGS = Fleet(keep_models_days=30, keep_models=2)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with two streams, whose models are not known."""
    with Store.open(store_url) as made:
        with made.begin() as connection:
            for host in ("hall-a", "hall-b"):
                rows.stream_id(connection, host, "press", database_time(connection))
        yield made


@pytest.fixture
def objects(tmp_path: Path) -> str:
    """The address of an object store in a folder."""
    (tmp_path / "nas").mkdir()
    return str(tmp_path / "nas" / "models")


def streams(store: Store, *hosts: str) -> list[StoredStream]:
    return [one for one in queries.streams(store) if one.host in hosts]


def content(name: str) -> bytes:
    return name.encode() * 100


def sha256(name: str) -> str:
    return hashlib.sha256(content(name)).hexdigest()


def push(store: Store, name: str, *hosts: str, age_days: float = 0.0, url: str = "") -> None:
    """Hands out a model to the streams of hosts so many days ago; it was taken at once."""
    file = ModelFile(sha256(name), name[:12], name, len(content(name)), 0.0, "anna", None)
    handing_out.hand_out(store, url, file, content(name), streams(store, *hosts))
    past = age_days * DAY_S
    with store.begin() as connection:
        chosen = model_files.c.sha256 == sha256(name)
        connection.execute(model_files.update().where(chosen).values(added=database_time(connection) - past))
        times = {"time": database_time(connection) - past, "taken": database_time(connection) - past}
        connection.execute(model_orders.update().where(model_orders.c.sha256 == sha256(name)).values(times))


def names(store: Store) -> set[str]:
    return {one.name for one in fleet_models.files(store)}


def files(url: str) -> set[str]:
    return {path.stem for path in Path(url).iterdir()}


@pytest.mark.parametrize("in_objects", [False, True])
def test_what_no_stream_uses_and_is_neither_recent_nor_among_the_newest_of_a_stream_is_deleted(
    store: Store, objects: str, in_objects: bool
) -> None:
    url = objects if in_objects else ""
    ages = {"first": 400, "second": 300, "third": 200, "fourth": 100}
    for name, age in ages.items():
        push(store, name, "hall-a", age_days=age, url=url)
    push(store, "only", "hall-b", age_days=390, url=url)
    with store.begin() as connection:
        rows.write_stream(connection, rows.stream_id(connection, "hall-b", "press", 0.0), "first", "by hand")
    assert [one.name for one in delete_unneeded(store, SETTINGS, url, by="anna")] == ["second"]
    assert names(store) == {"first", "third", "fourth", "only"}
    for name in names(store):
        assert content_of(store, url, sha256(name)) == content(name)
    if in_objects:
        assert files(url) == {sha256(name) for name in names(store)}
    assert {one.sha256 for one in fleet_models.orders(store)} == {sha256(name) for name in names(store)}
    with store.reading() as connection:
        said = connection.execute(sa.select(audit).where(audit.c.what == "model clean")).mappings().all()
    assert [(one["by"], one["subject"], one["facts"]["before"]["name"]) for one in said] == [
        ("anna", "second", "second")
    ]
    assert delete_unneeded(store, SETTINGS, url, by="anna") == []


def test_a_model_that_is_handed_out_again_and_again_is_one_of_the_newest_once(store: Store) -> None:
    for name in ("oldest", "good before", "latest", "latest", "latest"):
        push(store, name, "hall-a", age_days=100)
    assert [one.name for one in delete_unneeded(store, SETTINGS, "", by="anna")] == ["oldest"]
    assert names(store) == {"good before", "latest"}


@pytest.mark.parametrize("kept", ["added", "ordered", "taken"])
def test_what_was_added_ordered_or_taken_in_recent_days_is_kept(store: Store, kept: str) -> None:
    for name in ("old", "newer", "newest"):
        push(store, name, "hall-a", age_days=100)
    with store.begin() as connection:
        now = database_time(connection) - 29 * DAY_S
        if kept == "added":
            connection.execute(model_files.update().where(model_files.c.name == "old").values(added=now))
        else:
            of_old = model_orders.c.sha256 == sha256("old")
            column = {"ordered": "time", "taken": "taken"}[kept]
            connection.execute(model_orders.update().where(of_old).values({column: now}))
    assert delete_unneeded(store, SETTINGS, "", by="anna") == []


def test_a_model_that_waits_for_a_computer_that_does_not_run_is_kept_for_years(store: Store) -> None:
    push(store, "waiting", "hall-a", age_days=2000)
    with store.begin() as connection:
        connection.execute(model_orders.update().values(taken=None))
    assert delete_unneeded(store, Fleet(keep_models_days=1, keep_models=1), "", by="anna") == []


def test_models_in_an_object_store_that_this_computer_does_not_use_are_left_to_others(
    store: Store, objects: str, tmp_path: Path
) -> None:
    for name in ("old", "newer", "newest"):
        push(store, name, "hall-a", age_days=100, url=objects)
    assert delete_unneeded(store, SETTINGS, "", by="anna") == []
    assert delete_unneeded(store, SETTINGS, str(tmp_path / "other"), by="anna") == []
    assert len(delete_unneeded(store, SETTINGS, objects, by="anna")) == 1


@pytest.mark.long
def test_while_the_object_store_is_away_nothing_is_deleted_and_later_all(store: Store, objects: str) -> None:
    for name in ("old", "newer", "newest"):
        push(store, name, "hall-a", age_days=100, url=objects)
    away = Path(objects).with_name("away")
    Path(objects).rename(away)
    Path(objects).write_text("not a folder")
    with pytest.raises(MonitorError):
        delete_unneeded(store, SETTINGS, objects, by="anna")
    assert names(store) == {"old", "newer", "newest"}
    Path(objects).unlink()
    away.rename(objects)
    (Path(objects) / f"{sha256('old')}.safetensors").unlink()  # by a computer that was killed before it had noted it
    assert [one.name for one in delete_unneeded(store, SETTINGS, objects, by="anna")] == ["old"]


@pytest.mark.long
def test_several_computers_that_clean_at_once_delete_each_model_once(store: Store, store_url: str) -> None:
    for number in range(12):
        push(store, f"model {number}", "hall-a", age_days=100 - number)

    def clean(host: str) -> list[str]:
        with Store.open(store_url) as own:
            return [one.name for one in delete_unneeded(own, SETTINGS, "", by=host)]

    with ThreadPoolExecutor(3) as threads:
        deleted = [name for found in threads.map(clean, ("hall-a", "hall-b", "hall-c")) for name in found]
    assert sorted(deleted) == sorted(f"model {number}" for number in range(10))
    assert names(store) == {"model 10", "model 11"}


def test_a_slow_upload_holds_up_nobody_who_writes_and_what_is_deleted_during_it_is_uploaded_again(
    store: Store, store_url: str, objects: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "newer", "newest"):
        push(store, name, "hall-a", age_days=100, url=objects)
    deleted: list[str] = []

    def keep_slowly(url: str, name: str, stored: bytes) -> None:
        keep_content(url, name, stored)
        if not deleted:  # the second time nobody else may write
            with Store.open(store_url) as own:
                deleted.extend(one.name for one in delete_unneeded(own, SETTINGS, objects, by="hall-b"))

    monkeypatch.setattr(handing_out, "keep_content", keep_slowly)
    file = next(one for one in fleet_models.files(store) if one.name == "old")
    handing_out.hand_out(store, objects, file, content("old"), streams(store, "hall-b"))
    assert deleted == ["old"]
    assert content_of(store, objects, sha256("old")) == content("old")


@pytest.mark.long
def test_a_model_that_is_handed_out_anew_while_another_computer_cleans_is_there_afterwards(
    store: Store, store_url: str, objects: str
) -> None:
    for name in ("old", "newer", "newest"):
        push(store, name, "hall-a", age_days=100, url=objects)
    writing, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        writing.set()
        assert go_on.wait(DEADLINE_S)

    def clean() -> list[ModelFile]:
        with Store.open(store_url) as own:
            return delete_unneeded(own, SETTINGS, objects, by="hall-b")

    def hand_out() -> None:
        with Store.open(store_url) as own:
            file = next(one for one in fleet_models.files(own) if one.name == "old")
            fleet_models.hand_out(own, file, None, streams(own, "hall-b"), slowly)

    with ThreadPoolExecutor(2) as threads:
        handing = threads.submit(hand_out)
        assert writing.wait(DEADLINE_S)
        cleaning = threads.submit(clean)
        go_on.set()
        handing.result()
        assert cleaning.result() == []
    assert content_of(store, objects, sha256("old")) == content("old")
