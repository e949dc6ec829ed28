"""Who may use the page: names, roles and hashed passwords in the store."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from monitor.core.errors import MonitorError
from monitor.core.text import some_of
from monitor.store import audit
from monitor.store.database import Store
from monitor.store.tables import sessions, users
from monitor.web.login import passwords

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")  # each may do what those before it may
LONGEST_NAME = 60


class UserError(MonitorError):
    """A user cannot be added or changed in this way."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who looks at the page."""

    name: str
    role: Role
    session: str = ""  # key of their row in the table of sessions; "" if a proxy or this computer vouches for them
    from_here: bool = False  # whether nobody has to log in, because only this computer reaches the page

    def may(self, role: Role) -> bool:
        """Whether this user may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def may_write(self) -> bool:
        """Whether this user may acknowledge, judge and mute."""
        return self.may("operator")


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user in the store."""

    name: str
    role: Role
    has_password: bool
    changed: float  # Unix time


def all_users(store: Store) -> list[StoredUser]:
    """All users, ordered by name."""
    chosen = sa.select(users).order_by(users.c.name)
    with store.reading() as connection:
        return [
            StoredUser(row["name"], row["role"], row["password"] is not None, row["changed"])
            for row in connection.execute(chosen).mappings()
        ]


def role_of(store: Store, name: str) -> Role | None:
    """The role of a user; None if there is no such user."""
    with store.reading() as connection:
        return connection.scalar(sa.select(users.c.role).where(users.c.name == name))


def add_user(store: Store, name: str, role: Role, password: str | None, *, by: str) -> None:
    """Adds a user.

    Args:
        store: the store.
        name: one line of printable characters, without spaces at its ends.
        role: what the user may do.
        password: None for a user whom only a proxy logs in.
        by: who adds the user.

    Raises:
        UserError: if the name or the password is unsuitable, or the name is taken.
        StoreError: if the store cannot be written.
    """
    require_name(name)
    hashed = None if password is None else passwords.hashed(password)
    with store.begin() as connection:
        if connection.scalar(sa.select(users.c.name).where(users.c.name == name)) is not None:
            raise UserError(f"There is a user {name} already: change the password or the role, or remove the user.")
        connection.execute(users.insert().values(name=name, role=role, password=hashed, changed=time.time()))
        audit.record(connection, by=by, what="add user", subject=name, after={"role": role})


def set_password(store: Store, name: str, password: str, *, by: str) -> None:
    """Gives a user another password, and ends all of their sessions.

    Raises:
        UserError: if there is no such user, or the password is unsuitable.
        StoreError: if the store cannot be written.
    """
    hashed = passwords.hashed(password)
    with store.begin() as connection:
        _require_user(connection, name)
        connection.execute(users.update().where(users.c.name == name).values(password=hashed, changed=time.time()))
        connection.execute(sessions.delete().where(sessions.c.user == name))
        audit.record(connection, by=by, what="change password", subject=name)


def set_role(store: Store, name: str, role: Role, *, by: str) -> None:
    """Gives a user another role, which counts at once.

    Raises:
        UserError: if there is no such user.
        StoreError: if the store cannot be written.
    """
    with store.begin() as connection:
        before = _require_user(connection, name)
        connection.execute(users.update().where(users.c.name == name).values(role=role, changed=time.time()))
        audit.record(connection, by=by, what="change role", subject=name, before=before, after=role)


def remove_user(store: Store, name: str, *, by: str) -> None:
    """Removes a user, and ends all of their sessions.

    Raises:
        UserError: if there is no such user.
        StoreError: if the store cannot be written.
    """
    with store.begin() as connection:
        before = _require_user(connection, name)
        connection.execute(sessions.delete().where(sessions.c.user == name))
        connection.execute(users.delete().where(users.c.name == name))
        audit.record(connection, by=by, what="remove user", subject=name, before={"role": before})


def is_password_of(store: Store, name: str, password: str) -> bool:
    """Whether a password is that of a user. It takes as long if there is no such user."""
    with store.reading() as connection:
        known = connection.scalar(sa.select(users.c.password).where(users.c.name == name))
    return passwords.matches(password, known)


def known_name(store: Store, name: str) -> str:
    """The name if there is such a user, else "unknown": people also type their password into the field of the name."""
    return name if role_of(store, name) is not None else "unknown"


def require_name(name: str) -> None:
    """Checks that a text can be the name of a user.

    Raises:
        UserError: if it cannot.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise UserError(
            f"The name of a user has 1 to {LONGEST_NAME} printable characters, and no spaces at its ends: "
            "choose another one."
        )


def require_user(store: Store, name: str) -> Role:
    """The role of a user.

    Raises:
        UserError: if there is no such user.
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        return _require_user(connection, name)


def _require_user(connection: sa.Connection, name: str) -> Role:
    role: Role | None = connection.scalar(sa.select(users.c.role).where(users.c.name == name))
    if role is None:
        known = connection.scalars(sa.select(users.c.name).order_by(users.c.name)).all()
        raise UserError(f"There is no user {name}; there are: {some_of(known, name) or 'none'}.")
    return role
