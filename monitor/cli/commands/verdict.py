"""`monitor verdict` notes what an anomaly was, and shows what was said of it before."""

from __future__ import annotations

import json
from pathlib import Path

import click

from monitor.cli.looking_back import open_store, settings_of, store_options
from monitor.cli.output import say
from monitor.core.errors import ConfigError
from monitor.core.text import counted, printable
from monitor.core.user_name import user_name


@click.command()
@click.argument("targets", metavar="ID… [VERDICT]", nargs=-1, required=True)
@click.option("--comment", default="", metavar="TEXT", help="More about it, for people.")
@click.option("--withdraw", is_flag=True, help="Withdraw the verdict.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, with times in UTC.")
@store_options
def verdict(
    targets: tuple[str, ...],
    comment: str,
    withdraw: bool,
    as_json: bool,
    state: Path | None,
    config_file: Path | None,
) -> None:
    """Say what events were; with ids alone: show what was said of them.

    ID is the beginning of an event's id, as `monitor events` shows it. VERDICT is one of:

    \b
      real fault      the machine was, or is, faulty
      new but normal  the machine may sound so: the next model learns it
      disturbance     people, neighbours, traffic: not the machine
      maintenance     somebody worked on the machine
      sensor          the microphone, its cable or its place

    A word, or its beginning, is enough: fault, normal, dist. The newest verdict of an event counts. It also
    acknowledges the event. It works while `live` writes.

    \b
    Examples:
      monitor verdict 019ac4f0-3c fault --comment "bearing, replaced on Friday"
      monitor verdict 019ac4f0-3c 019ac4f1-07 disturbance
      monitor verdict 019ac4f0-3c
      monitor verdict 019ac4f0-3c --withdraw
    """
    from monitor.store.verdicts import LONGEST_COMMENT, verdict_named

    ids, words = _split(targets)
    if not ids:
        raise ConfigError("Give the id of an event first, such as `monitor verdict 019ac4f0-3c fault`.")
    if withdraw and words:
        raise ConfigError("--withdraw takes no verdict: leave one of them away.")
    said = verdict_named(" ".join(words)) if words else ""
    if comment and not (said or withdraw):
        raise ConfigError("--comment belongs to a verdict.")
    if len(comment) > LONGEST_COMMENT:
        raise ConfigError(f"--comment has {len(comment)} characters: at most {LONGEST_COMMENT} are kept, shorten it.")
    with open_store(settings_of(state, config_file)) as store:
        from monitor.store import queries, verdicts

        events = list({(event := queries.event(store, one)).id: event for one in ids}.values())
        if said or withdraw:
            with store.begin() as connection:
                for event in events:
                    verdicts.record_in(connection, event.id, said, by=user_name(), comment=comment)
            if not as_json:
                done = f"judged: {said}" if said else "without a verdict again"
                say(f"{counted(len(events), 'event')} {done}.")
                return
        histories = verdicts.histories(store, [event.id for event in events])
    from monitor.report.event_text import moment, utc

    for event in events:
        for one in histories.get(event.id, []):
            if as_json:
                facts = {"event": event.id, "time": utc(one.time), "verdict": one.verdict, "by": one.by}
                say(json.dumps({**facts, "comment": one.comment, "model_id": one.model_id}))
            else:
                more = f": {one.comment}" if one.comment else ""
                what = one.verdict or "withdrawn"
                say(printable(f"{event.id[:13]}  {moment(one.time, year=True)}  {what}, by {one.by}{more}"))
        if event.id not in histories and not as_json:
            say(f"{event.id[:13]}  nobody has judged it.")


def _split(targets: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The ids, and the words of the verdict after them. Ids have a digit among them, and verdicts have none."""
    count = next((i for i, one in enumerate(targets) if not any(c.isdigit() for c in one)), len(targets))
    return list(targets[:count]), list(targets[count:])
