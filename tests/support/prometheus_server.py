"""A real Prometheus that scrapes a target of this computer, and its query API."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.listening import DEADLINE_S
from support.ports import free_port

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="prometheus is not installed"
)


def read(url: str, **headers: str) -> str:
    """What is at an address of this computer."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=DEADLINE_S) as answer:
        return str(answer.read().decode())


class Prometheus:
    """A running server, and questions to it."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api/v1"

    def ready(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(OSError, urllib.error.URLError):
            return bool(self._ask("status/buildinfo"))
        return False

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The present samples of an expression: labels and value of each."""
        result = self._ask(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def rules(self) -> list[dict[str, Any]]:
        """The alert rules that are loaded."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, path: str) -> Any:
        answer = json.loads(read(f"{self._api}/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]


@contextlib.contextmanager
def prometheus(folder: Path, target: str, *, rules: Path) -> Iterator[Prometheus]:
    """A context with a server that scrapes http://TARGET/metrics each second and evaluates these rules."""
    port = free_port()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{rules}]\n"
        f'scrape_configs: [{{job_name: acoustic-monitor, static_configs: [{{targets: ["{target}"]}}]}}]\n'
    )
    process = subprocess.Popen(
        ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait()
