"""Wrong passwords make the next attempt wait, whoever asks and whatever is tried; the memory for it is bounded."""

from __future__ import annotations

import pytest

from monitor.web.login import login_attempts
from monitor.web.login.login_attempts import BY_ADDRESS, BY_BOTH, BY_USER, WINDOW_S, LoginAttempts


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds since an arbitrary time."""
        return self.now


def test_after_some_wrong_passwords_the_next_has_to_wait() -> None:
    clock = Clock()
    attempts = LoginAttempts(clock)
    assert [attempts.begin("10.0.0.1", "anna") for _ in range(BY_BOTH)] == [0.0] * BY_BOTH
    assert attempts.begin("10.0.0.1", "anna") == WINDOW_S
    assert attempts.begin("10.0.0.2", "anna") == 0, "the user herself, at another computer"
    clock.now += WINDOW_S
    assert attempts.begin("10.0.0.1", "anna") == 0


def test_one_address_cannot_try_many_users() -> None:
    attempts = LoginAttempts(Clock())
    waits = [attempts.begin("10.0.0.1", f"user {i}") for i in range(BY_ADDRESS + 1)]
    assert waits == [0.0] * BY_ADDRESS + [WINDOW_S]


def test_many_addresses_cannot_try_one_user() -> None:
    attempts = LoginAttempts(Clock())
    waits = [attempts.begin(f"10.0.0.{i}", "anna") for i in range(BY_USER + 1)]
    assert waits == [0.0] * BY_USER + [WINDOW_S]


def test_right_passwords_do_not_count() -> None:
    attempts = LoginAttempts(Clock())
    for _ in range(3 * BY_USER):
        assert attempts.begin("10.0.0.1", "anna") == 0
        attempts.forgive("10.0.0.1", "anna")


def test_an_attack_from_very_many_addresses_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_attempts, "KEPT", 100)
    attempts = LoginAttempts(Clock())
    for i in range(300):
        attempts.begin(f"10.0.{i // 250}.{i % 250}", f"user {i}")
    assert len(attempts) <= 100
