"""Discovery is what Home Assistant documents, the same in every run, and its templates fit the values."""

from __future__ import annotations

import json
import math
import re
from typing import Any, get_args

import jinja2
import pytest

from monitor.config.plant import EventKind, Mqtt
from monitor.core.events import State
from monitor.integrations.home_assistant import Discovery
from monitor.integrations.mqtt_payloads import event_payload, state_payload
from monitor.integrations.mqtt_topics import Topics
from support.outputs import anomaly
from support.snapshots import snapshot, stream

TOPIC = re.compile(r"homeassistant/(sensor|binary_sensor|event)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config")
# The keys that https://www.home-assistant.io/integrations/sensor.mqtt/ (and so on) document, as far as they are used.
COMMON = {
    "name",
    "unique_id",
    "state_topic",
    "availability",
    "availability_mode",
    "device",
    "origin",
    "icon",
    "value_template",
}
KEYS = {
    "sensor": COMMON | {"device_class", "expire_after", "options", "state_class", "unit_of_measurement",
                        "suggested_display_precision"},
    "binary_sensor": COMMON | {"device_class", "expire_after", "payload_on", "payload_off"},
    "event": COMMON | {"device_class", "event_types"},
}  # fmt: skip
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version"}
TOPICS = Topics("acoustic-monitor", "hall")


def discovery(**settings: Any) -> Discovery:
    return Discovery(Mqtt(broker="localhost", **settings), TOPICS, "hall")


def entities(name: str = "pump 3", **settings: Any) -> dict[str, dict[str, Any]]:
    """The entities of a stream, by the last part of their unique id."""
    made = {}
    for message in discovery(**settings).announce(name, "pump-3"):
        match = TOPIC.fullmatch(message.topic)
        assert match, message.topic
        assert message.retain
        made[match[3]] = {"platform": match[1], **json.loads(message.payload)}
    return made


def rendered(template: str, payload: str) -> str:
    """What Home Assistant makes of a payload."""
    return (
        jinja2.Environment(undefined=jinja2.StrictUndefined)
        .from_string(template)
        .render(value_json=json.loads(payload))
    )


def test_every_entity_has_only_keys_that_are_documented_and_those_that_are_required() -> None:
    for entity in entities().values():
        platform = entity.pop("platform")
        assert set(entity) <= KEYS[platform]
        assert {"state_topic", "unique_id", "device"} <= set(entity)
        assert set(entity["device"]) == DEVICE
        assert entity["origin"]["name"] == "acoustic-monitor"
        assert all(set(one) == {"topic"} for one in entity["availability"])


def test_a_stream_is_one_device_and_streams_have_devices_of_their_own() -> None:
    names = ["pump 3", "pump-3", "pump/3", "Pump 3", "泵", "ポンプ", "p" * 60]
    devices = {name: {one["device"]["identifiers"][0] for one in entities(name).values()} for name in names}
    assert all(len(ids) == 1 for ids in devices.values())
    assert len(set.union(*devices.values())) == len(names)
    ids = [one["unique_id"] for name in names for one in entities(name).values()]
    assert len(set(ids)) == len(ids)


def test_ids_are_the_same_in_every_run_and_whatever_else_changes() -> None:
    assert entities()["score"]["unique_id"] == "hall-pump-3-0feed720-score"
    assert entities(every_s=99)["score"]["unique_id"] == entities()["score"]["unique_id"]


def test_values_expire_when_no_more_arrive_and_not_before() -> None:
    for every_s in (0.1, 5.0, 100.5, 3600.0):
        expiry = {one.get("expire_after") for key, one in entities(every_s=every_s).items() if key != "event"}
        assert len(expiry) == 1
        [seconds] = expiry
        assert isinstance(seconds, int)
        assert seconds > 2 * every_s


def test_the_state_is_available_while_no_sound_comes_in_and_numbers_are_not() -> None:
    made = entities()
    of_sound = {"topic": TOPICS.stream_availability("pump 3")}
    for key in ("state", "problem", "event"):
        assert made[key]["availability"] == [{"topic": TOPICS.availability}]
    for key in ("share_of_limit", "score", "error", "level_dbfs"):
        assert of_sound in made[key]["availability"]
        assert made[key]["availability_mode"] == "all"


@pytest.mark.parametrize("state", State)
def test_templates_give_numbers_or_unknown_and_known_words(state: State) -> None:
    made = entities()
    unknown = {"score": math.nan, "error": math.nan, "share_of_limit": math.nan, "level_dbfs": -math.inf}
    for payload in (state_payload(snapshot(state), 0.0), state_payload(snapshot(state, **unknown), 0.0)):
        assert rendered(made["state"]["value_template"], payload) in made["state"]["options"]
        assert rendered(made["problem"]["value_template"], payload) in ("ON", "OFF")
        for key in ("share_of_limit", "score", "error", "level_dbfs"):
            text = rendered(made[key]["value_template"], payload)
            assert text == "None" or math.isfinite(float(text))  # Home Assistant shows None as unknown
    payload = state_payload(stream("pump 3", share=0.25), 0.0)
    assert rendered(made["share_of_limit"]["value_template"], payload) == "25.0"


def test_every_report_of_every_kind_of_event_is_a_known_type() -> None:
    types = entities()["event"]["event_types"]
    for kind in get_args(EventKind):
        for report in (anomaly(end_s=None), anomaly(end_s=None, reminders=1), anomaly()):
            event = json.loads(event_payload(report, "hall").replace('"anomaly', f'"{kind}'))
            assert event["event_type"] in types


def test_a_withdrawal_removes_everything_that_was_announced() -> None:
    announced = {message.topic for message in discovery().announce("pump", "a model")}
    withdrawn = discovery().withdraw("pump")
    assert {message.topic for message in withdrawn} == announced
    assert all(message.payload == "" and message.retain for message in withdrawn)


def test_the_topics_of_another_prefix_are_used() -> None:
    made = discovery(discovery_prefix="ha/discovery")
    assert made.birth_topic == "ha/discovery/status"
    assert all(message.topic.startswith("ha/discovery/") for message in made.announce("pump", "a model"))
