"""A PostgreSQL server of a test's own: in a temporary folder, on a free port of this computer, ended with the test."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from monitor.store.database import Store
from support.namespaces import Host
from support.ports import free_port

# Debian does not put the programs on the path; of several versions, one is enough.
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nowhere"))
USER, PASSWORD = "monitor", "a secret: @/% ä"


class PostgresServer:
    """A server with a user `monitor`, who needs a password.

    Args:
        folder: for its files; the user that runs the server must be able to enter it.
        host: the host that it runs on, and listens to the whole network of; None: this computer, for itself.
    """

    def __init__(self, folder: Path, host: Host | None = None) -> None:
        self._data, self._log = folder / "data", folder / "log"
        self.address, self._prefix = ("127.0.0.1", ()) if host is None else (host.address, host.prefix)
        self.port = free_port()
        password = folder / "password"
        password.write_text(PASSWORD + "\n", encoding="utf-8")
        if os.geteuid() == 0:  # the server refuses to run as root
            for path in (folder, password):
                shutil.chown(path, "postgres", "postgres")
        self._run("initdb", "--pgdata", self._data, "--username", USER, "--auth", "scram-sha-256", "--no-sync",
                  "--pwfile", password, "--encoding", "UTF8", "--locale", "C")  # fmt: skip
        if host is not None:
            with (self._data / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {host.network} scram-sha-256\n")
        self.start()

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        options = f"-c listen_addresses={self.address} -p {self.port} -k {self._data.parent} -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "--pgdata", self._data, "--log", self._log, "--options", options)

    def stop(self) -> None:
        """Stops the server at once; connections are broken."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate", "--pgdata", self._data)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The server hangs: it keeps its connections, and answers nothing."""
        postmaster = int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=True
        )
        processes = [postmaster, *map(int, listed.stdout.split())]
        try:
            for one in processes:
                os.kill(one, signal.SIGSTOP)
            yield
        finally:
            for one in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGCONT)

    def new_database(self) -> str:
        """Creates an empty database, and returns its address."""
        name = f"store_{secrets.token_hex(4)}"
        with psycopg.connect(
            host=self.address, port=self.port, user=USER, password=PASSWORD, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"postgresql://{USER}:a%20secret%3A%20%40%2F%25%20%C3%A4@{self.address}:{self.port}/{name}"

    def _run(self, program: str, *arguments: str | Path) -> None:
        command: Sequence[str | Path] = (PROGRAMS / program, *arguments)
        if os.geteuid() == 0:
            command = (*self._prefix, "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command)
        # The server keeps its parent's output open, so a pipe would never end.
        output = self._data.parent / "output"
        with output.open("wb") as file:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", check=False)
        assert done.returncode == 0, f"{program}: {output.read_text(errors='replace')}"


@contextlib.contextmanager
def postgres_server(host: Host | None = None) -> Iterator[PostgresServer]:
    """A running server, on a host if one is given; the test is skipped where PostgreSQL is not installed."""
    if not (PROGRAMS / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="monitor-postgres-"))  # pytest's folders are closed to other users
    try:
        server = PostgresServer(folder, host)
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):  # the test itself stopped it
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def waits(store: Store) -> bool:
    """Whether a connection to a store waits for the transaction of another one."""
    with store.reading() as connection:
        return bool(connection.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
