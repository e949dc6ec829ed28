"""The calendar of a month: the anomalies of each day by verdict, the worst share of the limit, what was not heard."""

from __future__ import annotations

import calendar
import datetime
import math
import time
from collections.abc import Sequence

import numpy as np
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from markupsafe import Markup
from nicegui import app, ui

from monitor.core.text import counted
from monitor.dashboard.render.formatting import share
from monitor.dashboard.widgets.long_term import long
from monitor.report.event_text import MONTHS
from monitor.store import queries
from monitor.store.calendar_days import DayEvents, anomalies_by_day, day_starts
from monitor.store.database import Store, StoreError
from monitor.store.records import StoredStream
from monitor.web.context import WebContext
from monitor.web.events.event_filters import Filters, month_of, neighbour_month
from monitor.web.events.events_page import add_styles, stream_choice, trouble
from monitor.web.events.past_days import PastDays
from monitor.web.frame import PATIENCE_S, page_frame

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT = {"": "to judge", "real fault": "fault", "new but normal": "normal"}  # words of the marks in a day
ORDER = ("", "real fault", "new but normal", "disturbance", "maintenance", "sensor")


def register(context: WebContext) -> None:
    """Adds the page `/calendar`, and what is read for it after it is shown."""
    remembered = PastDays()

    @ui.page("/calendar", response_timeout=PATIENCE_S)
    async def calendar_page(request: Request) -> None:
        add_styles("events.css", "calendar.js")
        first, filters = _wanted(request)
        with page_frame(context, "Calendar", here="/calendar"):
            try:
                content = await context.read(lambda store: _content(store, first, filters))
            except StoreError as error:
                content = trouble(error)
            ui.html(content, sanitize=False).classes("wide")

    @app.get("/calendar/minutes")
    async def minutes(request: Request) -> Response:
        first, filters = _wanted(request)
        try:
            found = await context.read(lambda store: _minutes(store, first, filters, remembered))
        except StoreError as error:
            return JSONResponse({"trouble": str(error)}, 503)
        return JSONResponse(found)


def _wanted(request: Request) -> tuple[datetime.date, Filters]:
    """The first day of the month, and the streams; the list of events takes the same filters for a day."""
    first = month_of(request.query_params.get("month"), datetime.date.today())
    return first, Filters(streams=Filters.of(request.query_params.multi_items()).streams)


def _days_of(first: datetime.date) -> int:
    return calendar.monthrange(first.year, first.month)[1]


def _content(store: Store, first: datetime.date, filters: Filters) -> Markup:
    streams = queries.streams(store)
    days = anomalies_by_day(store, day_starts(first, _days_of(first)), filters.streams)
    total = sum(one.total for one in days)
    heads = Markup("").join(
        Markup('<th scope="col"><abbr title="{}">{}</abbr></th>').format(one, one[:3]) for one in WEEKDAYS
    )
    weeks = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(_cell(day, first, days, filters) for day in week))
        for week in calendar.Calendar().monthdatescalendar(first.year, first.month)
    )
    month = f"{MONTHS[first.month - 1]} {first.year}"
    return _title(first, filters, month, total, streams) + Markup(
        '<table class="month" data-minutes="{}"><caption class="sr">{}: anomalies of each day; Enter opens '
        "the list of a day, arrow keys move</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}"
    ).format(filters.address("/calendar/minutes", month=f"{first:%Y-%m}"), month, heads, weeks, _legend())


