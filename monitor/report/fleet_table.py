"""The fleet on a terminal: hosts, streams, and the models that are handed out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from monitor.core.text import counted, printable, some_of
from monitor.dashboard.widgets.long_term import long
from monitor.fleet.overview import NOT_LISTENED, Fleet, FleetHost, FleetStream, newest_orders, order_state
from monitor.report.event_text import moment, utc
from monitor.store.fleet import StoredMonitor
from monitor.store.fleet_models import ModelFile, ModelOrder

WIDEST = 400  # cells of a line that no terminal shows, where each row is to have one line
STYLES = {
    "alive": "green", "silent": "bold red", "NORMAL": "green", "ANOMALY": "bold red", "LOST": "bold red",
    "NO SIGNAL": "bold red", "WARNING": "yellow", "OVERLOADED": "yellow", "stopped": "dim", NOT_LISTENED: "dim",
}  # fmt: skip
HOST_HEADINGS = ("host", "state", "last seen", "version", "started", "clock", "kept aside", "streams")
STREAM_HEADINGS = ("stream", "state", "last seen", "model", "number", "next model")
FILE_HEADINGS = ("SHA-256", "number", "model", "size", "handed out", "by", "where")
ORDER_HEADINGS = ("stream", "SHA-256", "ordered", "by", "taken", "what became of it")


def print_fleet(out: Console, fleet: Fleet) -> None:
    """Prints the hosts, the streams, and what is to be done."""
    _print(out, HOST_HEADINGS, map(_host_row, fleet.hosts))
    if fleet.streams:
        out.print()
        _print(out, STREAM_HEADINGS, map(_stream_row, fleet.streams))
    for sentence in sentences(fleet):
        out.print(Text(sentence), soft_wrap=True)


def sentences(fleet: Fleet) -> list[str]:
    """What is to be done about the fleet, a sentence each."""
    made = []
    if fleet.silent:
        names = some_of([*map(printable, fleet.silent)])
        made.append(
            f"No sign of life: {names}. Look at the computer and its network; `monitor fleet forget` removes one that "
            "is there no more."
        )
    if wrong := [printable(one.monitor.host) for one in fleet.hosts if one.clock_is_wrong]:
        made.append(f"The clock is wrong: {some_of(wrong)}. Set it by NTP, or times are not comparable.")
    if old := [printable(one.monitor.host) for one in fleet.hosts if one.other_version]:
        made.append(f"An older version than elsewhere: {some_of(old)}.")
    return made


def print_models(
    out: Console, files: Sequence[ModelFile], orders: Sequence[ModelOrder], monitors: Sequence[StoredMonitor]
) -> None:
    """Prints the models that were handed out, and the orders, the newest first."""
    _print(out, FILE_HEADINGS, map(_file_row, files))
    out.print()
    newest, known = newest_orders(orders), {one.host: one for one in monitors}
    _print(out, ORDER_HEADINGS, (_order_row(one, order_state(one, newest, known)) for one in orders))


def _print(out: Console, headings: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one) if isinstance(one, str) else one for one in row))  # names are no markup
    width = out.width
    if not out.is_terminal:  # in a pipe each row has one line
        out.width = max(width, Measurement.get(out, out.options.update(max_width=WIDEST), table).maximum)
    out.print(table)
    out.width = width


def _host_row(host: FleetHost) -> list[str | Text]:
    monitor = host.monitor
    marked = "bold yellow"
    streams = counted(host.listening, "stream") if monitor.state == "alive" else ""
    return [
        printable(monitor.host),
        _styled(monitor.state),
        f"{long(max(monitor.age_s, 0.0))} ago",
        Text(f"{printable(monitor.version)}{' !' if host.other_version else ''}", marked if host.other_version else ""),
        moment(monitor.started),
        Text(clock_text(host), marked if host.clock_is_wrong else ""),
        str(monitor.spooled) if monitor.spooled else "",
        Text(f"{streams}, {host.unheard} lost", "bold red") if host.unheard else streams,
    ]


def _stream_row(one: FleetStream) -> list[str | Text]:
    waiting = "" if one.waiting is None else f"{one.waiting.sha256[:12]} waits"
    name = printable(f"{one.stream.host}/{one.stream.name}")
    return [name, _styled(one.state), moment(one.last_seen), printable(one.model), one.stream.model_id, waiting]


def _file_row(one: ModelFile) -> list[str | Text]:
    added, where = moment(one.added, year=True), printable(one.url or "table")
    return [
        one.sha256[:12], one.model_id, printable(one.name), f"{one.size / 1e6:.1f} MB", added, printable(one.by), where,
    ]  # fmt: skip


def _order_row(one: ModelOrder, became: str) -> list[str | Text]:
    taken = "" if one.taken is None or one.refused else moment(one.taken, year=True)
    return [
        printable(f"{one.host}/{one.stream}"), one.sha256[:12], moment(one.time, year=True), printable(one.by), taken,
        _styled(printable(became)),
    ]  # fmt: skip


def clock_text(host: FleetHost) -> str:
    """By how much a clock is ahead: +0.003 s; with an exclamation mark if that is too much; empty if it is the same."""
    offset = host.monitor.clock_offset_s
    if offset is None:
        return ""
    return f"{offset:+.3f} s{' !' if host.clock_is_wrong else ''}"


def _styled(state: str) -> Text:
    style = "bold red" if state.startswith("refused") else "yellow" if state.startswith("waiting") else ""
    return Text(state, STYLES.get(state, style))


def as_facts(fleet: Fleet) -> Mapping[str, object]:
    """The fleet as values for JSON; times in UTC."""
    return {
        "hosts": [
            {
                "host": one.monitor.host, "state": one.monitor.state, "version": one.monitor.version,
                "older_version": one.other_version, "started": utc(one.monitor.started),
                "last_seen": utc(one.monitor.last_seen), "age_s": round(one.monitor.age_s, 1),
                "stopped": None if one.monitor.stopped is None else utc(one.monitor.stopped),
                "clock_offset_s": one.monitor.clock_offset_s, "clock_error_s": one.monitor.clock_error_s,
                "clock_is_wrong": one.clock_is_wrong, "spooled": one.monitor.spooled, "listening": one.listening,
                "lost": one.unheard,
                **{name: value for name, value in one.monitor.facts.items() if name not in ("streams", "instance")},
            }
            for one in fleet.hosts
        ],
        "streams": [
            {
                "host": one.stream.host, "stream": one.stream.name, "state": one.state, "model": one.model,
                "model_id": one.stream.model_id, "last_seen": utc(one.last_seen),
                "waiting": None if one.waiting is None else one.waiting.sha256,
            }
            for one in fleet.streams
        ],
    }  # fmt: skip


def models_as_facts(
    files: Sequence[ModelFile], orders: Sequence[ModelOrder], monitors: Sequence[StoredMonitor]
) -> Mapping[str, object]:
    """The models that were handed out, and the orders, as values for JSON; times in UTC."""
    newest, known = newest_orders(orders), {one.host: one for one in monitors}
    return {
        "models": [
            {
                "sha256": one.sha256, "model_id": one.model_id, "name": one.name, "size": one.size,
                "added": utc(one.added), "by": one.by, "url": one.url,
            }
            for one in files
        ],
        "orders": [
            {
                "order": one.id, "host": one.host, "stream": one.stream, "sha256": one.sha256, "time": utc(one.time),
                "by": one.by, "taken": None if one.taken is None or one.refused else utc(one.taken),
                "refused": one.refused, "state": order_state(one, newest, known),
            }
            for one in orders
        ],
    }  # fmt: skip
