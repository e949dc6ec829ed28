"""What is sent by MQTT: topics that never collide, JSON without words in numbers, and a queue that is bounded."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.plant import Mqtt
from monitor.core.errors import ConfigError
from monitor.core.events import Band, State
from monitor.integrations.mqtt_outbox import Outbox
from monitor.integrations.mqtt_payloads import event_payload, state_payload
from monitor.integrations.mqtt_sink import MqttSink
from monitor.integrations.mqtt_topics import Topics
from support.logs import logged
from support.outputs import anomaly
from support.settings import mistakes
from support.snapshots import snapshot, stream

NUMBERS = ("share_of_limit", "error", "score", "limit", "level_dbfs", "not_heard_s", "anomalies")


def strict(payload: str) -> dict[str, Any]:
    """The object, read by a reader that knows no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(payload, parse_constant=refuse)  # type: ignore[no-any-return]


@pytest.mark.parametrize("state", State)
def test_values_are_numbers_or_null_in_every_state(state: State) -> None:
    for changes in ({}, {"error": math.nan, "score": math.nan, "share_of_limit": math.nan, "level_dbfs": -math.inf}):
        values = strict(state_payload(snapshot(state, **changes), 1_700_000_000.0))
        assert values["state"] == state.value
        for name in NUMBERS:
            assert values[name] is None or isinstance(values[name], int | float)


def test_before_the_first_score_and_while_nothing_is_heard_values_are_null() -> None:
    for one in (snapshot(State.LISTENING), stream("pump", State.LOST), stream("pump", State.NO_SIGNAL)):
        values = strict(state_payload(one, 0.0))
        assert (values["score"], values["error"]) == (None, None)
    assert strict(state_payload(stream("pump", State.LOST), 0.0))["share_of_limit"] is None
    assert strict(state_payload(stream("pump", finished=True), 0.0))["level_dbfs"] is None


def test_problem_is_true_where_somebody_has_to_look() -> None:
    problems = {state for state in State if strict(state_payload(snapshot(state), 0.0))["problem"]}
    assert problems == {State.ANOMALY, State.LOST, State.NO_SIGNAL, State.OVERLOADED}


def test_a_repeated_message_of_an_event_is_told_from_the_next_report() -> None:
    began = anomaly(end_s=None)
    reports = [
        began, dataclasses.replace(began, reminders=1), dataclasses.replace(began, reminders=2),
        dataclasses.replace(began, reminders=2, end_s=9.0),
    ]  # fmt: skip
    said = [strict(event_payload(one, "hall")) for one in reports]
    assert [(one["phase"], one["reminders"]) for one in said] == [
        ("begin", 0),
        ("reminder", 1),
        ("reminder", 2),
        ("end", 2),
    ]
    assert {one["id"] for one in said} == {began.id}
    assert [one["end_s"] for one in said] == [None, None, None, 9.0]


def test_an_event_can_be_read_whatever_is_in_it() -> None:
    bands = (Band(100.0, math.inf, math.nan, "new"),)
    said = strict(event_payload(anomaly(peak=math.nan, mean=math.inf, source="b\udcff.wav\x1b", bands=bands), "hall"))
    assert (said["peak"], said["mean"], said["source"]) == (None, None, "b?.wav?")
    assert said["bands"] == [{"low_hz": 100.0, "high_hz": None, "share": None, "change": "new"}]


def test_names_are_one_level_of_a_topic_and_stay_readable() -> None:
    topics = Topics("plant/acoustic", "hall 1")
    assert topics.state("Pumpe für Öl 3") == "plant/acoustic/hall 1/Pumpe für Öl 3/state"
    assert topics.event("a/b+c#d%2F") == "plant/acoustic/hall 1/a%2Fb%2Bc%23d%252F/event"
    assert topics.stream_availability("availability") != topics.availability


@given(
    st.lists(st.text(min_size=1, max_size=8, alphabet=st.sampled_from("ab/+#%2F\0\u00e9e\u0301\udcff\n")), unique=True)
)
def test_no_two_streams_share_a_topic_and_names_can_be_read_back(names: list[str]) -> None:
    topics = Topics("p", "h")
    assert len({topics.state(name) for name in names}) == len(names)
    for name in names:
        topic = topics.stream_availability(name)
        topic.encode("utf-8")
        assert topic.count("/") == 3
        assert not set(topic) & set("+#\0\n")
        assert topics.stream_of(topic) == name


def test_other_topics_are_of_no_stream() -> None:
    topics = Topics("p", "h")
    for topic in ("p/h/availability", "p/h/pump/state", "p/other/pump/availability", "x"):
        assert topics.stream_of(topic) is None


def test_events_that_were_not_acknowledged_are_sent_again_before_later_ones() -> None:
    outbox, events = Outbox(), [anomaly(start_s=float(number)) for number in range(4)]
    for event in events[:3]:
        outbox.put(event)
    assert [outbox.take(), outbox.take()] == events[:2]
    outbox.acknowledge(events[1])
    outbox.put(events[3])
    outbox.put_back()
    assert [outbox.take(), outbox.take(), outbox.take(), outbox.take()] == [events[0], *events[2:], None]
    assert outbox.lost == 0


def test_a_full_queue_loses_its_oldest_events_and_counts_them() -> None:
    outbox, events = Outbox(3), [anomaly(start_s=float(number)) for number in range(10)]
    for event in events:
        outbox.put(event)
    assert (len(outbox), outbox.lost) == (3, 7)
    assert outbox.take() == events[7]
    outbox.give_up()
    assert (len(outbox), outbox.lost) == (0, 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prefix: plant//hall", "mqtt.prefix: it is no beginning of an MQTT topic"),
        ("discovery_prefix: home+", "mqtt.discovery_prefix: it is no beginning of an MQTT topic"),
        ("password_file: secret", "mqtt.password_file: a password needs a user"),
        ("ca_file: ca.crt", "mqtt.ca_file: certificates are for encrypted connections"),
    ],
)
def test_settings_that_cannot_work_are_refused(text: str, said: str) -> None:
    assert said in mistakes(f"mqtt:\n  {text}\n")


def test_a_file_that_cannot_be_read_is_said_before_anything_runs(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.touch()
    for settings, said in (
        (Mqtt(broker="localhost", tls=True, ca_file=missing), "missing: cannot be read: No such file or directory"),
        (Mqtt(broker="localhost", tls=True, ca_file=empty), "empty: holds no certificates"),
        (Mqtt(broker="localhost", user="me", password_file=missing), "missing: cannot be read"),
    ):
        with pytest.raises(ConfigError, match=said):
            MqttSink(settings, "hall")


def test_a_password_that_every_user_can_read_is_warned_of(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    password.chmod(0o644)
    with logged("monitor.integrations.mqtt_sink") as said:
        MqttSink(Mqtt(broker="localhost", port=1, user="me", password_file=password), "hall").close()
    assert any("every user can read it" in line for line in said)
    assert not any("secret" in line for line in said)
