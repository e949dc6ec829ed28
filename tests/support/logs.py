"""Captures log messages of the program, also of loggers that do not propagate to the root logger."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


class _Kept(logging.Handler):
    """Collects the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def logged(name: str, level: int = logging.INFO) -> Iterator[list[str]]:
    """A context that collects the messages of a logger and its children, from this level on."""
    logger, kept = logging.getLogger(name), _Kept()
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(kept)
    try:
        yield kept.messages
    finally:
        logger.removeHandler(kept)
        logger.setLevel(before)
