"""The waiting of threads is set before torch is loaded, and never overrides the user's own setting."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from monitor.cli.environment import SPIN_COUNT, choose_thread_waiting

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.fixture(autouse=True)
def nothing_set_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that monkeypatch restores it after the test
        monkeypatch.delenv(name)


def chosen() -> list[str | None]:
    choose_thread_waiting()
    return [os.environ.get(name) for name in NAMES]


def test_threads_sleep_while_they_wait_where_other_programs_use_the_processors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (100.0, 100.0, 100.0))
    monkeypatch.setattr(logging.getLogger("monitor"), "propagate", True)  # a command in this process may have set it
    with caplog.at_level(logging.DEBUG, logger="monitor.cli.environment"):
        assert chosen() == ["PASSIVE", None]
    assert "OMP_WAIT_POLICY=PASSIVE" in caplog.text
    assert all(record.levelno == logging.DEBUG for record in caplog.records), "an error of the input comes first"


def test_threads_wait_a_moment_before_they_sleep_on_a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    assert chosen() == ["PASSIVE", SPIN_COUNT]


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert chosen() == ["ACTIVE", None]


def test_nothing_is_set_where_torch_has_been_loaded_and_would_not_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", object())
    assert chosen() == [None, None]
