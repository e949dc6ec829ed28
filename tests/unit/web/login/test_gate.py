"""What is let through to the pages: by login, from a proxy, from this computer; never from another site."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from monitor.config.improving import Web
from monitor.config.loader import load_config
from monitor.core.user_name import user_name
from monitor.store.database import Store
from monitor.web.login import passwords, sessions, users
from monitor.web.login.access import Access, Refused
from monitor.web.login.gate import USER, Gate, caller_of
from monitor.web.login.open_sockets import OpenSockets
from monitor.web.login.users import User
from monitor.web.store_link import StoreLink

COOKIE = "monitor_session_8090"
HOUR_S = 3600.0


class Site:
    """A gate before pages that say who looks.

    Args:
        folder: with the store.
        local: whether only this computer reaches it.
        web: settings.
    """

    def __init__(self, folder: Path, *, local: bool = True, **web: Any) -> None:
        self.settings = Web(**web)
        self.link = StoreLink(load_config(overrides=[f"state.folder={folder}"]))
        self.access = Access(self.settings, self.link, local=local)
        self.gate = Gate(self._page, self.access, cookie=COOKIE, run=self._run, sockets=OpenSockets())
        self.user: User | None = None
        self.scheme = ""
        self.received = "http.request"  # what the browser sends

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        address: str = "127.0.0.1",
        kind: str = "http",
        also: Sequence[tuple[bytes, bytes]] = (),
        **headers: str,
    ) -> int:
        """The status of the answer to a request; of a WebSocket 101 if it is accepted, else 403."""
        self.user = None
        headers = {"host": "localhost:8090"} | {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": kind, "method": method, "path": path, "query_string": b"", "client": (address, 50000),
            "scheme": "http" if kind == "http" else "ws",
            "headers": [*((name.encode(), value.encode("utf-8")) for name, value in headers.items()), *also],
        }  # fmt: skip
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": self.received}

        asyncio.run(self.gate(scope, receive, send))
        if kind == "websocket":
            return {"websocket.accept": 101, "websocket.close": 403}[sent[0]["type"]]
        self.headers = {name.decode(): value.decode() for name, value in sent[0].get("headers", [])}
        return int(sent[0]["status"])

    async def _page(self, scope: Any, receive: Any, send: Any) -> None:
        self.user, self.scheme = scope.get(USER), scope["scheme"]
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _run(work: Callable[[], User | None]) -> User | None:
        return work()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store without users."""
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as made:
        yield made


@pytest.fixture
def anna(store: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """The secret of a session of the operator anna."""
    monkeypatch.setattr(passwords, "COST", 2**10)
    users.add_user(store, "anna", "operator", "correct horse", by="root")
    return sessions.begin(store, "anna", address="127.0.0.1", session_s=HOUR_S)


def test_without_users_whoever_sits_at_this_computer_is_an_operator(tmp_path: Path, store: Store) -> None:
    site = Site(tmp_path)
    assert site.ask() == 200
    assert site.user == User(user_name(), "operator", from_here=True)
    assert site.ask(kind="websocket", path="/_nicegui_ws/socket.io/") == 101


def test_without_a_login_a_site_that_points_its_name_here_reaches_nothing(tmp_path: Path, store: Store) -> None:
    site = Site(tmp_path)
    assert site.ask(host="evil.example:8090") == 403
    assert site.ask(host="evil.example:8090", kind="websocket") == 403
    assert [site.ask(host=one) for one in ("127.0.0.1:9", "[::1]:8090", "localhost")] == [200, 200, 200]


def test_a_proxy_that_nobody_told_the_page_of_does_not_open_it_to_all(tmp_path: Path, store: Store) -> None:
    assert Site(tmp_path).ask(x_forwarded_for="10.0.0.7") == 403


def test_with_users_everybody_has_to_log_in(tmp_path: Path, store: Store, anna: str) -> None:
    site = Site(tmp_path)
    assert site.ask("/event/1", sec_fetch_mode="navigate") == 303
    assert site.headers["location"] == "/login?next=/event/1"
    for path in ("/media/clip.flac", "/_nicegui_ws/socket.io/", "/_nicegui/auto/media/1"):
        assert site.ask(path, sec_fetch_mode="no-cors") == 401
    assert site.ask("/api", "POST") == 401
    assert site.ask(kind="websocket", path="/_nicegui_ws/socket.io/") == 403
    assert site.user is None, "no page was reached"
    assert site.ask("/login") == 200
    assert site.ask(cookie=f"{COOKIE}={anna}") == 200
    assert site.user is not None
    assert (site.user.name, site.user.role) == ("anna", "operator")
    assert site.ask(kind="websocket", cookie=f"{COOKIE}={anna}") == 101
    assert site.ask(cookie=f"other={anna}", sec_fetch_mode="navigate") == 303
    assert site.ask(cookie=f"{COOKIE}=guessed", sec_fetch_mode="navigate") == 303


def test_the_first_user_closes_a_page_that_was_open_to_this_computer(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.web.login.access.LOOK_S", 0.0)
    monkeypatch.setattr(passwords, "COST", 2**10)
    site = Site(tmp_path)
    assert site.ask() == 200
    here = site.user
    assert here is not None
    users.add_user(store, "anna", "admin", "correct horse", by="root")
    assert site.ask(sec_fetch_mode="navigate") == 303
    with pytest.raises(Refused, match="log in"):
        site.access.require(store, here, "viewer")


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"},
                                     {"sec_fetch_site": "same-site"}, {"origin": "null"}])  # fmt: skip
