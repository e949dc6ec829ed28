"""Who makes a request, and what they may do: a login, a user that a proxy names, or this computer's own user."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.config.improving import Web
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.user_name import user_name
from monitor.store.database import Store, StoreError
from monitor.web.login import sessions, users
from monitor.web.login.users import Role, User
from monitor.web.store_link import StoreLink

LONGEST_ADDRESS = 60  # characters
LOOK_S = 2.0  # for so long the answer to "are there users" is remembered
NOTHING_YET = "nothing is stored here yet"  # of a store that was not made yet, so it has no users
FORWARDED = ("x-forwarded-for", "x-real-ip", "forwarded", "via")  # headers of proxies


class Refused(MonitorError):
    """A user may not do what they try to do, or the login has ended."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of its sender."""

    address: str  # of the computer that is connected to us
    headers: Mapping[str, str]  # names in lower case; several of one name are lines of one text
    secret: str = ""  # of the session cookie


class Access:
    """Decides who somebody is. It blocks while the store is asked: call it on a thread.

    Args:
        web: the settings of the page.
        store: with users and sessions.
        local: whether the page can be reached from this computer only.
    """

    def __init__(self, web: Web, store: StoreLink, *, local: bool) -> None:
        self.session_s = web.session_h * 3600
        self._web, self._store, self._local = web, store, local
        self._proxy = _plain(web.proxy)
        self._open, self._looked = False, -LOOK_S
        self._unknown: StoreError | None = None  # why it is not known whether there are users

    @property
    def open_here(self) -> bool:
        """Whether nobody has to log in: only this computer can reach the page, and there are no users."""
        if not self._local or self._proxy:
            return False
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            try:
                self._open, self._unknown = not self._store.use(users.all_users), None
            except StoreError as error:
                # Without a file there are no users; of a server that does not answer, nobody knows.
                self._open, self._unknown = self._open or NOTHING_YET in str(error), error
            self._looked = now
        return self._open

    def require_login(self) -> None:
        """Checks that a page that other computers reach is not without users and proxy.

        Raises:
            ConfigError: if it is.
        """
        if self._local or self._proxy:
            return
        try:
            found = self._store.use(users.all_users)
        except StoreError as error:
            if NOTHING_YET not in str(error):
                return  # it may have users; until it answers, nobody is let in
            found = []
        if not found:
            raise ConfigError(
                f"web.address: other computers reach {self._web.address}, but the page has no users: add one with "
                "`monitor web user add NAME --role admin`, or set web.proxy."
            )

    def is_proxy(self, caller: Caller) -> bool:
        """Whether a request comes from the proxy of the settings, so that its headers are believed."""
        return bool(self._proxy) and _plain(caller.address) == self._proxy

    def client_address(self, caller: Caller) -> str:
        """The address of the person's computer, as far as it can be believed."""
        forwarded = caller.headers.get("x-forwarded-for", "") if self.is_proxy(caller) else ""
        return re.split("[,\n]", forwarded)[-1].strip()[:LONGEST_ADDRESS] or caller.address

    def user(self, caller: Caller) -> User | None:
        """The user who makes a request; None if they have to log in.

        Raises:
            StoreError: if the store cannot be read.
        """
        if self.is_proxy(caller) and (
            name := _header_text(caller.headers.get(self._web.proxy_user_header.lower(), ""))
        ):
            if not name.isprintable() or len(name) > users.LONGEST_NAME:
                return None
            known: Role | None = self._store.use(lambda store: users.role_of(store, name))
            return User(name, known or self._web.proxy_role)
        if caller.secret:
            found = self._store.use(lambda store: sessions.find(store, caller.secret, session_s=self.session_s))
            if found is not None:
                return found
        if self.open_here:
            return User(user_name(), "operator", from_here=True)
        if self._local and self._unknown is not None:
            raise self._unknown  # nobody could log in either, and there may be nobody who has to
        return None

    def require(self, store: Store, user: User, needs: Role) -> None:
        """Checks that a user may do something now.

        Raises:
            Refused: if they may not.
        """
        if user.session:
            found = sessions.valid(store, [user.session], session_s=self.session_s).get(user.session)
            if found is None:
                raise Refused("Your login has ended: log in again.")
            user = found
        elif user.from_here:
            self._looked = -LOOK_S
            if not self.open_here:
                raise Refused("The page has users now: log in.")
        else:  # named by a proxy
            user = User(user.name, users.role_of(store, user.name) or self._web.proxy_role)
        if not user.may(needs):
            raise Refused(f"This needs the role {needs}; {user.name} is {user.role}.")


def _header_text(value: str) -> str:
    """The text of a header, which was read as Latin-1, but is UTF-8 where it can be."""
    try:
        return value.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return value.strip()


def _plain(address: str) -> str:
    """An address in one form: that of version 4 also where it was mapped into version 6."""
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address.casefold()
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
