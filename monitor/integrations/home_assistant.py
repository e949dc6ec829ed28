"""MQTT discovery for Home Assistant: one device for each stream, with its values and events as entities.

The messages are those of <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>, one for each entity.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from monitor import __version__
from monitor.config.plant import EventKind, Mqtt
from monitor.core.events import State
from monitor.integrations.mqtt_link import Message
from monitor.integrations.mqtt_payloads import PHASES, as_json
from monitor.integrations.mqtt_topics import Topics

ORIGIN = "acoustic-monitor"
BIRTH = "status"  # level of the topic on which Home Assistant says that it has started
SHORTEST_EXPIRY_S = 60


class Discovery:
    """Makes the messages of discovery.

    Args:
        settings: the settings of MQTT.
        topics: the topics of values and events.
        host: name of the computer.
    """

    def __init__(self, settings: Mqtt, topics: Topics, host: str) -> None:
        self.birth_topic = f"{settings.discovery_prefix}/{BIRTH}"
        self._topics, self._host, self._prefix = topics, host, settings.discovery_prefix
        self._monitor = f"{settings.prefix}/{host}"
        self._expire_s = max(SHORTEST_EXPIRY_S, math.ceil(3 * settings.every_s))

    def announce(self, stream: str, model: str) -> list[Message]:
        """The messages that make a stream known, or change what is known of it.

        Args:
            stream: name of the stream.
            model: display name of its model.
        """
        device = {
            "identifiers": [self._id(stream)],
            "name": stream,
            "manufacturer": ORIGIN,
            "model": model,
            "sw_version": __version__,
        }
        origin = {"name": ORIGIN, "sw_version": __version__}
        return [
            Message(topic, as_json({**entity, "device": device, "origin": origin}), qos=1)
            for topic, entity in self._entities(stream)
        ]

    def withdraw(self, stream: str) -> list[Message]:
        """The messages that make Home Assistant forget a stream."""
        return [Message(topic, "", qos=1) for topic, _ in self._entities(stream)]

    def _id(self, stream: str) -> str:
        """An identifier of a stream with letters, digits, `-` and `_` only, which is always the same."""
        readable = re.sub(r"[^a-z0-9]+", "-", f"{self._host}-{stream}".lower()).strip("-")[:60]
        exact = f"{self._monitor}/{stream}".encode("utf-8", "surrogatepass")
        return f"{readable}-{hashlib.sha256(exact).hexdigest()[:8]}"

    def _entities(self, stream: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The topic and the configuration of each entity of a stream."""
        device_id, topics = self._id(stream), self._topics
        of_monitor = {"topic": topics.availability}
        of_sound = [of_monitor, {"topic": topics.stream_availability(stream)}]
        values = {"state_topic": topics.state(stream), "expire_after": self._expire_s}
        state = {**values, "availability": [of_monitor]}
        number = {**values, "availability": of_sound, "availability_mode": "all", "state_class": "measurement"}

        def entity(platform: str, key: str, name: str, facts: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
            topic = f"{self._prefix}/{platform}/{device_id}/{key}/config"
            return topic, {"name": name, "unique_id": f"{device_id}-{key}", **facts}

        yield entity("sensor", "state", "State", {
            **state, "device_class": "enum", "options": [one.value for one in State],
            "value_template": "{{ value_json.state }}", "icon": "mdi:engine",
        })  # fmt: skip
        yield entity("binary_sensor", "problem", "Problem", {
            **state, "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
        })  # fmt: skip
        yield entity("sensor", "share_of_limit", "Share of limit", {
            **number, "unit_of_measurement": "%", "suggested_display_precision": 0, "icon": "mdi:gauge",
            # `none` is rendered as None, which Home Assistant shows as unknown.
            "value_template": "{{ none if value_json.share_of_limit is none else 100 * value_json.share_of_limit }}",
        })  # fmt: skip
        for key, name, facts in (
            ("score", "Anomaly score", {"suggested_display_precision": 1, "icon": "mdi:chart-line"}),
            ("error", "Reconstruction error", {"suggested_display_precision": 3, "icon": "mdi:chart-bell-curve"}),
            ("level_dbfs", "Level", {"unit_of_measurement": "dBFS", "suggested_display_precision": 1}),
        ):  # fmt: skip
            yield entity("sensor", key, name, {**number, "value_template": f"{{{{ value_json.{key} }}}}", **facts})
        yield entity("event", "event", "Event", {
            "state_topic": topics.event(stream), "availability": [of_monitor], "icon": "mdi:bell",
            "event_types": [f"{kind} {phase}" for kind in get_args(EventKind) for phase in PHASES],
        })  # fmt: skip
