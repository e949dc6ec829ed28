"""The questions of `monitor setup`: answered by an option, by an earlier answer, by a person, or by the default."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from monitor.cli.output import say
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import printable


class Questions:
    """Asks what is not known yet.

    Args:
        given: answers by options of the command line, by name; None where an option was not given.
        earlier: answers of an earlier run, to which new ones are added.
        yes: whether defaults are taken instead of asking.
    """

    def __init__(self, given: dict[str, Any], earlier: dict[str, Any], *, yes: bool) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self._answers, self._yes = earlier, yes

    @property
    def person(self) -> bool:
        """Whether somebody can be asked."""
        return not self._yes and sys.stdin.isatty()

    def ask(
        self,
        name: str,
        question: str,
        default: Any,
        check: Callable[[Any], Any] = lambda value: value,
        *,
        again: bool = False,
    ) -> Any:
        """The answer to a question, which is kept.

        Args:
            name: name of the answer and of its option.
            question: what a person is asked.
            default: the answer if nobody gives another; it is shown, unless it is empty.
            check: returns an answer as it is kept, or raises a MonitorError that says why it cannot be used; a person
                is then asked again.
            again: whether the earlier answers cannot be used, so that a person has to be asked.

        Raises:
            MonitorError: if the answer cannot be used, or nobody can be asked.
        """
        known = None if again else self._given.get(name, self._answers.get(name))
        if known is None and self._yes:
            known = default
        while known is None:
            if not self.person:
                raise ConfigError(
                    f"monitor setup has a question ({question}): run it in a terminal, answer with --{name}, or take "
                    "all defaults with --yes."
                )
            typed = click.prompt(f"  {question}", default=str(default), show_default=default != "", type=str)
            try:
                self._answers[name] = check(typed)
            except MonitorError as error:
                say("\n".join(f"  {printable(message)}" for message in error.messages))
            else:
                return self._answers[name]
        self._answers[name] = check(known)
        return self._answers[name]

    def take(self, name: str, check: Callable[[Any], Any]) -> None:
        """Keeps the answer that an option of the command line gives, if it does.

        Raises:
            MonitorError: if the answer cannot be used.
        """
        if name in self._given:
            self._answers[name] = check(self._given[name])

    def agreed(self, question: str) -> bool:
        """Whether a person says yes; also if nobody is asked."""
        return click.confirm(f"  {question}", default=True) if self.person else True
