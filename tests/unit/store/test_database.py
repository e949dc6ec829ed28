"""A store opens, is made, and says in a sentence what is wrong; its tables are brought up to date."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.core.errors import EXIT_USAGE, MonitorError
from monitor.store import database, queries, tables, verdicts
from monitor.store.audit import record
from monitor.store.database import AddressError, Store, StoreError, require_address
from monitor.store.migrations import migrate, version_of
from support import store_version_1
from support.listening import DEADLINE_S
from support.postgres import PASSWORD, PostgresServer


def refusal(url: str, *, create: bool = True) -> str:
    """The message with which a store is not opened; it is one sentence, and contains no password."""
    with pytest.raises(StoreError) as caught:
        Store.open(url, create=create).close()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert "secret" not in message
    assert PASSWORD not in message
    return message


@contextlib.contextmanager
def folder_of_somebody_else() -> Iterator[Path]:
    """A folder with a store that this process may read, but not write, also if it is run by root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Store.open(f"sqlite:///{folder / 'store.sqlite'}").close()
        folder.chmod(0o555)
        (folder / "store.sqlite").chmod(0o444)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def test_a_new_store_has_all_tables_of_the_present_version(store_url: str) -> None:
    with Store.open(store_url) as store, store.reading() as connection:
        assert set(sa.inspect(connection).get_table_names()) == set(tables.metadata.tables)
        assert version_of(connection) == tables.SCHEMA_VERSION


def test_a_store_that_is_there_is_opened_again_with_what_is_in_it(store_url: str) -> None:
    with Store.open(store_url) as store, store.begin() as connection:
        record(connection, by="anna", what="mute", subject="pump", before=None, after=[1, "ä"])
    for create in (True, False):
        with Store.open(store_url, create=create) as store, store.reading() as connection:
            [entry] = connection.execute(sa.select(tables.audit)).mappings()
            assert (entry["by"], entry["what"], entry["subject"]) == ("anna", "mute", "pump")
            assert entry["facts"] == {"before": None, "after": [1, "ä"]}


def test_what_is_written_before_an_error_is_undone(store_url: str) -> None:
    with Store.open(store_url) as store:
        with contextlib.suppress(ZeroDivisionError), store.begin() as connection:
            record(connection, by="anna", what="mute", subject="pump")
            raise ZeroDivisionError
        with store.reading() as connection:
            assert connection.execute(sa.select(tables.audit)).all() == []


def test_one_reads_while_another_writes(store_url: str) -> None:
    with Store.open(store_url) as writer, Store.open(store_url, create=False) as reader:
        with writer.begin() as writing:
            record(writing, by="anna", what="mute", subject="pump")
            with reader.reading() as reading:
                assert reading.execute(sa.select(tables.audit)).all() == []
        with reader.reading() as reading:
            assert len(reading.execute(sa.select(tables.audit)).all()) == 1


