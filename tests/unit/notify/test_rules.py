"""Rules say which channels are told of an event."""

from __future__ import annotations

from typing import Any

from monitor.config.plant import Notify
from monitor.notify.rules import Rules, reminder, reminder_number


def rules(*given: dict[str, Any]) -> Rules:
    """Rules for the channels a, b and c."""
    channels = [{"name": name, "command": "x"} for name in "abc"]
    return Rules(Notify.model_validate({"channels": channels, "rules": given}))


def test_streams_are_named_by_patterns_in_upper_or_lower_case() -> None:
    made = rules({"to": "a", "streams": ["Press *", "fan ?"]})
    for stream in ("press 1", "PRESS 22", "Fan 3"):
        assert set(made.told(stream, "anomaly")) == {"a"}
    for stream in ("press", "fan 33", "pump"):
        assert not made.told(stream, "anomaly")


def test_without_patterns_and_kinds_all_streams_anomalies_and_losses_are_told() -> None:
    made = rules({"to": ["a", "b"]})
    assert [kind for kind in ("anomaly", "warning", "off", "lost", "no signal") if made.told("x", kind)] == [
        "anomaly",
        "lost",
        "no signal",
    ]
    assert set(made.told("x", "lost")) == {"a", "b"}


def test_of_several_rules_for_a_channel_the_first_one_counts() -> None:
    made = rules({"to": "a", "streams": "press 1", "after_s": 5}, {"to": ["a", "b"], "after_s": 60})
    assert {channel: rule.after_s for channel, rule in made.told("press 1", "anomaly").items()} == {"a": 5, "b": 60}
    assert {channel: rule.after_s for channel, rule in made.told("press 2", "anomaly").items()} == {"a": 60, "b": 60}


def test_escalation_has_its_own_channels_which_are_told_of_the_end_too() -> None:
    made = rules({"to": "a", "escalate_to": "c", "escalate_after_s": 60})
    assert set(made.told("x", "anomaly")) == {"a"}
    assert made.of("c", "escalated", "x", "anomaly")
    assert made.of("c", "ended", "x", "anomaly")
    assert not made.of("c", "began", "x", "anomaly")
    assert not made.of("a", "escalated", "x", "anomaly")


def test_reminders_are_numbered() -> None:
    assert [reminder_number(reminder(number)) for number in (1, 2, 30)] == [1, 2, 30]
    assert reminder_number("began") == 0
