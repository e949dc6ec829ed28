"""The middle part of a stream's page: the last hour, day or month from the store, beside the time before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from html import escape

from nicegui import ui

from monitor.core.errors import MonitorError
from monitor.store.database import Store
from monitor.store.location import models_folder
from monitor.web.context import WebContext
from monitor.web.events.event_filters import Filters
from monitor.web.stream.charts import HistoryChart, Text
from monitor.web.stream.stream_charts import chart_values, event_line
from monitor.web.stream.stream_facts import StreamFacts, read_facts
from monitor.web.stream.stream_history import QUANTITIES, RANGES, Range, StreamHistory, range_of, read_history, summary

MOST_LINKS = 8
STATE_WORDS = (
    ("normal", "normal"), ("warning", "warning"), ("anomaly", "anomaly"), ("off", "off"), ("new_mode", "new mode"),
    ("not_heard", "not heard"),
)  # fmt: skip


class PastPanel:
    """The history of one stream in one browser.

    Args:
        context: of the process.
        facts: of the stream.
        wanted: key of the range of time at first.
        quantity: what is shown at first, a key of QUANTITIES.
        is_shown: whether the page can be seen; while it cannot, nothing is read.
    """

    def __init__(
        self, context: WebContext, facts: StreamFacts, wanted: str, quantity: str, is_shown: Callable[[], bool]
    ) -> None:
        self._context, self._facts = context, facts
        self._range, self._quantity, self._compare = range_of(wanted), quantity, True
        self._history: StreamHistory | None = None
        self._read_at = 0.0  # monotonic
        self._is_shown = is_shown
        self._reading = False
        self._make()
        self._timer = ui.timer(2.0, self._refresh, immediate=True)

    def _make(self) -> None:
        with ui.element("section").classes("panel past").props('aria-label="History"'):
            with ui.element("div").classes("headline"):
                Text("History", "h2")
                with ui.element("div").classes("choices").props('role="group" aria-label="Length of time"'):
                    self._buttons = {}
                    for number, one in enumerate(RANGES, 1):
                        made = ui.element("button").classes("button").props(f'type="button" data-key="{number}"')
                        with made:
                            Text(one.name)
                        made.on("click", lambda key=one.key: self._choose(key), args=[])
                        self._buttons[one.key] = made
                options = "".join(f'<option value="{key}">{escape(name)}</option>' for key, name in QUANTITIES.items())
                self._select = ui.html(options, sanitize=False, tag="select").classes("field")
                self._select.props(f'aria-label="What is shown" data-key="q" data-value="{self._quantity}"')
                self._select.on(
                    "change", lambda event: self._show_other(event.args), js_handler="(e) => emit(e.target.value)"
                )
                with ui.element("label").classes("check"):
                    box = ui.element("input").props('type="checkbox" checked data-key="w"')
                    self._against = Text("against last week")
                box.on(
                    "change", lambda event: self._show_before(event.args), js_handler="(e) => emit(e.target.checked)"
                )
            self.chart = HistoryChart(lambda event_id: ui.navigate.to(f"/event/{event_id}"))
            with ui.element("p").classes("legend muted").props('aria-hidden="true"'):
                ui.html(_legend(), sanitize=False)
            self._summary = Text(tag="p").classes("summary").props('role="status"')
            self._events = ui.html("", sanitize=False).classes("links")
        self._mark_chosen()

    async def _choose(self, key: str) -> None:
        self._range = range_of(key)
        self._mark_chosen()
        await self._read()

    def _show_other(self, quantity: object) -> None:
        if isinstance(quantity, str) and quantity in QUANTITIES:
            self._quantity = quantity
            self._keep_in_address()
            self._show()

    def _show_before(self, wanted: object) -> None:
        self._compare = wanted is True
        self._show()

    def _mark_chosen(self) -> None:
        for key, made in self._buttons.items():
            made.props(f'aria-pressed="{str(key == self._range.key).lower()}"')
        self._against.show(f"against {self._range.before_name}")
        self._keep_in_address()

    def _keep_in_address(self) -> None:
        """A link that is sent shows the same."""
        values = f"?range={self._range.key}&show={self._quantity}"
        ui.run_javascript(f"history.replaceState(history.state, '', {json.dumps(values)})")

    async def _refresh(self) -> None:
        if self._is_shown() and time.monotonic() - self._read_at >= self._range.refresh_s:
            await self._read()

    async def _read(self) -> None:
        if self._reading:  # what was chosen meanwhile is read right after
            self._read_at = 0.0
            return
        self._reading, wanted = True, self._range
        self._read_at = time.monotonic()
        try:
            self._facts, self._history = await self._context.read(lambda store: self._all(store, wanted))
        except MonitorError as error:
            self._summary.show(str(error))
            return
        finally:
            self._reading = False
        self._show()

    def _all(self, store: Store, wanted: Range) -> tuple[StreamFacts, StreamHistory]:
        """The history, and the model and limits as they are by now."""
        stream, folder = self._facts.stream.id, models_folder(self._context.config)
        facts = read_facts(store, stream, self._context.host, folder)
        return facts, read_history(store, stream, wanted, time.time())

    def _show(self) -> None:
        history = self._history
        if history is None:
            return
        values = chart_values(
            history,
            self._quantity,
            limit=self._facts.limit(self._quantity),
            compare=self._compare,
            changes=self._facts.changes,
        )
        said = summary(history)
        self.chart.show(values, f"{self._facts.name}, {QUANTITIES[self._quantity]}. {said} Arrow keys read the values.")
        self._summary.show(said)
        self._events.set_content(self._links(history))

    def _links(self, history: StreamHistory) -> str:
        """The anomalies of this time as links, the newest first."""
        shown = list(reversed(history.events))[:MOST_LINKS]
        items = "".join(f'<li><a href="/event/{one.id}">{escape(event_line(one))}</a></li>' for one in shown)
        last = {"1h": "24h"}.get(history.range.key, history.range.key)
        address = Filters(streams=(self._facts.stream.id,), last=last, order="newest").address()
        everything = f'<p><a href="{escape(address)}">All events of {escape(self._facts.name)} in the list</a></p>'
        return f"<ul>{items}</ul>{everything}" if items else everything


def _legend() -> str:
    states = "".join(f'<span class="key {key}">{word}</span>' for key, word in STATE_WORDS)
    return (
        '<span class="key mean">mean</span><span class="key highest">highest</span>'
        f'<span class="key before">before</span><span class="key event">anomaly, opens its page</span>{states}'
    )