def test_threads_that_read_and_then_write_wait_for_each_other(store_url: str) -> None:
    with Store.open(store_url) as store:
        with store.begin() as connection:
            connection.execute(
                tables.streams.insert().values(id=1, host="h", name="s", source="", first_seen=0.0, last_seen=0.0)
            )

        def append() -> None:
            for _ in range(10):
                with store.begin() as connection:
                    chosen = sa.select(tables.streams.c.source).with_for_update()
                    source = connection.scalar(chosen)
                    connection.execute(tables.streams.update().values(source=f"{source}x"))

        threads = [threading.Thread(target=append) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.reading() as connection:
            assert connection.scalar(sa.select(tables.streams.c.source)) == 40 * "x"


def test_processes_that_make_the_same_store_at_once_all_succeed(store_url: str) -> None:
    code = "import sys; from monitor.store.database import Store; sys.stdin.read(1); Store.open(sys.argv[1]).close()"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, store_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    results = []
    for process in processes:  # all are started, and wait for this
        assert process.stdin
        process.stdin.write(b"x")
        process.stdin.flush()
    for process in processes:
        _, error = process.communicate(timeout=DEADLINE_S)
        results.append((process.returncode, error))
    assert results == [(0, b"")] * 2


def unprepared(url: str) -> sa.Engine:
    """The database of a store, as another program sees it: nothing is created or brought up to date."""
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def schema_of(url: str) -> dict[str, object]:
    """Tables, columns, keys and indexes of a database, whatever their order."""
    inspector = sa.inspect(unprepared(url))
    return {
        name: (
            [(one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns(name)],
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted((one["constrained_columns"], str(one["options"])) for one in inspector.get_foreign_keys(name)),
            sorted(one["column_names"] for one in inspector.get_unique_constraints(name)),
            sorted((one["name"], one["column_names"]) for one in inspector.get_indexes(name)),
        )
        for name in inspector.get_table_names()
    }


@pytest.fixture
def old_store_url(store_url: str) -> str:
    """The address of a store of version 1, with an event that has two verdicts."""
    engine = unprepared(store_url)
    with engine.begin() as connection:
        store_version_1.make(connection)
    engine.dispose()
    return store_url


def test_a_store_of_version_1_is_brought_up_to_date_and_keeps_what_is_in_it(old_store_url: str) -> None:
    assert "older version" in refusal(old_store_url, create=False)
    with Store.open(old_store_url) as store:
        with store.reading() as connection:
            assert version_of(connection) == tables.SCHEMA_VERSION
            counted = {
                name: connection.scalar(sa.select(sa.func.count()).select_from(table))
                for name, table in tables.metadata.tables.items()
            }
        assert counted == {
            "store_schema": 1, "streams": 1, "models": 1, "events": 1, "verdicts": 2, "deliveries": 1, "minutes": 1,
            "audit": 1, "selftests": 0, "users": 0, "sessions": 0, "monitors": 0, "model_files": 0, "model_orders": 0,
            "spools": 0,
        }  # fmt: skip
        event = queries.event(store, "019ac4f0-0001")
        assert (event.stream, event.verdict, event.verdict_by, event.peak_share) == ("pump", "sensor", "ben", 3.5)
        verdicts.record(store, event.id, "real fault", by="anna")
        history = [(one.by, one.verdict, one.model_id) for one in verdicts.verdicts_of(store, event.id)]
        assert history == [("anna", "real fault", ""), ("ben", "sensor", ""), ("anna", "real fault", "1f0c")]


def test_a_store_brought_up_to_date_has_the_same_tables_as_a_new_one(
    old_store_url: str, tmp_path: Path, postgres: PostgresServer
) -> None:
    Store.open(old_store_url).close()
    is_file = old_store_url.startswith("sqlite")
    new_url = f"sqlite:///{tmp_path / 'new.sqlite'}" if is_file else postgres.new_database()
    Store.open(new_url).close()
    assert schema_of(old_store_url) == schema_of(new_url)


def test_the_steps_to_a_later_version_are_taken_once_each(store_url: str) -> None:
    now = tables.SCHEMA_VERSION

    def first_step(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE streams ADD COLUMN place VARCHAR(60)")

    def second_step(connection: sa.Connection) -> None:
        connection.exec_driver_sql("UPDATE streams SET place = 'hall 3'")

    steps = {now: first_step, now + 1: second_step}
    with Store.open(store_url) as store:
        with store.begin() as connection:
            connection.execute(tables.streams.insert().values(host="h", name="s", first_seen=0.0, last_seen=0.0))
        with store.begin() as connection:
            migrate(connection, now + 2, steps)
        with store.begin() as connection:
            migrate(connection, now + 2, steps)  # nothing is left to do
            assert version_of(connection) == now + 2
            assert connection.exec_driver_sql("SELECT name, place FROM streams").all() == [("s", "hall 3")]


def test_a_migration_that_fails_leaves_the_store_as_it_was(store_url: str) -> None:
    now = tables.SCHEMA_VERSION

    def step(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE streams ADD COLUMN place VARCHAR(60)")
        connection.exec_driver_sql("UPDATE nothing SET place = 1")

    with Store.open(store_url) as store:
        with pytest.raises(StoreError, match="nothing"), store.begin() as connection:
            migrate(connection, now + 1, {now: step})
        with store.reading() as connection:
            assert version_of(connection) == now
            assert "place" not in {column["name"] for column in sa.inspect(connection).get_columns("streams")}


def test_a_store_of_a_newer_version_is_refused_and_says_so(store_url: str) -> None:
    with Store.open(store_url) as store, store.begin() as connection:
        connection.execute(tables.store_schema.update().values(version=99))
    for create in (True, False):
        message = refusal(store_url, create=create)
        assert "newer version" in message
        assert "99" in message


def test_who_only_looks_changes_no_store_of_an_older_version(old_store_url: str) -> None:
    before = schema_of(old_store_url)
    assert "older version" in refusal(old_store_url, create=False)
    assert schema_of(old_store_url) == before


def test_a_database_of_another_program_is_not_taken_for_a_store(store_url: str) -> None:
    with Store.open(store_url) as store, store.begin() as connection:
        connection.execute(tables.store_schema.delete())
    assert "another program" in refusal(store_url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hello", "no address"),
        ("mysql://u:secret@h/x", "mysql://"),
        ("postgresql://u:secret@h:port/x", "no address"),
        ("sqlite://", "no file"),
        ("sqlite:///:memory:", "no file"),
        (f"sqlite:////tmp/{'folder/' * 80}store.sqlite", "too long"),
        ("postgresql://u:pass@secret@h/x", "%40"),
        ("sqlite:////nowhere/store.sqlite", "no folder /nowhere"),
        ("sqlite:////tmp", "is a folder"),
        ("postgresql://u:secret@127.0.0.1:1/x", "postgresql://u@127.0.0.1:1/x: no connection"),
    ],
)
def test_a_wrong_address_is_said_with_what_to_write_and_without_a_password(url: str, said: str) -> None:
    assert said in refusal(url)


def test_an_address_is_checked_before_anything_is_there() -> None:
    for usable in ("sqlite:////nowhere/store.sqlite", "sqlite:////tmp", "postgresql://u:secret@127.0.0.1:1/x"):
        require_address(usable)
    for wrong in ("hello", "mysql://u:secret@h/x", "sqlite:///:memory:", "postgresql://u:pass@secret@h/x"):
        with pytest.raises(AddressError) as caught:
            require_address(wrong)
        assert caught.value.exit_code == EXIT_USAGE
        assert "secret" not in str(caught.value)


def test_a_server_that_refuses_says_why(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    assert "does not exist" in refusal(url + "_no")
    assert "password authentication failed" in refusal(url.replace("a%20secret", "another-secret"))


def test_without_psycopg_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'acoustic-monitor[postgres]'" in refusal("postgresql://u:secret@127.0.0.1:1/x")


def test_a_store_that_is_not_there_yet_is_not_made_by_who_only_looks(tmp_path: Path, postgres: PostgresServer) -> None:
    assert "nothing is stored here yet" in refusal(f"sqlite:///{tmp_path / 'no.sqlite'}", create=False)
    assert list(tmp_path.iterdir()) == []
    assert "nothing is stored here yet" in refusal(postgres.new_database(), create=False)


def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    file.write_text("Dear diary, " * 100)
    for create in (True, False):
        assert "is no database" in refusal(f"sqlite:///{file}", create=create)
    assert file.read_text() == "Dear diary, " * 100


def test_a_folder_that_may_not_be_written_is_said() -> None:
    with folder_of_somebody_else() as folder:
        for name in ("store.sqlite", "new.sqlite"):
            assert "check the permissions" in refusal(f"sqlite:///{folder / name}")


def test_a_locked_database_is_said_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    file = tmp_path / "store.sqlite"
    with Store.open(f"sqlite:///{file}") as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MonitorError, match="locked"), store.begin():
            pass
        with store.reading() as connection:
            assert version_of(connection) == tables.SCHEMA_VERSION
        other.close()


def test_paths_with_special_characters_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "50 % of #1? ä"
    folder.mkdir()
    Store.open(f"sqlite:///{folder / 'store.sqlite'}").close()
    assert (folder / "store.sqlite").exists()