def test_another_site_cannot_make_a_browser_act_here(
    headers: dict[str, str], tmp_path: Path, store: Store, anna: str
) -> None:
    site, cookie = Site(tmp_path), f"{COOKIE}={anna}"
    assert site.ask("/logout", "POST", cookie=cookie, **headers) == 403
    assert site.ask("/login", "POST", **headers) == 403
    assert site.ask("/_nicegui_ws/socket.io/", cookie=cookie, **headers) == 403
    assert site.ask(kind="websocket", cookie=cookie, **headers) == 403
    assert site.user is None
    own = {"origin": "http://localhost:8090", "sec_fetch_site": "same-origin"}
    assert site.ask(kind="websocket", cookie=cookie, **own) == 101


def test_a_link_in_a_mail_leads_to_the_page_although_the_browser_sends_no_cookie_with_it(
    tmp_path: Path, store: Store, anna: str
) -> None:
    site = Site(tmp_path)
    assert site.ask("/event/1", sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
    assert site.user is None, "it is asked for again, by a page of this site"
    assert site.ask("/event/1", sec_fetch_site="same-origin", sec_fetch_mode="navigate") == 303


@pytest.mark.parametrize(("proxy", "address"), [("10.0.0.5", "10.0.0.5"), ("10.0.0.5", "::ffff:10.0.0.5"),
                                                ("::1", "0:0:0:0:0:0:0:1"), ("127.0.0.1", "127.0.0.1")])  # fmt: skip
def test_the_user_that_the_proxy_of_the_settings_names_is_believed(
    proxy: str, address: str, tmp_path: Path, store: Store, anna: str
) -> None:
    site = Site(tmp_path, local=False, proxy=proxy)
    assert site.ask(address=address, x_forwarded_user="anna", x_forwarded_proto="https") == 200
    assert site.user == User("anna", "operator")
    assert site.scheme == "https"
    assert site.ask(address=address, x_forwarded_user="newcomer") == 200
    assert site.user == User("newcomer", "viewer")
    assert site.ask(address=address, x_forwarded_user="Jörg") == 200
    assert site.user == User("Jörg", "viewer")
    assert site.ask(address=address, sec_fetch_mode="navigate") == 303, "the proxy names nobody"


def test_nobody_else_is_believed_who_he_says_he_is(tmp_path: Path, store: Store, anna: str) -> None:
    headers = {"x_forwarded_user": "anna", "x_forwarded_proto": "https", "sec_fetch_mode": "navigate"}
    for site in (Site(tmp_path, local=False, proxy="10.0.0.5"), Site(tmp_path)):
        assert site.ask(address="10.0.0.6", **headers) == 303
        assert site.user is None
        assert site.ask("/login", address="10.0.0.6", **headers) == 200
        assert site.scheme == "http"


def test_behind_a_proxy_attempts_to_log_in_count_for_the_persons_computer(tmp_path: Path, store: Store) -> None:
    from monitor.web.login.access import Caller

    access = Site(tmp_path, proxy="10.0.0.5").access
    headers = {"x-forwarded-for": "1.2.3.4, 10.9.9.9"}
    assert access.client_address(Caller("10.0.0.5", headers)) == "10.9.9.9", "what the proxy itself has seen"
    assert access.client_address(Caller("10.0.0.6", headers)) == "10.0.0.6"


def test_a_role_is_looked_up_when_something_is_done_not_when_the_page_was_opened(
    tmp_path: Path, store: Store, anna: str
) -> None:
    site = Site(tmp_path)
    site.ask(cookie=f"{COOKIE}={anna}")
    user = site.user
    assert user is not None
    site.access.require(store, user, "operator")
    with pytest.raises(Refused, match="needs the role admin; anna is operator"):
        site.access.require(store, user, "admin")
    users.set_role(store, "anna", "viewer", by="root")
    with pytest.raises(Refused, match="needs the role operator; anna is viewer"):
        site.access.require(store, user, "operator")
    users.remove_user(store, "anna", by="root")
    with pytest.raises(Refused, match="log in again"):
        site.access.require(store, user, "viewer")


def test_a_page_may_load_nothing_from_elsewhere_and_be_shown_in_no_other_page(tmp_path: Path, store: Store) -> None:
    site = Site(tmp_path)
    site.ask()
    policy = site.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


def test_a_store_that_does_not_answer_lets_nobody_in(tmp_path: Path) -> None:
    site = Site(tmp_path, local=False)
    (tmp_path / "monitor.sqlite").write_bytes(b"no database" * 100)
    assert site.ask(cookie=f"{COOKIE}=anything") == 503
    assert site.user is None


def test_a_user_named_twice_is_nobody(tmp_path: Path, store: Store, anna: str) -> None:
    """A proxy that adds its header to one that the browser has sent must not let the browser choose the user."""
    site = Site(tmp_path, local=False, proxy="10.0.0.5")
    twice = [(b"x-forwarded-user", b"anna"), (b"x-forwarded-user", b"vic")]
    assert site.ask(address="10.0.0.5", also=twice, sec_fetch_mode="navigate") == 303
    assert site.user is None


def test_only_the_last_address_is_what_the_proxy_has_seen_however_many_headers_there_are(
    tmp_path: Path, store: Store
) -> None:
    access = Site(tmp_path, proxy="10.0.0.5").access
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2, 10.9.9.9")]
    caller = caller_of({"type": "http", "client": ("10.0.0.5", 1), "headers": headers}, COOKIE)
    assert access.client_address(caller) == "10.9.9.9"


@pytest.mark.parametrize("length", [f"{2 << 20}", "-1", "many"])
def test_nobody_fills_memory_or_disk_with_what_they_send(tmp_path: Path, store: Store, length: str) -> None:
    site = Site(tmp_path)
    assert site.ask("/login", "POST", content_length="300") == 200
    assert site.ask("/login", "POST", content_length=length) == 413
    assert site.ask("/login", "POST", transfer_encoding="chunked") == 413


@pytest.mark.parametrize("left", [True, False])
def test_somebody_who_leaves_before_the_answer_is_no_fault(tmp_path: Path, store: Store, left: bool) -> None:
    """NiceGUI's middleware then finds no answer, and says so with an error, which would fill the log."""
    site = Site(tmp_path)

    async def page(_scope: Any, receive: Any, _send: Any) -> None:
        assert (await receive())["type"] == ("http.disconnect" if left else "http.request")
        raise RuntimeError("No response returned.")

    site.gate.app = page
    if not left:
        with pytest.raises(RuntimeError):
            site.ask()
        return
    site.received = "http.disconnect"
    with pytest.raises(IndexError):  # nothing was sent
        site.ask()


def test_at_this_computer_a_store_that_does_not_answer_is_said_not_hidden_behind_a_login(tmp_path: Path) -> None:
    (tmp_path / "monitor.sqlite").write_bytes(b"no database" * 100)
    assert Site(tmp_path).ask(sec_fetch_mode="navigate") == 503
    assert Site(tmp_path, local=False).ask(sec_fetch_mode="navigate") == 303
