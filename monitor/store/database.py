"""The database of a store: SQLite or PostgreSQL, opened, brought up to date, and its errors put into words."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import exc

from monitor.core.errors import EXIT_USAGE, MonitorError
from monitor.store.migrations import VersionError, check_not_newer, migrate, version_of
from monitor.store.tables import SCHEMA_VERSION

BUSY_S = 5.0  # longest wait for another program that writes to the same file
CONNECT_S = 5  # longest wait for a connection to a server
LONGEST_PATH = 500  # bytes; SQLite's limit is 512, also for the names of the files that it puts beside it
ANSWER_S = 30  # after so long without an answer, a server's connection is given up
EXAMPLES = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


class StoreError(MonitorError):
    """The store cannot be opened, read or written.

    Args:
        message: the sentence for the user.
        rejected: whether the database is well, but refuses what is written, or has not what is asked for: trying again
            is useless.
    """

    def __init__(self, message: str, *, rejected: bool = False) -> None:
        super().__init__(message)
        self.rejected = rejected


class AddressError(StoreError):
    """What should be the address of a store is none, or needs a library that is missing; trying again is useless."""

    exit_code = EXIT_USAGE


class Store:
    """An open database with the tables of `monitor.store.tables`. Any thread may use it.

    `name` is the file or the address of the database, without a password.
    """

    def __init__(self, engine: sa.Engine, name: str, file: Path | None = None) -> None:
        self.name = name
        self._engine, self._file = engine, file
        self._status: os.stat_result | None = None  # of the file

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Opens a store.

        Args:
            url: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.
            create: whether missing tables are created, and those of an older version are brought up to date. False for
                programs that look into the store of a running monitor.

        Raises:
            AddressError: if the url is no address of a database.
            StoreError: if it cannot be opened, or is of another version.
        """
        engine, name, file = _engine(url, create=create)
        store = cls(engine, name, file)
        try:
            store._prepare(create=create)
            store._status = file.stat() if file else None
        except BaseException:
            store.close()
            raise
        return store

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction that may write: committed at the end of the block, or undone by an exception.

        Raises:
            StoreError: if the database refuses something, or cannot be reached.
        """
        with self._errors_in_words(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads: it neither waits for programs that write, nor delays them.

        What is found belongs to the block as far as it may fail, so that also a value that cannot be one is an error
        of the store.

        Raises:
            StoreError: if the database refuses something, or cannot be reached, or a value in it cannot be one.
        """
        with self._errors_in_words(), self._engine.connect() as connection:
            connection = connection.execution_options(only_reads=True)
            try:
                with connection.begin():
                    yield connection
            except (TypeError, ValueError) as error:
                raise StoreError(
                    f"{self.name}: a value in it cannot be read ({error}): the database is damaged, or another program "
                    "has changed it."
                ) from error

    @property
    def moved(self) -> bool:
        """Whether the file of the store was moved away or deleted; what is written now would be lost."""
        if self._file is None or self._status is None:
            return False
        try:
            return not os.path.samestat(self._file.stat(), self._status)
        except OSError:
            return True

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, *, create: bool) -> None:
        try:
            if create:
                with self.begin() as connection:
                    migrate(connection)
                return
            with self.reading() as connection:
                found = version_of(connection)
            check_not_newer(found)
        except VersionError as error:
            raise StoreError(f"{self.name}: {error}.") from None
        if found == 0:
            raise StoreError(f"{self.name}: nothing is stored here yet: `monitor live` writes it.")
        if found < SCHEMA_VERSION:
            raise StoreError(
                f"{self.name}: was written by an older version of this program; the next start of `monitor live` "
                "brings it up to date."
            )

    @contextlib.contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except (exc.SQLAlchemyError, sqlite3.Error) as error:  # rows are also fetched from the driver itself
            # A StatementError of our own side, not of the driver: a value that cannot be converted.
            unfit = isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError)
            rejected = unfit or isinstance(error, exc.IntegrityError | exc.DataError)
            raise StoreError(f"{self.name}: {_reason(error)}.", rejected=rejected) from error


def require_address(url: str) -> None:
    """Checks that a url can be the address of a store, without looking for what is there.

    Raises:
        AddressError: if it is none.
    """
    try:
        _engine(url, create=True)[0].dispose()
    except AddressError:
        raise
    except StoreError:  # of what is there, which may change
        pass


