"""Which events are sent to which channels: the rules of the settings, looked up by stream, kind and channel."""

from __future__ import annotations

import functools
from fnmatch import fnmatchcase

from monitor.config.plant import Notify, Rule

BEGAN, ENDED, REMINDER, ESCALATED = "began", "ended", "reminder", "escalated"  # stages of a delivery
KNOWN = 10_000  # streams whose rules are remembered


def reminder(number: int) -> str:
    """The stage of a reminder: the first one has the number 1."""
    return f"{REMINDER} {number}"


def reminder_number(stage: str) -> int:
    """The number of a reminder; 0 for other stages."""
    return int(stage.removeprefix(REMINDER)) if stage.startswith(REMINDER) else 0


class Rules:
    """The rules in force. Of several rules that name a channel for the same event, the first one counts.

    Upper and lower case are the same in names of streams.
    """

    def __init__(self, settings: Notify) -> None:
        self._rules = settings.rules
        self._told = functools.lru_cache(KNOWN)(self._find_told)
        self._escalated = functools.lru_cache(KNOWN)(self._find_escalated)

    @property
    def channels(self) -> set[str]:
        """The names of all channels that a rule names."""
        return {name for rule in self._rules for name in (*rule.to, *rule.escalate_to)}

    @property
    def longest_cool_down_s(self) -> float:
        """The longest cool-down of all rules."""
        return max((rule.cool_down_s for rule in self._rules), default=0.0)

    def told(self, stream: str, kind: str) -> dict[str, Rule]:
        """By channel: the rule by which it is told of events of this kind of a stream."""
        return self._told(stream, kind)

    def of(self, channel: str, stage: str, stream: str, kind: str) -> Rule | None:
        """The rule by which a channel is told of a stage of an event; None if there is none any more."""
        told, escalated = self._told(stream, kind).get(channel), self._escalated(stream, kind).get(channel)
        if stage == ESCALATED:
            return escalated
        return told or (escalated if stage == ENDED else None)

    def _find_told(self, stream: str, kind: str) -> dict[str, Rule]:
        found: dict[str, Rule] = {}
        for rule in self._matching(stream, kind):
            for channel in rule.to:
                found.setdefault(channel, rule)
        return found

    def _find_escalated(self, stream: str, kind: str) -> dict[str, Rule]:
        found: dict[str, Rule] = {}
        for rule in self._matching(stream, kind):
            for channel in rule.escalate_to:
                found.setdefault(channel, rule)
        return found

    def _matching(self, stream: str, kind: str) -> list[Rule]:
        return [
            rule
            for rule in self._rules
            if kind in rule.kinds and any(fnmatchcase(stream.casefold(), one.casefold()) for one in rule.streams)
        ]
