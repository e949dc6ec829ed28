"""Computers for tests: hosts in network namespaces of this machine, on a switch with cables that can be cut."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.listening import DEADLINE_S

STOP_S = 30.0  # for a program to end when it is asked to
# Of everything that a run makes: its process id, so that two runs do not meet, and what a killed one left is known.
NAME = re.compile(r"\bmon(\d+)-\w+")
_numbers = itertools.count()


class Link:
    """The cable between a host and the switch.

    A cut is silent, as that of a switch on the way: packets vanish in both directions, connections stay open and hang.
    """

    def __init__(self, port: str) -> None:
        self._port = port
        self.whole = True

    def cut(self) -> None:
        """Cuts it."""
        _run("bridge", "link", "set", "dev", self._port, "state", "0")
        self.whole = False

    def mend(self) -> None:
        """Mends it."""
        _run("bridge", "link", "set", "dev", self._port, "state", "3")
        self.whole = True


class Host:
    """A computer with a network of its own; it shares disk and processors with all others.

    Attributes:
        address: its address, by which all others and the test itself reach it.
        network: all addresses of the network, as a server's settings name them.
        link: its cable.
        prefix: what is put in front of a command that is to run there.
    """

    def __init__(self, name: str, namespace: str, address: str, network: str, link: Link) -> None:
        self.name, self.address, self.network, self.link = name, address, network, link
        self.prefix = ("ip", "netns", "exec", namespace)
        self._running: list[subprocess.Popen[Any]] = []

    def run(
        self, *command: object, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command there to its end; arguments as of `popen`."""
        return subprocess.run(
            [*self.prefix, *map(str, command)], cwd=folder, env={**os.environ, **(environment or {})},
            capture_output=True, text=True, check=False, timeout=DEADLINE_S,
        )  # fmt: skip

    def popen(
        self,
        *command: object,
        folder: Path | None = None,
        output: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Starts a command there, which ends with the network at the latest.

        Args:
            command: the program and its arguments.
            folder: in which it runs.
            output: file that what it prints is appended to.
            environment: further variables.
            stdin: its standard input.
        """
        with (output or Path(os.devnull)).open("ab") as file:
            process = subprocess.Popen(
                [*self.prefix, *map(str, command)], cwd=folder, env={**os.environ, **(environment or {})},
                stdin=stdin, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._running.append(process)
        return process

    def end(self) -> None:
        """Ends everything that was started there."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Network:
    """A switch, and the hosts at it. The test itself is at it, too, by an address that no cut concerns."""

    def __init__(self) -> None:
        self._name = f"mon{os.getpid()}-{next(_numbers)}"
        self._subnet = _unused_subnet()
        self.hosts: list[Host] = []
        self._namespaces: list[str] = []
        self._bridge = f"{self._name}b"
        _run("ip", "link", "add", self._bridge, "type", "bridge")
        try:
            _run("ip", "address", "add", f"{self._subnet}.1/24", "dev", self._bridge)
            _run("ip", "link", "set", self._bridge, "up")
        except BaseException:
            self.end()
            raise

    def host(self, name: str) -> Host:
        """Adds a host."""
        number = len(self._namespaces) + 2
        namespace, port = f"{self._name}n{number}", f"{self._name}p{number}"
        _run("ip", "netns", "add", namespace)
        self._namespaces.append(namespace)
        _run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", port, "master", self._bridge, "up")
        _run("ip", "-n", namespace, "address", "add", f"{self._subnet}.{number}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run("ip", "-n", namespace, "link", "set", device, "up")
        self.hosts.append(Host(name, namespace, f"{self._subnet}.{number}", f"{self._subnet}.0/24", Link(port)))
        return self.hosts[-1]

    def end(self) -> None:
        """Ends all programs, and removes everything."""
        for host in self.hosts:
            host.end()
        for namespace in self._namespaces:
            _remove("ip", "netns", "delete", namespace)  # with its cable, once no program is in it
        _remove("ip", "link", "delete", self._bridge)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network without hosts, removed with the block; the test is skipped where none can be made."""
    missing = [program for program in ("ip", "bridge") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (apt-get install iproute2)")
    if os.geteuid() != 0:
        pytest.skip("network namespaces are made by root only")
    _remove_left_over()
    made = Network()
    try:
        yield made
    finally:
        made.end()


def _unused_subnet() -> str:
    """The first three numbers of 256 private addresses that this computer does not use."""
    used = _run("ip", "-4", "address", "show") + _run("ip", "-4", "route", "show")
    while True:
        subnet = f"10.{100 + secrets.randbelow(100)}.{secrets.randbelow(256)}"
        if f" {subnet}." not in used:
            return subnet


def _remove_left_over() -> None:
    """Removes the networks of runs that were killed, and ends what still runs there."""
    for kind, listing in (("netns", _run("ip", "netns", "list")), ("link", _run("ip", "-o", "link", "show"))):
        for found in NAME.finditer(listing):
            if not Path(f"/proc/{found[1]}").exists():
                for process in _run("ip", "netns", "pids", found[0]).split() if kind == "netns" else ():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(process), signal.SIGKILL)
                _remove("ip", kind, "delete", found[0])


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _remove(*command: str) -> None:
    """Removes something that may be gone already."""
    subprocess.run(command, capture_output=True, check=False)
