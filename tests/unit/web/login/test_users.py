"""Users of the page and their sessions, in a real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.store import tables
from monitor.store.database import Store
from monitor.web.login import passwords, sessions, users

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take a millisecond; their parameters are kept with them."""
    monkeypatch.setattr(passwords, "COST", 2**10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with the user anna."""
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as made:
        users.add_user(made, "anna", "operator", "correct horse", by="root")
        yield made


def begin(store: Store, name: str = "anna") -> str:
    """A session that has just begun."""
    return sessions.begin(store, name, address="10.0.0.1", session_s=HOUR_S)


def audited(store: Store) -> list[tuple[str, str, str]]:
    """Who did what to whom, in order."""
    with store.reading() as connection:
        rows = connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id)).mappings()
        return [(row["by"], row["what"], row["subject"]) for row in rows]


def test_a_session_is_found_by_its_secret_and_has_the_role_of_the_user(store: Store) -> None:
    found = sessions.find(store, begin(store), session_s=HOUR_S)
    assert found is not None
    assert (found.name, found.role, found.may_write, found.may("admin")) == ("anna", "operator", True, False)
    assert sessions.find(store, "guessed", session_s=HOUR_S) is None
    assert sessions.find(store, "", session_s=HOUR_S) is None


def test_whoever_reads_the_store_cannot_take_over_a_session(store: Store) -> None:
    secret = begin(store)
    with store.reading() as connection:
        [kept] = connection.scalars(sa.select(tables.sessions.c.token)).all()
    assert kept != secret
    assert sessions.find(store, kept, session_s=HOUR_S) is None


def test_a_session_ends_when_it_was_not_used_for_long(store: Store) -> None:
    secret = begin(store)
    set_used(store, HOUR_S - 30)
    assert sessions.find(store, secret, session_s=HOUR_S), "this is a use, so it counts from now"
    assert sessions.find(store, secret, session_s=60)
    set_used(store, HOUR_S + 1)
    assert sessions.find(store, secret, session_s=HOUR_S) is None


def test_old_sessions_do_not_pile_up(store: Store) -> None:
    begin(store)
    set_used(store, HOUR_S + 1)
    begin(store)
    with store.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.sessions)) == 1


def test_another_password_ends_all_sessions_of_the_user_and_of_nobody_else(store: Store) -> None:
    users.add_user(store, "ben", "viewer", "correct horse", by="root")
    secrets = [begin(store), begin(store), begin(store, "ben")]
    users.set_password(store, "anna", "battery staple", by="root")
    assert [bool(sessions.find(store, one, session_s=HOUR_S)) for one in secrets] == [False, False, True]
    assert users.is_password_of(store, "anna", "battery staple")
    assert not users.is_password_of(store, "anna", "correct horse")


def test_a_removed_user_is_logged_out_and_stays_so_when_the_name_is_given_again(store: Store) -> None:
    secret = begin(store)
    users.remove_user(store, "anna", by="root")
    assert sessions.find(store, secret, session_s=HOUR_S) is None
    users.add_user(store, "anna", "admin", "battery staple", by="root")
    assert sessions.find(store, secret, session_s=HOUR_S) is None


def test_another_role_counts_at_once_for_a_session_that_goes_on(store: Store) -> None:
    secret = begin(store)
    users.set_role(store, "anna", "viewer", by="root")
    found = sessions.find(store, secret, session_s=HOUR_S)
    assert found is not None
    assert found.role == "viewer"


def test_nobody_logs_in_as_a_user_whom_only_a_proxy_knows(store: Store) -> None:
    users.add_user(store, "proxied", "viewer", None, by="root")
    assert not users.is_password_of(store, "proxied", "")
    assert not users.is_password_of(store, "nobody", "")


def test_logins_and_changes_of_users_are_in_the_audit_trail_without_passwords(store: Store) -> None:
    secret = begin(store)
    sessions.note_wrong_password(store, "anna", address="10.0.0.1")
    users.set_role(store, "anna", "admin", by="root")
    sessions.end(store, sessions.key_of(secret), by="anna")
    users.set_password(store, "anna", "battery staple", by="root")
    users.remove_user(store, "anna", by="root")
    assert audited(store) == [
        ("root", "add user", "anna"), ("anna", "log in", "anna"), ("anna", "wrong password", "anna"),
        ("root", "change role", "anna"), ("anna", "log out", "anna"), ("root", "change password", "anna"),
        ("root", "remove user", "anna"),
    ]  # fmt: skip
    with store.reading() as connection:
        everything = str(connection.execute(sa.select(tables.audit)).all())
    assert not any(word in everything for word in ("horse", "staple", "scrypt", secret))


@pytest.mark.parametrize("name", ["", " anna", "an\nna", "x" * 61])
def test_a_name_that_cannot_be_shown_on_a_line_is_refused(store: Store, name: str) -> None:
    with pytest.raises(users.UserError, match="printable"):
        users.add_user(store, name, "viewer", "correct horse", by="root")


def test_who_changes_an_unknown_user_learns_which_there_are(store: Store) -> None:
    for change in (
        lambda: users.remove_user(store, "bob", by="root"),
        lambda: users.set_role(store, "bob", "admin", by="root"),
        lambda: users.set_password(store, "bob", "battery staple", by="root"),
    ):
        with pytest.raises(users.UserError, match="There is no user bob; there are: anna"):
            change()
    with pytest.raises(users.UserError, match="already"):
        users.add_user(store, "anna", "viewer", "correct horse", by="root")


def set_used(store: Store, seconds_ago: float) -> None:
    """Makes all sessions used so long ago."""
    with store.begin() as connection:
        connection.execute(tables.sessions.update().values(used=time.time() - seconds_ago))
