"""Writes results to standard output, and errors to standard error. No name in them can control the terminal."""

from __future__ import annotations

import contextlib
import sys

import click

from monitor.core.text import printable, printable_lines


def say(text: str, *, end: str = "\n") -> None:
    """Writes a result to standard output: one line or several, with `?` for characters that cannot be printed.

    Names of files and devices that become part of a longer text have to be made printable there
    (`monitor.core.text.printable`): here a line break in a name is not told from one of the program.
    """
    click.echo(printable_lines(text), nl=end == "\n")


def say_error(*messages: str) -> None:
    """Writes the messages of an error to standard error, a line each. Nothing happens if nobody reads it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write("".join(f"{'monitor: ' * (n == 0)}{printable(text)}\n" for n, text in enumerate(messages)))


def say_usage_error(error: click.ClickException) -> None:
    """Writes what is wrong with a command line, as click does."""
    usage = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        usage = f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n\n"
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{printable_lines(usage)}Error: {printable(error.format_message())}\n")
