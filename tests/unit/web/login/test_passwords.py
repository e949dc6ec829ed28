"""Passwords: kept as salted hashes, compared as a whole, and refused where they are too short."""

from __future__ import annotations

import pytest

from monitor.web.login import passwords
from monitor.web.login.passwords import PasswordError, hashed, matches


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take a millisecond; their parameters are kept with them."""
    monkeypatch.setattr(passwords, "COST", 2**10)


def test_only_the_right_password_matches_what_was_kept_of_it() -> None:
    known = hashed("correct horse ä")
    assert matches("correct horse ä", known)
    assert not matches("correct horse a", known)
    assert not matches("", known)


def test_a_kept_password_cannot_be_read_and_two_equal_ones_look_different() -> None:
    first, second = hashed("correct horse"), hashed("correct horse")
    assert "correct" not in first
    assert first != second


@pytest.mark.parametrize(
    "known", [None, "", "scrypt$1$1$1$!$!", "scrypt$32768$8$3$c2FsdA==$", "scrypt$9$9$9$c2E=$c2E="]
)
def test_nothing_matches_what_is_no_kept_password(known: str | None) -> None:
    assert not matches("", known)
    assert not matches("correct horse", known)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1001])
def test_a_password_that_is_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(PasswordError, match="8 to 1000 characters"):
        hashed(password)
