"""Logging of the program: plain lines or JSON lines, on standard error."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import sys
from collections.abc import Callable, Mapping

from monitor.cli.output import journal_prefix, say_error
from monitor.core.text import printable

WARNED_STATES = ("ANOMALY", "LOST", "NO SIGNAL")
WARNED_EVENTS = ("anomaly", "lost", "no signal")

log = logging.getLogger(__name__)


class StderrHandler(logging.Handler):
    """Writes to the present `sys.stderr`, so that a progress bar that replaced it moves down for a log line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record. If standard error is a closed pipe, the record is discarded."""
        text = self.format(record)
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{journal_prefix(sys.stderr, record.levelno)}{text}\n")
            sys.stderr.flush()


class StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard output. If that fails (a closed pipe, a full disk), the program ends."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line, which says its level if it goes to the journal."""
        return f"{journal_prefix(self.stream, record.levelno)}{super().format(record)}"

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - as logging has it
        """Raises the error, as `print` would; `logging` would print a traceback for every line."""
        raise


class PlainFormatter(logging.Formatter):
    """Formats a record as its message; with `timed` the local time precedes it."""

    def __init__(self, *, timed: bool) -> None:
        super().__init__()
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        text = printable(record.getMessage())
        return f"{_time(record)} {text}" if self._timed else text


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object with time, level, logger, message, and the record's `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        facts = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        text = json.dumps(facts, ensure_ascii=False)
        # Some terminals obey control characters that JSON allows, such as U+009B.
        return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def set_up_logs(*, as_json: bool = False, timed: bool = False, level: int = logging.INFO) -> None:
    """Makes the loggers of `monitor` and `train` write to standard error, for the rest of the process.

    Args:
        as_json: whether lines are JSON objects.
        timed: whether plain lines have a time, unless they go to the journal of systemd, which has its own.
        level: records of this level and above are written.
    """
    handler = StderrHandler()
    timed = timed and not journal_prefix(sys.stderr, level)
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter(timed=timed))
    for name in ("monitor", "train"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


def report_error(*messages: str) -> None:
    """Writes the error that ends the program to standard error, in the format of the other lines.

    Args:
        messages: the messages of the error, each of which is one line.
    """
    if any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger("monitor").handlers):
        log.error("%s", "\n".join(messages))
    else:
        say_error(*messages)


def _time(record: logging.LogRecord) -> str:
    return datetime.datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="seconds")


def event_writer(*, as_json: bool) -> Callable[[str, Mapping[str, object]], None]:
    """Returns a function that writes lines to standard output: called with a text, and with its figures for JSON."""
    handler = StdoutHandler()
    timed = not journal_prefix(sys.stdout, logging.INFO)
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter(timed=timed))
    logger = logging.getLogger("monitor.events")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return lambda text, facts: logger.log(_level(facts), "%s", text, extra={"facts": facts})


def _level(facts: Mapping[str, object]) -> int:
    """The level of a line: a warning, if by its facts there is an anomaly or the machine is not heard."""
    event = facts.get("event")
    begun = isinstance(event, Mapping) and event.get("end_s") is None and event.get("kind") in WARNED_EVENTS
    return logging.WARNING if begun or facts.get("state") in WARNED_STATES else logging.INFO