def _title(first: datetime.date, filters: Filters, month: str, total: int, streams: Sequence[StoredStream]) -> Markup:
    def address(other: datetime.date) -> str:
        return filters.address("/calendar", month=f"{other:%Y-%m}")

    before, after = neighbour_month(first, -1), neighbour_month(first, 1)
    return Markup(
        '<div class="title">'
        '<a class="button" id="month-before" rel="prev" href="{}" aria-label="{}" title="{} (p)">‹</a>'
        '<h1>{}</h1><a class="button" id="month-after" rel="next" href="{}" aria-label="{}" title="{} (n)">›</a>'
        '<a class="button" href="{}">This month</a><p class="muted" role="status">{}</p><span class="grow"></span>'
        '<form id="filters" class="filters" method="get" action="/calendar">'
        '<input type="hidden" name="month" value="{}">{}</form></div>'
    ).format(
        address(before), _month_name(before), _month_name(before), month,
        address(after), _month_name(after), _month_name(after),
        filters.address("/calendar"), counted(total, "anomaly", "anomalies"), f"{first:%Y-%m}",
        stream_choice(streams, filters.streams),
    )  # fmt: skip


def _month_name(first: datetime.date) -> str:
    return f"{MONTHS[first.month - 1]} {first.year}"


def _cell(day: datetime.date, first: datetime.date, days: Sequence[DayEvents], filters: Filters) -> Markup:
    if (day.year, day.month) != (first.year, first.month):
        return Markup('<td class="other"></td>')
    found, today = days[day.day - 1], datetime.date.today()
    marks = Markup("").join(
        Markup('<span class="verdict {}"><b>{}</b><span> {}</span></span>').format(
            (verdict or "none").replace(" ", "-"), found.by_verdict[verdict], SHORT.get(verdict, verdict)
        )
        for verdict in ORDER
        if found.by_verdict.get(verdict)
    )
    classes = " ".join(
        name for name, there in (("today", day == today), ("loud", found.by_verdict.get("", 0))) if there
    )
    return Markup(
        '<td class="{}"><a href="{}" data-day="{}" aria-label="{}"{}><span class="number">{}</span>'
        '<span class="marks">{}</span><span class="worst"></span><span class="missed"></span></a></td>'
    ).format(
        classes, filters.of_day(day).address(), day.isoformat(), _in_words(day, found),
        Markup(' aria-current="date"' if day == today else ""), day.day, marks,
    )  # fmt: skip


def _in_words(day: datetime.date, found: DayEvents) -> str:
    name = f"{WEEKDAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]}"
    parts = [f"{found.by_verdict[one]} {SHORT.get(one, one)}" for one in ORDER if found.by_verdict.get(one)]
    many = counted(found.total, "anomaly", "anomalies") if found.total else "no anomaly"
    return f"{name}: {many}{': ' if parts else ''}{', '.join(parts)}"


def _legend() -> Markup:
    marks = Markup(" ").join(
        Markup('<span class="verdict {}">{}</span>').format((one or "none").replace(" ", "-"), SHORT.get(one, one))
        for one in ORDER
    )
    return Markup(
        '<p class="marks-legend" aria-hidden="true">{}</p><p class="muted legend">Anomalies by verdict, in local time; '
        "below them the highest share of the limit on that day, and how long was not heard (✕), over all chosen "
        "streams. Keys: p and n change the month.</p>"
    ).format(marks)


def _minutes(
    store: Store, first: datetime.date, filters: Filters, remembered: PastDays
) -> dict[str, dict[str, object]]:
    ids = filters.streams or tuple(one.id for one in queries.streams(store))
    starts = day_starts(first, _days_of(first))
    found = remembered.read(store, starts, ids, time.time())
    peaks = [one.peak_share for one in anomalies_by_day(store, starts, filters.streams)]  # if there are no minutes
    made: dict[str, dict[str, object]] = {}
    for number, (day, peak) in enumerate(zip(found, peaks, strict=True)):
        worst = float(np.fmax(day.worst_share, peak))
        if day.heard_s or day.not_heard_s or not math.isnan(worst):
            made[(first + datetime.timedelta(number)).isoformat()] = {
                "worst": "" if math.isnan(worst) else share(worst),
                "over": worst > 1,
                "missed": long(day.not_heard_s) if day.not_heard_s else "",
            }
    return made
