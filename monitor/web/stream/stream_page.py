"""The page of a stream: its state now, its history, and where its model and its limit came from."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from monitor.core.errors import MonitorError
from monitor.core.text import printable
from monitor.store.location import models_folder
from monitor.web.context import WebContext
from monitor.web.events.events_page import add_styles, trouble
from monitor.web.frame import PATIENCE_S, page_frame
from monitor.web.stream.charts import Text
from monitor.web.stream.stream_facts import StreamFacts, change_lines, limit_lines, read_facts
from monitor.web.stream.stream_history import QUANTITIES
from monitor.web.stream.stream_live import LivePanel
from monitor.web.stream.stream_past import PastPanel


def register(context: WebContext) -> None:
    """Adds the page `/stream/{id}`."""

    @ui.page("/stream/{stream_id}", response_timeout=PATIENCE_S)
    async def stream_page(stream_id: int, request: Request) -> None:
        add_styles("stream.css", "stream.js")
        try:
            facts = await context.read(
                lambda store: read_facts(store, stream_id, context.host, models_folder(context.config))
            )
        except MonitorError as error:
            with page_frame(context, "Stream"):
                ui.html(trouble(error), sanitize=False)
            return
        query = request.query_params
        quantity = query.get("show", "share")
        with page_frame(context, facts.name) as user:
            with ui.element("div").classes("title"):
                Text(facts.name, "h1")
                Text(printable(facts.stream.source), "p").classes("muted")
            live = LivePanel(context, user, facts)
            shown = quantity if quantity in QUANTITIES else "share"
            PastPanel(context, facts, query.get("range", "24h"), shown, lambda: live.shown)
            _origin(facts)


def _origin(facts: StreamFacts) -> None:
    """Where the model and its limit came from."""
    with ui.element("section").classes("panel origin").props('aria-label="Model and limit"'):
        Text("Model and limit", "h2")
        if facts.model is None:
            Text("The store does not know the model yet.", "p").classes("muted")
            return
        lines = [("Model", printable(facts.model.name)), ("Model number", facts.model.id), *limit_lines(facts)]
        with ui.element("dl").classes("facts"):
            for name, text in lines:
                with ui.element("div"):
                    Text(name, "dt")
                    Text(text, "dd")
        if changes := change_lines(facts):
            Text("Changes", "h3")
            with ui.element("ul").classes("changes"):
                for one in changes:
                    Text(one, "li")
