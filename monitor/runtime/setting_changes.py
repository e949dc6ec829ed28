"""Compares settings that were read again with those in force: what can change without a restart, and what cannot."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.config.schema import Alarm, Config
from monitor.config.setting_types import Group

# Settings that need a restart. `streams` and `alarm` belong to the streams, the other groups are not used by `live`.
FIXED: dict[str, tuple[str, ...] | None] = {  # None: all settings of the group
    "audio": ("device_rate", "latency_s", "block_ms", "buffer_s"),
    "train": ("device",),
    "listening": None,
    "drift": None,
    "dashboard": None,
    "state": None,
    "store": None,
}
# Groups that outputs are made from, or what is done beside the monitoring.
OUTPUTS = ("clips", "normal", "notify", "mqtt", "metrics", "commissioning", "selftest", "fleet")


def with_fixed(before: Config, after: Config) -> Config:
    """The new settings, with the old values of all settings that need a restart."""
    groups: dict[str, Group] = {}
    for group in FIXED:
        old = getattr(before, group)
        groups[group] = getattr(after, group).model_copy(update={key: getattr(old, key) for key in _fixed(group, old)})
    return after.model_copy(update=groups)


def needing_restart(before: Config, after: Config) -> list[str]:
    """The names of the settings that have changed, but need a restart."""
    return [name for group in FIXED for name, _, _ in _different(group, before, after) if _is_fixed(name)]


def changed_outputs(before: Config, after: Config) -> list[str]:
    """The names of the settings of outputs that have changed. Their values may be secret, so they are not told."""
    return [name for group in OUTPUTS for name, _, _ in _different(group, before, after)]


def changed_alarm(before: Alarm, after: Alarm) -> str:
    """The settings of an alarm that have changed, with both values: "alarm.threshold 4 (was null)"."""
    old, new = Config(alarm=before), Config(alarm=after)
    return ", ".join(f"{name} {_text(now)} (was {_text(was)})" for name, was, now in _different("alarm", old, new))


def _different(group: str, before: Config, after: Config) -> Iterator[tuple[str, object, object]]:
    """Yields the full name of each setting of a group that differs, and both values."""
    old, new = getattr(before, group), getattr(after, group)
    for key in type(new).model_fields:
        if getattr(old, key) != getattr(new, key):
            yield f"{group}.{key}", getattr(old, key), getattr(new, key)


def _fixed(group: str, settings: Group) -> tuple[str, ...]:
    keys = FIXED.get(group, ())
    return tuple(type(settings).model_fields) if keys is None else keys


def _is_fixed(name: str) -> bool:
    group, key = name.split(".")
    keys = FIXED.get(group, ())
    return keys is None or key in keys


def _text(value: object) -> str:
    """A value as it is written in a settings file."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
