"""A real Prometheus reads the metrics, its rules fire, and no reader disturbs the monitor."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from monitor.config.plant import Metrics
from monitor.core.events import State
from monitor.integrations import metrics_server
from monitor.integrations.metrics_sink import MetricsSink
from monitor.integrations.shipped_files import content
from support.listening import wait_until
from support.ports import free_port
from support.prometheus_server import needs_prometheus, prometheus, read
from support.snapshots import stream


@pytest.mark.long
@needs_prometheus
def test_a_real_prometheus_has_the_values_and_its_alert_fires(tmp_path: Path) -> None:
    rules = tmp_path / "alerts.yml"
    rules.write_bytes(content("prometheus-alerts.yml"))
    output = MetricsSink(Metrics(port=free_port()))
    output.snapshot(stream("pump 1", State.ANOMALY, 1.25))
    output.snapshot(stream("fan", State.LOST))
    try:
        with prometheus(tmp_path, f"127.0.0.1:{output.port}", rules=rules) as server:
            wait_until(server.ready, "an answer of Prometheus")
            wait_until(lambda: server.query("acoustic_monitor_state"), "the first values")
            [(labels, share)] = server.query("acoustic_monitor_share_of_limit_ratio")  # nothing is heard of the fan
            assert (labels["stream"], labels["job"], share) == ("pump 1", "acoustic-monitor", 1.25)
            states = server.query("acoustic_monitor_state == 1")
            assert {(one["stream"], one["state"]) for one, _ in states} == {("pump 1", "ANOMALY"), ("fan", "LOST")}
            [(alert, _)] = _when_there(server.query, 'ALERTS{alertname="AcousticAnomaly"}')
            assert (alert["stream"], alert["alertstate"], alert["severity"]) == ("pump 1", "firing", "critical")
            assert all(rule["health"] == "ok" for rule in server.rules())
    finally:
        output.close()


def _when_there(query, expression: str):  # type: ignore[no-untyped-def]
    wait_until(lambda: query(expression), expression)
    return query(expression)


def test_readers_that_say_nothing_keep_nobody_else_from_reading(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(metrics_server._Handler, "timeout", 0.2)
    output = MetricsSink(Metrics(port=free_port()))
    output.snapshot(stream("pump"))
    silent = [socket.create_connection(("127.0.0.1", output.port)) for _ in range(50)]

    def answered() -> bool:
        try:
            return "acoustic_monitor_score" in read(f"http://127.0.0.1:{output.port}/metrics")
        except OSError:  # so many are open at present
            return False

    wait_until(answered, "an answer")
    output.close()
    for one in silent:
        one.close()
