"""The page of an event: heard, seen, and judged in one click."""

from __future__ import annotations

from nicegui import ui

from monitor.core.errors import MonitorError
from monitor.web.context import WebContext
from monitor.web.event import event_html, event_routes
from monitor.web.event.event_view import read_view, title
from monitor.web.frame import PATIENCE_S, asset, page_frame


def register(context: WebContext) -> None:
    """Adds the page `/event/{id}`, and what it needs."""
    event_routes.register(context)

    @ui.page("/event/{event_id}", response_timeout=PATIENCE_S)
    async def event_page(event_id: str) -> None:
        try:
            view = await context.read(lambda store: read_view(store, event_id))
        except MonitorError as error:
            with page_frame(context, "Event"):
                ui.label(str(error)).classes("panel")
            return
        ui.add_head_html(f'<link rel="stylesheet" href="{asset("event.css")}">')
        with page_frame(context, title(view.event)) as user:
            content = event_html.whole(view, may_write=user.may_write, clips_enabled=context.config.clips.enabled)
            ui.html(content, sanitize=False)
        ui.add_body_html(f'<script src="{asset("event.js")}" defer></script>')
