"""The list of events: filters that stand in the address, rows that come as one scrolls, and the same as CSV."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from fastapi import Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from markupsafe import Markup
from nicegui import app, ui

from monitor.core.errors import MonitorError
from monitor.core.text import counted, printable
from monitor.dashboard.render.formatting import kind_word
from monitor.store import event_search, queries
from monitor.store.database import Store, StoreError
from monitor.store.event_search import EventPage, EventSearch, Place
from monitor.store.records import StoredEvent, StoredStream
from monitor.web.context import WebContext
from monitor.web.events.event_filters import KINDS, NAMED_VERDICTS, NONE, Filters, place_of, place_text, stream_names
from monitor.web.events.event_rows import Streams, csv_lines, rows
from monitor.web.frame import PATIENCE_S, asset, page_frame

PAGE = 100  # events that come at once
TIMES = (("", "any time"), ("24h", "last 24 h"), ("7d", "last 7 days"), ("30d", "last 30 days"))
HEAD = ("Began", "Stream", "What", "Peak", "Length", "Verdict")


def register(context: WebContext) -> None:
    """Adds the page `/events`, its further rows, and the CSV file."""

    @ui.page("/events", response_timeout=PATIENCE_S)
    async def events_page(request: Request) -> None:
        add_styles("events.css", "events.js")
        filters = Filters.of(request.query_params.multi_items())
        with page_frame(context, "Events", here="/events"):
            try:
                content = await context.read(lambda store: _content(store, filters))
            except StoreError as error:
                content = trouble(error)
            ui.html(content, sanitize=False).classes("wide")

    @app.get("/events/rows")
    async def further_rows(request: Request) -> Response:
        filters, place = Filters.of(request.query_params.multi_items()), place_of(request.query_params.get("after", ""))
        try:
            return HTMLResponse(await context.read(lambda store: _rows(store, filters, place)))
        except StoreError as error:
            return PlainTextResponse(str(error), 503)

    @app.get("/events.csv")
    async def as_csv(request: Request) -> Response:
        wanted = Filters.of(request.query_params.multi_items()).search(time.time())
        try:  # what goes wrong at once is said; later the file just ends
            await context.read(lambda store: event_search.page(store, wanted, size=1))
        except StoreError as error:
            return PlainTextResponse(str(error), 503)
        name = time.strftime("events-%Y%m%d-%H%M%S.csv")
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_csv(context, wanted), media_type="text/csv; charset=utf-8", headers=headers)


def add_styles(*names: str) -> None:
    """Adds style sheets and scripts of `static/` to the page that is being made."""
    for name in names:
        is_style = name.endswith(".css")
        tag = '<link rel="stylesheet" href="{}">' if is_style else '<script src="{}" defer></script>'
        ui.add_head_html(tag.format(asset(name)))


def trouble(error: MonitorError) -> Markup:
    """What is shown in place of what the store does not give."""
    return Markup('<p class="trouble" role="alert">{}</p><p><a class="button" href="">Try again</a></p>').format(
        printable(str(error))
    )


def stream_choice(streams: Sequence[StoredStream], chosen: Sequence[int]) -> Markup:
    """A list of streams to choose one of."""
    names = stream_names(streams)
    options = [_option("", "all streams", not chosen)]
    options += [_option(str(key), printable(name), key in chosen) for key, name in names.items()]
    if len(chosen) > 1:  # only an address can ask for several
        options.insert(1, _option("", f"{len(chosen)} streams", True))
    return choice("stream", "Stream", options)


def choice(name: str, label: str, options: Sequence[Markup]) -> Markup:
    """A labelled list to choose from."""
    return Markup('<label><span>{}</span><select class="field" name="{}">{}</select></label>').format(
        label, name, Markup("").join(options)
    )


def _csv(context: WebContext, wanted: EventSearch) -> Iterator[str]:
    """The parts of the file; Starlette asks for them on a thread."""

    def events() -> Iterator[StoredEvent]:
        place: Place | None = None
        while True:  # each portion is read for itself, because the store may have to be opened again in between
            read = partial(event_search.page, wanted=wanted, after=place, size=event_search.AT_ONCE)
            found = context.store.use(read)
            yield from found.events
            if (place := found.next) is None:
                return

    return csv_lines(events())


def _content(store: Store, filters: Filters) -> Markup:
    streams = queries.streams(store)
    wanted = filters.search(time.time())
    found = event_search.page(store, wanted, size=PAGE)
    total = event_search.count(store, wanted)
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(one) for one in HEAD)
    body = _body(found, filters, _by_name(streams))
    table = Markup(
        '<table class="events"><caption class="sr">Events; Enter opens one, arrow keys move</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table>"
    ).format(head, body)
    nothing = Markup('<p class="nothing">There is no such event. <a href="/events?kind=all">Show all events</a></p>')
    title = Markup(
        '<div class="title"><h1>Events</h1><p class="muted" role="status">{}</p><span class="grow"></span>'
        '<a class="button" href="{}" download>Download CSV</a></div>'
    ).format(_count(total, filters), filters.address("/events.csv"))
    return title + _form(filters, streams) + (table if found.events else nothing)


def _count(total: int, filters: Filters) -> str:
    first = ", those without a verdict first" if filters.in_order == "to judge" and total > 1 else ""
    return f"{total:,d} {counted(total, 'event').partition(' ')[2]}{first}"


def _by_name(streams: Sequence[StoredStream]) -> Streams:
    names = stream_names(streams)
    return {(one.host, one.name): (one.id, names[one.id]) for one in streams}


def _rows(store: Store, filters: Filters, place: Place | None) -> Markup:
    found = event_search.page(store, filters.search(time.time()), after=place, size=PAGE)
    return _body(found, filters, _by_name(queries.streams(store)))


def _body(found: EventPage, filters: Filters, streams: Streams) -> Markup:
    shown = rows(found.events, streams)
    if found.next is None:
        return shown
    address = filters.address("/events/rows", after=place_text(found.next))
    return shown + Markup(
        '<tr class="more"><td colspan="{}">'
        '<button class="button" type="button" data-rows="{}">Show more</button></td></tr>'
    ).format(len(HEAD), address)


def _form(filters: Filters, streams: Sequence[StoredStream]) -> Markup:
    kinds = [_option("all", "all kinds", not filters.kind)]
    kinds += [_option("" if one == "anomaly" else one, _plural(one), filters.kind == one) for one in KINDS]
    verdicts = [_option("", "any", not filters.verdicts)]
    verdicts += [
        _option(one, "without verdict" if one == NONE else one, one in filters.verdicts) for one in NAMED_VERDICTS
    ]
    by_days = filters.first_day is not None or filters.last_day is not None
    times = [_option(key, name, not by_days and filters.last == key) for key, name in TIMES]
    times.append(_option("days", "days …", by_days))
    by_itself, otherwise = ("without verdict first", "judge"), ("newest first", "newest")
    if replace(filters, order=None).in_order == "newest":
        by_itself, otherwise = otherwise, by_itself
    orders = [
        _option("", by_itself[0], filters.order is None or filters.order == replace(filters, order=None).in_order),
        _option(otherwise[1], otherwise[0], filters.in_order != replace(filters, order=None).in_order),
    ]
    days = Markup(
        '<label class="days"{hidden}><span>From</span>'
        '<input class="field" type="date" name="from" value="{first}"></label>'
        '<label class="days"{hidden}><span>To</span>'
        '<input class="field" type="date" name="to" value="{last}"></label>'
    ).format(hidden=Markup("" if by_days else " hidden"), first=filters.first_day or "", last=filters.last_day or "")
    is_open = Markup('<label class="check"><input type="checkbox" name="open" value="1"{}> open only</label>').format(
        Markup(" checked" if filters.open_only else "")
    )
    parts = [
        choice("kind", "Kind", kinds), choice("verdict", "Verdict", verdicts),
        stream_choice(streams, filters.streams), choice("last", "Time", times), days,
        choice("order", "Order", orders), is_open,
        Markup('<a class="button reset" href="/events">Reset</a>'),
    ]  # fmt: skip
    return Markup(
        '<form id="filters" class="filters" method="get" action="/events" role="search" aria-label="Filter events">'
        "{}</form>"
    ).format(Markup("").join(parts))


def _plural(kind: str) -> str:
    return "anomalies" if kind == "anomaly" else "warnings" if kind == "warning" else kind_word(kind)


def _option(value: str, text: str, chosen: bool) -> Markup:
    return Markup('<option value="{}"{}>{}</option>').format(value, Markup(" selected" if chosen else ""), text)
