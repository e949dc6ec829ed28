"""Writes results to standard output, and errors to standard error. No name in them can control the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TextIO

import click

from monitor.core.text import printable, printable_lines

# Levels of `logging`, and the priorities of syslog for them.
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def say(text: str, *, end: str = "\n") -> None:
    """Writes a result to standard output: one line or several, with `?` for characters that cannot be printed.

    Names of files and devices that become part of a longer text have to be made printable there
    (`monitor.core.text.printable`): here a line break in a name is not told from one of the program.
    """
    click.echo(printable_lines(text), nl=end == "\n")


def say_error(*messages: str) -> None:
    """Writes the messages of an error to standard error, a line each. Nothing happens if nobody reads it."""
    level = journal_prefix(sys.stderr, logging.ERROR)
    lines = (f"{level}{'monitor: ' * (n == 0)}{printable(text)}\n" for n, text in enumerate(messages))
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write("".join(lines))


def journal_prefix(stream: TextIO | None, level: int) -> str:
    """What a line begins with if the stream goes to the journal of systemd, so that it knows the line's level: `<3>`.

    Args:
        stream: standard output or standard error.
        level: as in `logging`.

    Returns:
        the prefix; "" if the stream goes elsewhere, by the variable JOURNAL_STREAM that systemd sets.
    """
    journal = os.environ.get("JOURNAL_STREAM")
    if not journal or stream is None:
        return ""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return ""
    if journal != f"{found.st_dev}:{found.st_ino}":
        return ""
    return f"<{next((priority for least, priority in PRIORITIES if level >= least), 7)}>"


def say_usage_error(error: click.ClickException) -> None:
    """Writes what is wrong with a command line, as click does; where it ends after a group of commands, the help."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # click 8.1 prints the help itself
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{printable_lines(error.format_message())}\n")
        return
    usage = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        usage = f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n\n"
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{printable_lines(usage)}Error: {printable(error.format_message())}\n")
