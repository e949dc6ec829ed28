"""A real S3 server of a test's own: OpenStack Swift, on a free port of this computer or of a host in a namespace."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import fsspec
import pytest

from support.listening import wait_until
from support.namespaces import Host
from support.ports import free_port

USER, PASSWORD = "plant:monitor", "geheim-0815"
BUCKET, REGION = "plant", "us-east-1"


class S3Server:
    """A server that can be killed, started again with what it has, and frozen.

    Args:
        folder: for what it stores.
        host: the host that it runs on; None: this computer, for itself.
    """

    def __init__(self, folder: Path, host: Host | None = None) -> None:
        self.folder = folder
        address, self._prefix = ("127.0.0.1", ()) if host is None else (host.address, host.prefix)
        self._address, self._port = address, free_port()
        self.endpoint = f"http://{address}:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        files = fsspec.filesystem(
            "s3", key=USER, secret=PASSWORD, endpoint_url=self.endpoint, skip_instance_cache=True,
            client_kwargs={"region_name": REGION},
        )  # fmt: skip
        files.mkdir(BUCKET)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which programs reach it."""
        return {
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def start(self) -> None:
        """Starts it, if it does not run, with what it stored before, and waits until it listens."""
        if self._process is not None and self._process.poll() is None:
            return
        main = Path(__file__).with_name("swift_main.py")
        command = [*self._prefix, sys.executable, main, self.folder, self._address, str(self._port), USER, PASSWORD]
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self._listens, "the S3 server listens")

    def kill(self) -> None:
        """Ends it at once."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stops it; connections stay open, and nothing answers."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((self._address, self._port), 1.0).close()
            return True
        return False


@contextlib.contextmanager
def s3_server(host: Host | None = None) -> Iterator[S3Server]:
    """A running server with the bucket `plant`; the test is skipped where Swift is not installed."""
    if importlib.util.find_spec("swift") is None:
        pytest.skip("OpenStack Swift is not installed (pip install swift)")
    with tempfile.TemporaryDirectory(prefix="monitor-s3-", ignore_cleanup_errors=True) as folder:
        server = S3Server(Path(folder), host)
        try:
            yield server
        finally:
            server.thaw()
            server.kill()
