"""Logins in the store: they survive a restart of the page's process, and end for all of its processes at once.

The browser has a random secret in a cookie; the store has only its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Collection

import sqlalchemy as sa

from monitor.store import audit
from monitor.store.database import Store, StoreError
from monitor.store.tables import sessions, users
from monitor.web.login.users import User

LOGIN, LOGOUT, WRONG = "log in", "log out", "wrong password"  # in the audit trail


def begin(store: Store, name: str, *, address: str, session_s: float) -> str:
    """Begins a session of a user whose password was right, and returns the secret for the cookie.

    Sessions that were not used for `session_s` seconds are removed on this occasion.

    Raises:
        StoreError: if the store cannot be written.
    """
    secret, now = secrets.token_urlsafe(32), time.time()
    with store.begin() as connection:
        connection.execute(sessions.delete().where(sessions.c.used < now - session_s))
        connection.execute(sessions.insert().values(token=key_of(secret), user=name, began=now, used=now))
        audit.record(connection, by=name, what=LOGIN, subject=name, after={"address": address})
    return secret


def find(store: Store, secret: str, *, session_s: float) -> User | None:
    """The user of a session; None if it has ended. That it is used now is noted now and then.

    Raises:
        StoreError: if the store cannot be read.
    """
    key, now = key_of(secret), time.time()
    found = _valid(store, [key], now - session_s).get(key)
    if found is None:
        return None
    user, used = found
    if now - used > min(60.0, session_s / 10):  # not with each of the many requests of a page
        # A store that can only be read at present, because the disk is full, is still worth looking at.
        with contextlib.suppress(StoreError), store.begin() as connection:
            connection.execute(sessions.update().where(sessions.c.token == key).values(used=now))
    return user


def valid(store: Store, keys: Collection[str], *, session_s: float) -> dict[str, User]:
    """Those of some sessions that have not ended, each with its user, whose role may have changed meanwhile.

    Raises:
        StoreError: if the store cannot be read.
    """
    return {key: user for key, (user, _) in _valid(store, keys, time.time() - session_s).items()}


def end(store: Store, key: str, *, by: str) -> None:
    """Ends a session.

    Raises:
        StoreError: if the store cannot be written.
    """
    with store.begin() as connection:
        if connection.execute(sessions.delete().where(sessions.c.token == key)).rowcount:
            audit.record(connection, by=by, what=LOGOUT, subject=by)


def note_wrong_password(store: Store, name: str, *, address: str) -> None:
    """Notes in the audit trail that somebody tried to log in as a user."""
    with store.begin() as connection:
        audit.record(connection, by=name, what=WRONG, subject=name, after={"address": address})


def key_of(secret: str) -> str:
    """What the store knows of the secret of a session."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _valid(store: Store, keys: Collection[str], since: float) -> dict[str, tuple[User, float]]:
    chosen = (
        sa.select(sessions.c.token, sessions.c.used, users.c.name, users.c.role)
        .join(users, users.c.name == sessions.c.user)
        .where(sessions.c.token.in_(list(keys)), sessions.c.used >= since)
    )
    with store.reading() as connection:
        rows = connection.execute(chosen).mappings().all()
    return {row["token"]: (User(row["name"], row["role"], row["token"]), row["used"]) for row in rows}