def _engine(url: str, *, create: bool) -> tuple[sa.Engine, str, Path | None]:
    """The engine of a database, its name without a password, and its file if it is one."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        file = Path(rest.removeprefix("/")).expanduser()
        return _sqlite(file, create=create), str(file), file
    if separator and scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        engine, name = _postgresql(f"postgresql+psycopg://{rest}")
        return engine, name, None
    # The text itself is not shown, because it may contain a password.
    what = f"{scheme}:// is no database that a store can be in" if separator else "this is no address of a database"
    raise AddressError(f"store.url: {what}: write {EXAMPLES}.")


def _sqlite(file: Path, *, create: bool) -> sa.Engine:
    if file == Path() or file.name == ":memory:":
        raise AddressError(f"store.url: there is no file in it: write {EXAMPLES}.")
    if len(os.fsencode(file.absolute())) > LONGEST_PATH:
        raise AddressError(f"{file}: this path is too long for SQLite: give the store a shorter one.")
    if not create and not file.exists():
        raise StoreError(f"{file}: nothing is stored here yet: `monitor live` writes it, with the same state.folder.")
    if not file.parent.is_dir():
        raise StoreError(f"{file}: there is no folder {file.parent}: create it, or change store.url or state.folder.")
    if file.is_dir():
        raise StoreError(f"{file}: is a folder: give the store the name of a file (store.url).")
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        connect_args={"timeout": BUSY_S},
        json_serializer=_json,
        pool_size=4,
        max_overflow=8,
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy begins them, see below
        connection.execute("PRAGMA foreign_keys = ON")
        if create:
            # This order: it applies to a new file only, and switching to the write-ahead log makes it an old one.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA journal_size_limit = 67108864")  # bytes
        # What was committed survives a power failure, too. There are few transactions, so it costs little.
        connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        only_reads = connection.get_execution_options().get("only_reads")
        # A transaction that reads first and writes later could fail in between, without waiting for another one.
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Lets others read while one writes. SQLite does not wait by itself if two programs switch at the same time."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _postgresql(url: str) -> tuple[sa.Engine, str]:
    try:
        address = sa.make_url(url)
    except (exc.ArgumentError, ValueError):
        raise AddressError(f"store.url: this is no address of a database: write {EXAMPLES}.") from None
    if "@" in (address.host or ""):  # the end of the password would be taken for a part of the host, and shown
        raise AddressError("store.url: there is more than one @ in it: write %40 for each in the password.")
    name = sa.URL.create(
        "postgresql", address.username, host=address.host, port=address.port, database=address.database
    ).render_as_string()
    try:
        engine = sa.create_engine(
            address,
            json_serializer=_json,
            pool_pre_ping=True,  # connections of before the server was restarted are not used
            pool_size=4,
            max_overflow=8,
            connect_args={
                "application_name": "acoustic-monitor",
                "connect_timeout": CONNECT_S,
                "keepalives_idle": ANSWER_S,
                "keepalives_interval": 5,
                "tcp_user_timeout": ANSWER_S * 1000,
            },
        )
    except ImportError:
        raise AddressError(f"{name}: needs psycopg: pip install 'acoustic-monitor[postgres]'.") from None
    except exc.ArgumentError:
        raise AddressError(f"store.url: this is no address of a database: write {EXAMPLES}.") from None
    from monitor.store.answer_limit import limit_answers  # it needs psycopg

    limit_answers(engine)
    return engine, name


def _json(value: Any) -> str:
    """JSON text; numbers that JSON does not have, such as an infinite limit, are null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


SQLITE_REASONS = {  # by the primary result code
    sqlite3.SQLITE_BUSY: f"another program has locked it for more than {BUSY_S:g} s",
    sqlite3.SQLITE_LOCKED: "another program has locked it",
    sqlite3.SQLITE_FULL: "the disk is full: make room, or move the store (store.url)",
    sqlite3.SQLITE_READONLY: "may not be written: check the permissions of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the permissions of the file and of its folder, in which SQLite "
    "keeps two more files",
    sqlite3.SQLITE_PERM: "may not be opened: check the permissions of the file and of its folder",
    sqlite3.SQLITE_NOTADB: "is no database: move this file away, or change store.url",
    sqlite3.SQLITE_CORRUPT: "the database is damaged: move this file away, and a new one is begun",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk is full, fails or is gone",
}


def _reason(error: exc.SQLAlchemyError | sqlite3.Error) -> str:
    """Why a database refused something, in a few words without a full stop."""
    original = getattr(error, "orig", error)
    code = getattr(original, "sqlite_errorcode", None)
    if code is not None and (known := SQLITE_REASONS.get(code & 0xFF)):
        return known
    if isinstance(error, exc.TimeoutError):
        return "all connections to it are in use"
    text = " ".join(str(original or error).split("\n")[0].split()).removesuffix(".")
    if "already exists" in text:
        return f"belongs to another program ({text}): give the store a database of its own (store.url)"
    if text.startswith(("connection ", "failed to resolve ")):  # of psycopg; the address is in our message already
        why = text.rpartition("failed: ")[2].removeprefix("FATAL: ")
        return f"no connection: {'it does not answer' if why == 'connection timeout expired' else why}"
    if text.startswith("it has not answered"):
        return text
    if text.startswith(("consuming input failed", "sending query failed", "server closed the connection")):
        return f"the connection was lost ({text.rpartition(': ')[2]})"
    return f"the database refuses: {text}"
