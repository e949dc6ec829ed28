"""`monitor notify` shows and tests messages to people, `monitor mute` and `monitor acknowledge` end them."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.looking_back import ROWS, matching, open_store, settings_of, store_options
from monitor.cli.output import say
from monitor.cli.times import COMING, DURATION
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, ConfigError
from monitor.core.text import counted, duration_text, printable, shortened, some_of
from monitor.core.user_name import user_name

if TYPE_CHECKING:
    from monitor.config.schema import Config
    from monitor.notify.outbox import Delivery
    from monitor.store.database import Store
    from monitor.store.records import StoredStream

ALL = "*"  # the value of --test without a channel
ID = re.compile(r"[0-9a-fA-F]{8}[0-9a-fA-F-]*")  # the beginning of an event's id


@click.command()
@click.option(
    "--test", "tested", is_flag=False, flag_value=ALL, metavar="[CHANNEL]",
    help="Send a test message to this channel, or to all, and say whether it was delivered.",
)  # fmt: skip
@click.option("--sent", is_flag=True, help="Also list messages that were sent.")
@click.option("--limit", type=ROWS, default=100, show_default=True, help="At most N messages.", metavar="N")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, with times in UTC.")
@store_options
def notify(
    tested: str | None, sent: bool, limit: int, as_json: bool, state: Path | None, config_file: Path | None
) -> int:
    """List the messages to people that wait, were given up or were held back, the newest first; or test channels.

    With --test the exit code is 1 if a message was not delivered.

    \b
    Examples:
      monitor notify
      monitor notify --test
      monitor notify --test "control room"
      monitor notify --sent --limit 1000 --json
    """
    config = settings_of(state, config_file)
    if tested is not None:
        return _test(config, "" if tested == ALL else tested, as_json=as_json)
    from monitor.notify.outbox import deliveries_summary, newest_deliveries
    from monitor.store.location import host_name
    from monitor.store.tables import GIVEN_UP, HELD_BACK, SENT, WAITING

    with open_store(config) as store:
        found = newest_deliveries(store, (WAITING, GIVEN_UP, HELD_BACK, *((SENT,) if sent else ())), limit)
        summary = deliveries_summary(store, host_name(config))
    if as_json:
        for one in found:
            times = {name: _utc(getattr(one, name)) for name in ("created", "due", "sent")}
            say(json.dumps(asdict(one) | times))
        return EXIT_OK
    if found:
        several = len({one.host for one in found}) > 1
        rows = [_row(one, several) for one in found]
        _print_table([("due", "stream", "event", "stage", "channel", "state", "why"), *rows])
    else:
        say("No message waits, was given up or was held back." if not sent else "There are no messages.")
    if summary.stuck:
        say(
            f"{counted(summary.stuck, 'message')} stuck, the oldest for {duration_text(summary.oldest_waiting_s or 0)}."
        )
    return EXIT_OK


@click.command()
@click.argument("patterns", metavar="[STREAM]...", nargs=-1)
@click.option("--for", "for_s", type=DURATION, help="For how long: 90min, 2h, 7d ….")
@click.option("--until", type=COMING, help="Until when: 14:30, 2026-11-20, 2026-11-20T14:30.")
@click.option("--off", is_flag=True, help="End the muting.")
@click.option("--list", "listed", is_flag=True, help="List the streams that are muted.")
@store_options
def mute(
    patterns: tuple[str, ...],
    for_s: float | None,
    until: float | None,
    off: bool,
    listed: bool,
    state: Path | None,
    config_file: Path | None,
) -> None:
    """Send no messages about streams for a time, during maintenance. Their events are recorded all the same.

    STREAM is a name, or a pattern with * and ?. An event that still lasts at the end of the time is then sent.

    \b
    Examples:
      monitor mute "press 2" --for 2h
      monitor mute "press *" fan --until 14:30
      monitor mute "press 2" --off
      monitor mute --list
    """
    chosen = sum((for_s is not None, until is not None, off, listed))
    if chosen != 1 or listed != (not patterns):
        raise ConfigError("Give streams with --for, --until or --off, or only --list: see `monitor mute --help`.")
    from monitor.notify import muting
    from monitor.store import queries

    with open_store(settings_of(state, config_file)) as store:
        streams = queries.streams(store)
        if listed:
            _list_muted(streams)
            return
        found = matching(streams, patterns)
        end = None if off else time.time() + for_s if for_s is not None else until
        muting.mute(store, [one.id for one in found], end, user_name())
        names = some_of([_name(one, streams) for one in found])
        say(f"{names}: not muted." if end is None else f"{names}: muted until {_local(end)}.")


@click.command()
@click.argument("targets", metavar="[EVENT|STREAM]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Acknowledge all events that last.")
@store_options
def acknowledge(targets: tuple[str, ...], everything: bool, state: Path | None, config_file: Path | None) -> None:
    """Say that you have seen events: there are no more reminders of them, and nobody else is told.

    EVENT is an id or its beginning (`monitor events`), STREAM the name of a stream whose events last.

    \b
    Examples:
      monitor acknowledge 019ac4f0-3c
      monitor acknowledge "press 2"
      monitor acknowledge --all
    """
    if bool(targets) == everything:
        raise ConfigError("Give events or streams, or --all: see `monitor acknowledge --help`.")
    from monitor.notify.acknowledgement import acknowledge as acknowledge_in
    from monitor.notify.acknowledgement import ongoing_events

    with open_store(settings_of(state, config_file)) as store:
        ids = ongoing_events(store) if everything else _events_of(store, targets)
        count = acknowledge_in(store, ids, user_name())
    say(f"{counted(count, 'event')} acknowledged." if count else "There is nothing to acknowledge.")


def _test(config: Config, only: str, *, as_json: bool) -> int:
    """Sends test messages, and prints whether they were delivered; returns the exit code."""
    from monitor.notify.trial import try_channels
    from monitor.store.location import host_name

    names = [one.name for one in config.notify.channels]
    if not names:
        raise ConfigError("There are no channels in the settings (notify.channels): see `monitor guide notify`.")
    if only and only not in names:
        raise ConfigError(f"There is no channel {printable(only)!r} in the settings; there are: {', '.join(names)}.")
    results = try_channels(config.notify, host_name(config), only)
    for name, why in results.items():
        if as_json:
            say(json.dumps({"channel": name, "delivered": not why, "why": why}))
        else:
            say(printable(f"{name}: {f'not delivered: {why}' if why else 'delivered'}."))
    return EXIT_FAILURE if any(results.values()) else EXIT_OK


def _events_of(store: Store, targets: Iterable[str]) -> list[str]:
    """The ids of the events that are named by their beginnings, or that last on the streams that are named."""
    from monitor.notify.acknowledgement import ongoing_events
    from monitor.store import queries

    streams = queries.streams(store)
    names = {one.name.casefold() for one in streams}
    found: list[str] = []
    for target in targets:
        if ID.fullmatch(target) and target.casefold() not in names:
            found.append(queries.event(store, target).id)
        else:
            found += ongoing_events(store, [one.id for one in matching(streams, [target])])
    return found


def _list_muted(streams: Sequence[StoredStream]) -> None:
    muted = [one for one in streams if one.muted_until is not None and one.muted_until > time.time()]
    for one in muted:
        say(f"{_name(one, streams)}: muted until {_local(one.muted_until or 0.0)}.")
    if not muted:
        say("No stream is muted.")


def _name(stream: StoredStream, streams: Sequence[StoredStream]) -> str:
    """The name of a stream, with its computer if there are several."""
    several = len({one.host for one in streams}) > 1
    return printable(f"{stream.host}/{stream.name}" if several else stream.name)


def _row(one: Delivery, several_hosts: bool) -> tuple[str, ...]:
    tries = f" ({counted(one.attempts, 'attempt')})" if one.attempts and one.sent is None else ""
    why = shortened(one.why, 120) + tries
    stream = f"{one.host}/{one.stream}" if several_hosts else one.stream
    return (_local(one.due), stream, one.kind, one.stage, one.channel, one.state, why.strip())


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def _local(at: float) -> str:
    """A Unix time as local time."""
    return f"{datetime.datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def _utc(at: float | None) -> str | None:
    """A Unix time as ISO 8601 in UTC."""
    from monitor.report.event_text import utc

    return None if at is None else utc(at)
