"""The hall: all streams, the worst first."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from nicegui import context as page_context
from nicegui import ui

from monitor.core.errors import MonitorError
from monitor.core.text import counted, printable
from monitor.dashboard.render.formatting import kind_word
from monitor.notify.acknowledgement import acknowledge
from monitor.store.database import StoreError
from monitor.web.context import WebContext
from monitor.web.frame import PATIENCE_S, add_scripts, page_frame
from monitor.web.hall.hall_data import HallEvent, Row, StoredHall, changes, rows
from monitor.web.login.users import User
from monitor.web.open_pages import Feed, call

LOOKS = {"anomaly": "", "self-test": "info", "lost": "lost", "no signal": "lost", "overloaded": "lost"}


class Hall:
    """The streams as they are now, for all pages that show them: read and put together once a second.

    Args:
        context: of the process.
    """

    def __init__(self, context: WebContext) -> None:
        self.stored = StoredHall()
        self.rows: list[Row] = []
        self._context = context

    async def refresh(self) -> None:
        """Brings the rows up to date; while the store cannot be read, with what was read before."""
        now = time.time()
        with contextlib.suppress(StoreError):  # the frame says so
            await self._context.read(lambda store: self.stored.refresh(store, now))
        hosts = {one.host for one in self.stored.streams}
        self._context.expects_live = not hosts or self._context.host in hosts
        self.rows = rows(self.stored, self._context.live(), self._context.host, now, self._context.live_values.gone)

    def rows_feed(self, shown: list[Row]) -> Feed:
        """Tells a page what has changed since the rows that it shows."""
        known = {row["key"]: row for row in shown}

        def feed() -> str | None:
            nonlocal known
            told = changes(known, self.rows)
            known = {row["key"]: row for row in self.rows}
            return call("hall.update", told) if told else None

        return feed

    def arrivals_feed(self) -> Feed:
        """Tells a page which events began since it was opened."""
        opened, told = time.time(), set[str]()

        def feed() -> str | None:
            new = [
                one for one in self.stored.events
                if one.reported >= opened and one.kind in LOOKS and one.id not in told
            ]  # fmt: skip
            told.update(one.id for one in new)
            return call("page.arrived", [self._line(one) for one in new]) if new else None

        return feed

    async def acknowledge(self, user: User, stream_id: int) -> int:
        """Acknowledges the anomalies of a stream; returns how many.

        Raises:
            MonitorError: if the user may not, or the store cannot be written.
        """
        ids = [one.id for one in self.stored.unseen(stream_id)]
        done = await self._context.act(user, lambda store, by: acknowledge(store, ids, by))
        await self.refresh()
        return done

    def _line(self, event: HallEvent) -> dict[str, Any]:
        several = len({one.host for one in self.stored.streams}) > 1
        names = {one.id: f"{one.host}/{one.name}" if several else one.name for one in self.stored.streams}
        name = names.get(event.stream_id, "")
        text = f"{printable(name)}: {kind_word(event.kind)}" if name else kind_word(event.kind)
        return {"id": event.id, "time": event.reported, "look": LOOKS[event.kind], "text": text}


def register(context: WebContext) -> None:
    """Adds the page `/`."""
    hall = Hall(context)
    context.pages.before.append(hall.refresh)
    context.pages.for_all.append(hall.arrivals_feed)

    @ui.page("/", response_timeout=PATIENCE_S)
    async def show() -> None:
        await hall.refresh()
        client = page_context.client
        with page_frame(context, "Hall", here="/") as user:
            add_scripts("hall.js")
            ui.element("div").props('id="hall"')
            first = {"rows": hall.rows, "order": [row["key"] for row in hall.rows], "mayWrite": user.may_write}
            text = json.dumps(first).replace("<", "\\u003c")
            ui.add_body_html(f'<script type="application/json" id="hall-data">{text}</script>')
        context.pages.feeds(client).append(hall.rows_feed(hall.rows))

        async def seen(event: Any) -> None:
            try:
                done = await hall.acknowledge(user, int(event.args))
                said = f"Acknowledged: {counted(done, 'event')}." if done else "Nothing was left to acknowledge."
            except (MonitorError, ValueError, TypeError) as error:
                said = str(error)
            client.run_javascript(call("page.say", said))

        ui.on("acknowledge", seen)
