"""`monitor events` lists the events in the store, or shows one of them whole."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.looking_back import ROWS, console, matching, open_store, settings_of, store_options
from monitor.cli.output import say
from monitor.cli.times import WHEN, require_order
from monitor.core.errors import ConfigError

KINDS = (  # as monitor.config.plant.EventKind, which is too slow to import for --help
    "anomaly", "warning", "off", "new mode", "drift", "gap", "lost", "no signal", "overloaded", "invalid samples",
    "self-test",
)  # fmt: skip
VERDICTS = ("real fault", "new but normal", "disturbance", "maintenance", "sensor")  # as monitor.store.verdicts


@click.command()
@click.argument("event_id", metavar="[ID]", required=False)
@click.option("--since", type=WHEN, help="Only what went on after this time: 2h, 7d, today, 2026-11-20 ….")
@click.option("--until", type=WHEN, help="Only what began before this time.")
@click.option(
    "--stream", "patterns", metavar="PATTERN", multiple=True, help="Only streams with this name; * stands for any text."
)
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only events of this kind.")
@click.option(
    "--verdict", "verdicts", type=click.Choice(VERDICTS), multiple=True, help="Only events with this verdict."
)
@click.option("--without-verdict", is_flag=True, help="Only events that nobody has judged.")
@click.option("--limit", type=ROWS, default=100, show_default=True, help="At most N events.", metavar="N")
@click.option("--json", "as_json_lines", is_flag=True, help="Print JSON lines, with all fields and times in UTC.")
@store_options
def events(
    event_id: str | None,
    since: float | None,
    until: float | None,
    patterns: tuple[str, ...],
    kinds: tuple[str, ...],
    verdicts: tuple[str, ...],
    without_verdict: bool,
    limit: int,
    as_json_lines: bool,
    state: Path | None,
    config_file: Path | None,
) -> None:
    """List the events that `monitor live` has stored, the newest first. With ID, the beginning of one: show it whole.

    It works while `live` writes. Options that may be repeated add to each other.

    \b
    Examples:
      monitor events
      monitor events --since yesterday --kind anomaly
      monitor events --stream "pump*" --since 2026-11-01 --until 2026-11-08
      monitor events --kind anomaly --without-verdict --since 7d
      monitor events 019ac4f0-3c
      monitor events --since 24h --json --limit 10000 > events.jsonl
    """
    require_order(since, until)
    if event_id is not None and (since or until or patterns or kinds or verdicts or without_verdict):
        raise ConfigError(f"{event_id}: with the id of an event no other event is shown: leave out the other options.")
    config = settings_of(state, config_file)
    with open_store(config) as store:
        from monitor.clips.access import ClipAccess
        from monitor.notify.outbox import deliveries_of
        from monitor.report import details, event_table, event_text
        from monitor.store import queries
        from monitor.store.verdicts import verdicts_of

        out = console()
        if event_id is not None:
            event = queries.event(store, event_id)
            if as_json_lines:
                say(event_table.as_json(event))
                return
            messages = deliveries_of(store, event.id)
            said = verdicts_of(store, event.id)
            event_table.print_event(out, event, ClipAccess(config).where, messages, said)
            return
        streams = queries.streams(store)
        chosen = matching(streams, patterns)
        ids = [one.id for one in chosen] if patterns else []
        judged = [*verdicts, *([""] if without_verdict else [])] or None
        found = queries.events(
            store, since=since, until=until, streams=ids, kinds=kinds, verdicts=judged, limit=limit + 1
        )
        shown = found[:limit]
        if as_json_lines:
            for one in shown:
                say(event_table.as_json(one))
            return
        if not shown:
            say("There is no such event in the store.")
            return
        short_ids = details.short_ids(store, [one.id for one in shown])
    event_table.print_table(out, shown, short_ids, hosts=len({one.host for one in streams}) > 1)
    more = " There are more: --limit N shows them." if len(found) > limit else ""
    say(f"Times are local ({event_text.offsets(*(one.onset for one in shown))}).{more}")
