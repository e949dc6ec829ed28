"""What the status of a monitor means: an exit code, and a line in the form of monitoring plugins.

Exit code 5 (an anomaly) goes before 3 (sound, or the monitor itself, is lost), and that before 1 (something beside the
monitoring is in trouble). Like `status_client`, this module imports neither numpy nor SQLAlchemy.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.core.errors import EXIT_ANOMALY, EXIT_FAILURE, EXIT_OK, EXIT_SOURCE_LOST, ConfigError
from monitor.core.text import counted, duration_text, precision_text, printable, shortened, some_of

WORDS = {EXIT_OK: "OK", EXIT_FAILURE: "WARNING", EXIT_SOURCE_LOST: "LOST", EXIT_ANOMALY: "ANOMALY"}
WORST_FIRST = (EXIT_ANOMALY, EXIT_SOURCE_LOST, EXIT_FAILURE, EXIT_OK)
# The exit codes of monitoring plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
PLUGIN_CODES = {EXIT_ANOMALY: 2, EXIT_SOURCE_LOST: 3}
NOT_HEARD = ("LOST", "NO SIGNAL", "OVERLOADED")  # states in which a machine is not, or not completely, heard
OLD_FACTS_S = 60.0  # age from which on facts count as unknown: the disk or the database does not answer
SHOWN = 5  # problems that are said in full

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong."""

    code: int  # the exit code that it leads to
    text: str  # a few words, without a full stop


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a status."""

    problems: tuple[Problem, ...]  # the worst first
    line: str  # one line: WORD - text | performance data

    @property
    def code(self) -> int:
        """The exit code: that of the worst problem."""
        return self.problems[0].code if self.problems else EXIT_OK

    @property
    def word(self) -> str:
        """The exit code in a word."""
        return WORDS[self.code]


def verdict(status: Status, *, stream: str | None = None) -> Verdict:
    """The verdict on a status.

    Args:
        status: the answer to the request `status`.
        stream: name of the stream that counts, with whether the monitor works at all; None: everything counts.

    Raises:
        ConfigError: if there is no stream of this name.
    """
    streams = [one for one in status["streams"] if stream is None or one["stream"] == stream]
    if stream is not None and not streams:
        known = some_of([one["stream"] for one in status["streams"]], stream)
        raise ConfigError(f"There is no stream {stream!r} here: there are {known or 'none yet'}.")
    problems = list(_of_streams(streams))
    if status["hung"]:
        problems.append(Problem(EXIT_SOURCE_LOST, f"the monitor hangs: {status['hung']}"))
    elif not streams:
        problems.append(Problem(EXIT_SOURCE_LOST, "the monitor is starting: no stream has reported yet"))
    if stream is None:
        problems += _beside(status)
    problems.sort(key=lambda one: WORST_FIRST.index(one.code))
    return Verdict(tuple(problems), _line(problems, streams, [] if stream is not None else status["disks"]))


def lost(why: str) -> Verdict:
    """The verdict where no monitor answers; `why` is a sentence."""
    problem = Problem(EXIT_SOURCE_LOST, why.removesuffix("."))
    return Verdict((problem,), _line([problem], [], []))


def _of_streams(streams: Sequence[Status]) -> Iterator[Problem]:
    for one in streams:
        name = f"{one['stream']} " if one["stream"] else ""
        if one["state"] == "ANOMALY":
            event = one["event"] or {}
            since = f" for {duration_text(max(0.0, time.time() - event['began']))}" if event else ""
            why = f", {event['cause']}" if event.get("cause") else ""
            yield Problem(EXIT_ANOMALY, f"{name}ANOMALY{since}{why}")
        elif one["state"] in NOT_HEARD:
            why = f": {shortened(one['failure'].removesuffix('.'), 120)}" if one["failure"] else ""
            yield Problem(EXIT_SOURCE_LOST, f"{name}{one['state']}{why}")
        elif one["ended"]:
            yield Problem(EXIT_SOURCE_LOST, f"{name}has ended")


def _beside(status: Status) -> Iterator[Problem]:
    """What is wrong with what surrounds the monitoring: outputs, disks, notifications."""
    for trouble in status["outputs"]:
        yield Problem(EXIT_FAILURE, shortened(trouble.removesuffix("."), 160))
    for disk in status["disks"]:
        if disk["low"]:
            free = f"{_megabytes(disk['free_bytes'])} MB"
            yield Problem(EXIT_FAILURE, f"disk low: {free} free for {disk['name']} in {disk['folder']}")
    deliveries = status["deliveries"] or {}
    if failure := deliveries.get("failure"):
        yield Problem(EXIT_FAILURE, f"notifications cannot be looked up: {shortened(str(failure).removesuffix('.'))}")
    elif stuck := deliveries.get("stuck"):
        why = str(deliveries.get("last_error", "")).removesuffix(".")
        if not why or not any(why in trouble for trouble in status["outputs"]):  # a channel may have said it already
            yield Problem(EXIT_FAILURE, f"{counted(stuck, 'notification')} stuck{why and f': {shortened(why)}'}")
    if given_up := deliveries.get("given_up"):
        yield Problem(EXIT_FAILURE, f"{counted(given_up, 'notification')} given up in the last day")
    if status["facts_s_ago"] > OLD_FACTS_S:
        old = duration_text(status["facts_s_ago"])
        yield Problem(EXIT_FAILURE, f"the disk or the store has not answered for {old}")


def _line(problems: Sequence[Problem], streams: Sequence[Status], disks: Sequence[Status]) -> str:
    code = problems[0].code if problems else EXIT_OK
    parts = [one.text for one in problems[:SHOWN]]
    if more := len(problems) - len(parts):
        parts.append(f"{more} more")
    quiet = [one for one in streams if one["state"] != "ANOMALY" and one["state"] not in NOT_HEARD and not one["ended"]]
    if len(streams) == 1 and quiet:
        parts.append(_single(quiet[0]))
    elif quiet:
        counts = Counter(one["state"] for one in quiet).most_common()
        parts.append(f"of {len(streams)} streams " + ", ".join(f"{count} {state}" for state, count in counts))
        for note, count in Counter(one["note"] for one in quiet if one.get("note")).items():
            parts.append(f"{count} {note}")
        for computed, count in Counter(filter(None, map(_computed, quiet))).items():
            parts.append(computed if count == len(quiet) else f"{count} {computed}")
    text = printable("; ".join(parts)).replace("|", "/")  # a bar begins the performance data
    data = " ".join([*map(_share_data, streams), *map(_disk_data, disks)])
    return f"{WORDS[code]} - {text}{f' | {data}' if data else ''}"


def _single(stream: Status) -> str:
    share, scored = stream["share_of_limit"], stream["scored_s_ago"]
    parts = [" ".join(filter(None, (stream["stream"], stream["state"])))]
    parts += [] if share is None else [f"{100 * share:.0f} % of the limit"]
    parts += [] if scored is None else [f"scored {scored:.0f} s ago"]
    more = filter(None, (stream.get("note"), _computed(stream)))
    return ", ".join([*parts, f"model {stream['model']}", *more])


def _computed(stream: Status) -> str:
    """In which precision its network is computed; empty if that is not known."""
    precision = stream.get("precision")
    return f"computed in {precision_text(precision, stream['limits_precision'])}" if precision else ""


def _share_data(stream: Status) -> str:
    """The share of the limit in per cent; 100 is critical."""
    share = stream["share_of_limit"]
    value = "U" if share is None else f"{100 * share:.1f}%"
    return f"{_label(stream['stream'] or 'share')}={value};;100;0"


def _disk_data(disk: Status) -> str:
    """The free megabytes; fewer than the least are a warning."""
    free = "U" if disk["free_bytes"] is None else f"{_megabytes(disk['free_bytes'])}MB"
    return f"{_label('free for ' + disk['name'])}={free};{_megabytes(disk['least_free_bytes'])}:;;0"


def _label(name: str) -> str:
    """A label of performance data: in quotes, without the characters that have a meaning there."""
    return f"'{printable(name).replace(chr(39), '').replace('=', '-').replace('|', '/')}'"


def _megabytes(count: int) -> int:
    return count // 1_000_000
