"""`monitor trend` draws weeks of a stream in the terminal."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from monitor.cli.looking_back import console, one_stream, open_store, settings_of, store_options
from monitor.cli.options import Number

_DAY_S = 86_400.0
_STEPS = 500  # about so many values are read from the store: more than a terminal has columns of dots


@click.command()
@click.argument("stream", required=False)
@click.option("--days", type=Number(0, 4000, min_open=True), default=30.0, show_default=True, help="Days up to now.")
@click.option("--ascii", is_flag=True, help="Use only ASCII characters, for old terminals.")
@click.option("--no-color", "--no-colour", "no_colour", is_flag=True, help="Show no colours.")
@store_options
def trend(
    stream: str | None, days: float, ascii: bool, no_colour: bool, state: Path | None, config_file: Path | None
) -> None:
    """Draw the last weeks of a stream: share of the limit, states, level, and what happened.

    STREAM is its name or a part of it; it can be left out if there is only one. The chart is filled from the mean to
    the highest share of each column. Below it stand how the last week compares with the one before, and whether the
    share of the limit drifts.

    \b
    Examples:
      monitor trend pump
      monitor trend pump --days 7
      monitor trend hall-3/pump --days 365 --no-colour
    """
    config = settings_of(state, config_file)
    with open_store(config) as store:
        from monitor.report import details
        from monitor.report.trend import WEEK_S, comparison, drift, two_weeks
        from monitor.report.trend_chart import MARKED, TrendChart
        from monitor.store import queries

        streams = queries.streams(store)
        one = one_stream(streams, stream)
        now = time.time()
        since = now - days * _DAY_S
        step_s = max(60.0, 60.0 * round(days * _DAY_S / _STEPS / 60))
        values = queries.minutes(store, one.id, since=since, until=now, step_s=step_s)
        lately = queries.minutes(store, one.id, since=now - 2 * WEEK_S, until=now, step_s=600)
        found = queries.events(store, since=min(since, now - 2 * WEEK_S), streams=[one.id], kinds=MARKED)
        models = details.models(store, one.id)
    out = console(no_colour=no_colour)
    ascii = ascii or config.dashboard.ascii or not out.encoding.lower().startswith("utf")
    colour = config.dashboard.colour and not no_colour
    if len({other.host for other in streams}) > 1:
        one = replace(one, name=f"{one.host}/{one.name}")
    chart = TrendChart(one, values, found, models, since=since, until=now, ascii=ascii, colour=colour)
    out.print(chart)
    week, before = two_weeks(lately, found, now)
    for sentence in (comparison(week, before), drift(week, before)):
        out.print(sentence, markup=False)
