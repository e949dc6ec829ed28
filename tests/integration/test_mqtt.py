"""Values and events reach a real MQTT broker, whatever happens to it, and never disturb the monitoring."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.config.plant import Mqtt
from monitor.core.events import State
from monitor.integrations.mqtt_sink import MqttSink
from support.broker import (
    Broker,
    Reader,
    broker,
    certificates,
    needs_mosquitto,
    password_file,
    reader,
    retained,
)
from support.builders import RATE, noise, small_bundle, write_sound
from support.listening import replay_plan, run_to_end, wait_until
from support.logs import logged
from support.outputs import anomaly
from support.ports import free_port
from support.snapshots import stream

pytestmark = needs_mosquitto
ROOT = "acoustic-monitor/hall"
LOGS = "monitor.integrations.mqtt_sink"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Broker]:
    with broker(tmp_path) as made:
        yield made


@pytest.fixture
def client(server: Broker) -> Iterator[Reader]:
    with reader(server.port) as made:
        yield made


def sink(port: int, streams: tuple[str, ...] = (), *, keep_alive_s: int = 60, **settings: Any) -> MqttSink:
    """A sink that often publishes; the broker of a busy machine would break connections with a short time to answer."""
    return MqttSink(
        Mqtt(broker="localhost", port=port, **{"every_s": 0.2, **settings}), "hall", streams, keep_alive_s=keep_alive_s
    )


def test_values_arrive_as_json_and_again_and_again(server: Broker, client: Reader) -> None:
    output = sink(server.port)
    output.snapshot(stream("pump 3"))
    first, second, *_ = client.wait(f"{ROOT}/pump 3/state", 2)
    output.close()
    assert first.json == {
        "time": first.json["time"], "state": "NORMAL", "problem": False, "share_of_limit": 0.5, "error": 0.310915,
        "score": 55.0, "limit": 110.0, "level_dbfs": -31.4, "not_heard_s": 5.9, "anomalies": 1, "model": "pump-3",
        "source": "microphone: USB Audio – Gerät (hw:1,0)",
    }  # fmt: skip
    assert second.json["time"] > first.json["time"]


def test_a_change_of_state_is_published_at_once(server: Broker, client: Reader) -> None:
    output = sink(server.port, every_s=3600)
    output.snapshot(stream("pump"))
    client.wait(f"{ROOT}/pump/state")
    output.snapshot(stream("pump", State.ANOMALY, 1.5))
    newest = client.wait(f"{ROOT}/pump/state", 2)[-1].json
    output.close()
    assert (newest["state"], newest["problem"], newest["share_of_limit"]) == ("ANOMALY", True, 1.5)


def test_every_report_of_an_event_arrives_once(server: Broker, client: Reader) -> None:
    output = sink(server.port)
    lasting = anomaly(end_s=None, stream="pump")
    for one in (lasting, dataclasses.replace(lasting, reminders=1), dataclasses.replace(lasting, end_s=9.0)):
        output.event(one)
    got = [one.json for one in client.wait(f"{ROOT}/pump/event", 3)]
    output.close()
    assert [one["event_type"] for one in got] == ["anomaly begin", "anomaly reminder", "anomaly end"]
    assert {one["id"] for one in got} == {lasting.id}
    assert got[-1]["duration_s"] == 7.5
    assert f"{ROOT}/pump/event" not in retained(server.port)
    assert output.error is None


def test_who_subscribes_later_learns_what_is_the_case(server: Broker) -> None:
    output = sink(server.port)
    output.snapshot(stream("pump"))
    output.snapshot(stream("fan", State.LOST))
    topics = {f"{ROOT}/{one}" for one in ("availability", "pump/availability", "fan/availability", "fan/state")}
    wait_until(lambda: topics <= retained(server.port).keys(), "the values")
    known = retained(server.port)
    assert known[f"{ROOT}/availability"] == known[f"{ROOT}/pump/availability"] == "online"
    assert known[f"{ROOT}/fan/availability"] == "offline"  # no sound comes in
    output.close()
    known = retained(server.port)
    assert known[f"{ROOT}/availability"] == known[f"{ROOT}/pump/availability"] == "offline"


def test_the_broker_says_that_a_monitor_is_offline_which_was_killed(server: Broker, client: Reader) -> None:
    code = (
        "import time; from monitor.config.plant import Mqtt; from monitor.integrations.mqtt_sink import MqttSink\n"
        f"MqttSink(Mqtt(broker='localhost', port={server.port}), 'hall'); time.sleep(600)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code])
    try:
        client.wait_for(f"{ROOT}/availability", "online")
    finally:
        killed.kill()
        killed.wait()
    client.wait_for(f"{ROOT}/availability", "offline")


def test_a_broker_that_is_absent_at_the_start_gets_everything_later(tmp_path: Path) -> None:
    server = Broker(tmp_path)
    with logged(LOGS) as said:
        output = sink(server.port)
        began = anomaly(end_s=None, stream="pump")
        for one in (began, dataclasses.replace(began, end_s=4.0)):
            output.event(one)
        for number in range(1000):
            output.snapshot(stream("pump", share=number / 1000))
        wait_until(lambda: output.trouble, "the trouble")
        assert f"localhost:{server.port}: cannot connect: Connection refused" in output.trouble
        server.start()
        try:
            wait_until(lambda: retained(server.port).get(f"{ROOT}/pump/state"), "the values")
            wait_until(lambda: not output.trouble, "the end of the trouble")
        finally:
            output.close()
            server.stop()
    assert output.error is None
    assert len([line for line in said if "refused" in line]) == 1, "each change is said once, not each attempt"
    assert any("works again" in line and "0 events missing" in line for line in said)


def test_events_of_the_time_without_a_broker_arrive_afterwards_in_order_and_once(tmp_path: Path) -> None:
    kept = ("allow_anonymous true", "persistence true", f"persistence_location {tmp_path}/")
    with broker(tmp_path, kept) as server, reader(server.port) as client:
        output = sink(server.port)
        client.wait_for(f"{ROOT}/availability", "online")
        server.stop()
        wait_until(lambda: output.trouble, "the loss of the broker")
        missed = [anomaly(start_s=float(number), stream="pump") for number in range(100)]
        for event in missed:
            output.event(event)
        server.start()
        got = client.wait(f"{ROOT}/pump/event", 100)
        output.close()
        assert [one.json["id"] for one in got] == [event.id for event in missed]
        assert output.error is None


def test_of_more_events_than_fit_into_memory_the_oldest_are_lost_and_counted(tmp_path: Path) -> None:
    server = Broker(tmp_path)
    output = sink(server.port)
    events = [anomaly(start_s=float(number), stream="pump") for number in range(10_000)]
    for event in events:
        output.event(event)
    assert output.dropped == 8000
    assert "8000 events missing" in str(output.error)
    output.close()
    assert output.dropped == 10_000


def test_scores_are_the_same_with_a_broker_that_is_absent(tmp_path: Path) -> None:
    model, sound = small_bundle(), write_sound(tmp_path / "pump.wav", noise(10 * RATE))
    output, scores = sink(free_port()), []
    for sinks in ([], [output]):
        plan, remembered = replay_plan(model, [sound], name="pump")
        run_to_end(dataclasses.replace(plan, sinks=[remembered, *sinks]))
        scores.append(remembered.score)
    np.testing.assert_array_equal(*scores)
    assert np.isfinite(scores[0][-1])
    assert "Connection refused" in str(output.error)


def test_a_refused_password_is_said_and_monitoring_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("allow_anonymous false", f"password_file {password_file(tmp_path, 'monitor', 'right')}")
    with broker(tmp_path, options) as server, reader(server.port, user="monitor", password="right") as client:
        monkeypatch.setenv("MONITOR_MQTT_PASSWORD", "wrong")
        output = sink(server.port, user="monitor")
        output.snapshot(stream("pump"))
        wait_until(lambda: output.trouble, "the refusal")
        assert "refuses the connection: Not authorized: check mqtt.user and the password" in output.trouble
        monkeypatch.setenv("MONITOR_MQTT_PASSWORD", "right")
        client.wait(f"{ROOT}/pump/state")
        output.close()


def test_a_connection_is_encrypted_and_the_certificate_is_checked(tmp_path: Path) -> None:
    ca_file, certificate, key = certificates(tmp_path)
    options = (
        "allow_anonymous false", f"password_file {password_file(tmp_path, 'monitor', 'secret')}",
        f"certfile {certificate}", f"keyfile {key}",
    )  # fmt: skip
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    how = {"tls": True, "user": "monitor", "password_file": tmp_path / "password"}
    with (
        broker(tmp_path, options) as server,
        reader(server.port, user="monitor", password="secret", ca_file=ca_file) as client,
    ):
        trusting = sink(server.port, **how, ca_file=ca_file)
        trusting.snapshot(stream("pump"))
        trusting.event(anomaly(stream="pump"))
        client.wait(f"{ROOT}/pump/state")
        client.wait(f"{ROOT}/pump/event")
        trusting.close()
        assert trusting.error is None
        distrusting = sink(server.port, **how)
        wait_until(lambda: distrusting.trouble, "the refusal")
        assert "certificate is not accepted" in distrusting.trouble
        assert "mqtt.ca_file" in distrusting.trouble
        distrusting.close()


def test_a_broker_that_no_longer_answers_is_noticed_and_events_arrive_afterwards(
    server: Broker, client: Reader
) -> None:
    output = sink(server.port, keep_alive_s=1, every_s=0.1)
    output.snapshot(stream("pump"))
    client.wait(f"{ROOT}/pump/state")
    server.freeze()
    event = anomaly(stream="pump")
    output.event(event)
    wait_until(lambda: output.trouble, "the loss of the broker")
    server.thaw()
    got = client.wait(f"{ROOT}/pump/event")
    output.close()
    assert {one.json["id"] for one in got} == {event.id}
    assert output.error is None


def test_closing_takes_a_limited_time_when_the_broker_does_not_answer(server: Broker, client: Reader) -> None:
    output = sink(server.port)
    client.wait_for(f"{ROOT}/availability", "online")
    server.freeze()
    output.event(anomaly(stream="pump"))
    output.close()
    server.thaw()
    assert output.dropped == 1
    assert "1 event missing" in str(output.error)


def test_home_assistant_learns_of_a_stream_again_when_it_has_restarted(server: Broker, client: Reader) -> None:
    output = sink(server.port, every_s=3600)
    output.snapshot(stream("pump"))

    def announced() -> int:
        return sum("/config" in one.topic for one in list(client.messages))

    wait_until(lambda: announced() == 7, "the discovery")
    client.wait(f"{ROOT}/pump/state", 1)
    client.publish("homeassistant/status", "online")
    wait_until(lambda: announced() == 14, "the discovery again")
    client.wait(f"{ROOT}/pump/state", 2)
    output.close()


def test_a_stream_that_is_removed_leaves_nothing_at_the_broker(server: Broker) -> None:
    output = sink(server.port)
    for name in ("pump", "fan"):
        output.snapshot(stream(name))
    wait_until(lambda: f"{ROOT}/fan/state" in retained(server.port), "the values")
    output.keep({"pump"})
    wait_until(lambda: f"{ROOT}/fan/state" not in retained(server.port), "the removal")
    wait_until(lambda: not any("fan" in topic for topic in retained(server.port)), "the removal of all")
    output.close()
    assert sum("/config" in topic for topic in retained(server.port)) == 7


def test_what_an_earlier_run_has_left_of_other_streams_is_removed(server: Broker) -> None:
    earlier = sink(server.port, ("pump", "fan"))
    for name in ("pump", "fan"):
        earlier.snapshot(stream(name))
    wait_until(lambda: f"{ROOT}/fan/state" in retained(server.port), "the values")
    earlier.close()
    output = sink(server.port, ("pump",))
    wait_until(lambda: not any("fan" in topic for topic in retained(server.port)), "the removal")
    output.close()
    assert f"{ROOT}/pump/state" in retained(server.port)


def test_a_monitor_that_runs_is_online_although_an_earlier_run_says_offline_late(
    server: Broker, client: Reader
) -> None:
    earlier = sink(server.port)
    earlier.snapshot(stream("pump"))
    client.wait_for(f"{ROOT}/pump/availability", "online")
    output = sink(server.port)
    output.snapshot(stream("pump"))
    client.wait(f"{ROOT}/availability", 2)
    earlier.close()
    for topic in (f"{ROOT}/availability", f"{ROOT}/pump/availability"):
        client.wait_for(topic, "online")
    wait_until(lambda: retained(server.port)[f"{ROOT}/availability"] == "online", "what is true")
    output.close()
    assert retained(server.port)[f"{ROOT}/availability"] == "offline"
