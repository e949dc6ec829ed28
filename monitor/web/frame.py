"""The frame of every page: header with navigation, theme, the user, and the lines that say what is not available.

Tailwind is not loaded: pages are styled by `static/page.css`, with the colours as variables (`--ink`, `--accent`, …).
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from nicegui import context as page_context
from nicegui import ui

from monitor.web.context import WebContext
from monitor.web.login.gate import user_of
from monitor.web.login.users import User

STATIC = Path(__file__).parent / "static"
PATIENCE_S = 30.0  # for the store of a busy computer, after which a browser is told that the page failed
PLACES = (("/", "Hall"), ("/events", "Events"), ("/calendar", "Calendar"))


@contextmanager
def page_frame(context: WebContext, title: str, *, here: str = "") -> Iterator[User]:
    """The frame around a page's own elements, which are made within the block.

    Args:
        context: of the process.
        title: of the page, which also stands in the browser's tab.
        here: the entry of the navigation that this page is: "/", "/events" or "/calendar".

    Yields:
        the user who looks; `user.may_write` says whether buttons that change something are shown.
    """
    user = current_user()
    context.pages.add(page_context.client, user)
    ui.page_title(f"{title} · Monitor")
    ui.add_head_html(f'<link rel="stylesheet" href="{asset("page.css")}">')
    add_scripts("page.js")
    # Quasar's page is a <main>; ours begins below the header.
    if (slot := page_context.client.content.parent_slot) is not None:
        slot.parent.props('role="presentation"')
    with ui.element("header").classes("top"):
        ui.link("Skip to the content", "#main").classes("skip")
        with ui.link(target="/").classes("mark").props('aria-label="Monitor"'):
            ui.element("img").props(f'src="{asset("favicon.svg")}" alt=""')
            _text("span", "Monitor")
        with ui.element("nav").props('aria-label="Pages"'):
            for place, name in PLACES:
                link = ui.link(name, place)
                if place == here:
                    link.props('aria-current="page"')
        ui.element("div").classes("grow")
        with ui.element("div").classes("who"):
            with ui.link(target="/users").classes("name").props(f'title="{user.role}: users and passwords"'):
                _text("span", user.name)
            _text("button", "◐").classes("button icon").props('id="theme" type="button"')
            _text("button", "?").classes("button icon").props(
                'type="button" aria-label="Keys" title="Keys" onclick="page.showKeys()"'
            )
            if user.session:
                with ui.element("form").props('method="post" action="/logout"'):
                    _text("button", "Log out").classes("button").props('type="submit"')
    ui.element("div").props('id="notices" role="status"')
    ui.element("div").props('id="arrivals" role="status" aria-label="New events"')
    ui.element("div").props('id="said" role="status"')
    with ui.element("main").props('id="main" tabindex="-1"'):
        yield user


def current_user() -> User:
    """The user of the page that is being made, or whose event is being handled."""
    return user_of(page_context.client.request.scope)


def add_scripts(*names: str) -> None:
    """Adds scripts of `static/` to the head of a page that is being made."""
    for name in names:
        ui.add_head_html(f'<script src="{asset(name)}"></script>')


def _text(tag: str, text: str) -> ui.element:
    """An element with a text."""
    made = ui.element(tag)
    with made:
        ui.html(html.escape(text), sanitize=False, tag="span")
    return made


@cache
def asset(name: str) -> str:
    """The address of a file in `static/`; it changes with the content, so browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/assets/{name}?v={digest}"
