"""Metrics say what is known in the form that Prometheus reads, and the files for other programs use only them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.config.plant import Metrics
from monitor.core.errors import EXIT_USAGE, ConfigError
from monitor.core.events import State
from monitor.integrations.metrics_collector import STATE_CODES, Deliveries
from monitor.integrations.metrics_sink import MetricsSink
from monitor.integrations.shipped_files import DESCRIPTIONS, content
from monitor.outputs.sink import Sink
from support.listening import wait_until
from support.logs import logged
from support.outputs import anomaly, score_rows
from support.ports import free_port
from support.prometheus_server import needs_prometheus, read
from support.snapshots import stream

HERE = Path(__file__).parent


class LossySink(Sink):
    """An output that has lost something, and does not work."""

    trouble = "disk full"
    dropped = 7


@pytest.fixture
def output(tmp_path: Path) -> Iterator[MetricsSink]:
    made = MetricsSink(
        Metrics(port=free_port()),
        outputs=lambda: {"events": LossySink(), "scores": Sink()},
        deliveries=lambda: Deliveries(waiting=3, given_up=1, oldest_s=30.0),
        folders={"store": tmp_path, "clips": tmp_path / "not there yet"},
    )
    yield made
    made.close()


def values(output: MetricsSink) -> dict[tuple[str, ...], float]:
    """The metrics: by name and label values, in the order of the labels' names."""
    text = read(f"http://127.0.0.1:{output.port}/metrics")
    return {
        (sample.name.removeprefix("acoustic_monitor_"), *(value for _, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_values_of_a_stream_are_metrics(output: MetricsSink) -> None:
    output.snapshot(stream("pump 1", State.WARNING, 0.75))
    output.scores(dataclasses.replace(score_rows(count=250), stream="pump 1"))
    found = values(output)
    assert found["share_of_limit_ratio", "pump 1"] == 0.75
    assert (found["score", "pump 1"], found["score_limit", "pump 1"]) == (82.5, 110.0)
    assert found["level_dbfs", "pump 1"] == -31.4
    assert found["state", "WARNING", "pump 1"] == 1
    assert found["state", "NORMAL", "pump 1"] == 0
    assert found["state_code", "pump 1"] == STATE_CODES[State.WARNING]
    assert found["scored_seconds_total", "pump 1"] == 2.5
    assert found["not_heard_seconds_total", "pump 1"] == 5.9
    assert found["processing_p99_seconds", "pump 1"] == 0.0349
    assert found["stream_info", "pump-3", "fused", "pump 1"] == 1


def test_the_clock_of_a_sender_in_the_network_is_a_metric_once_it_is_known(output: MetricsSink) -> None:
    output.snapshot(stream("press", clock_ppm=-204.6))
    output.snapshot(stream("lathe"))
    found = values(output)
    assert found["source_clock_ppm", "press"] == -204.6
    assert ("source_clock_ppm", "lathe") not in found


def test_what_is_not_known_is_left_out(output: MetricsSink) -> None:
    output.snapshot(stream("early", State.LISTENING, score=math.nan, error=math.nan, share_of_limit=math.nan))
    output.snapshot(stream("gone", State.LOST))
    output.snapshot(stream("silent", level_dbfs=-math.inf))
    found = values(output)
    assert all(math.isfinite(value) for value in found.values())
    for name in ("early", "gone"):
        assert {("score", name), ("error", name), ("share_of_limit_ratio", name)}.isdisjoint(found)
    assert ("level_dbfs", "gone") not in found
    assert ("level_dbfs", "silent") not in found
    assert found["score_limit", "gone"] == 110.0


def test_an_event_is_counted_once_for_all_its_reports(output: MetricsSink) -> None:
    output.snapshot(stream("pump"))
    lasting = anomaly(end_s=None, stream="pump")
    for one in (lasting, dataclasses.replace(lasting, reminders=1), dataclasses.replace(lasting, end_s=5.0)):
        output.event(one)
    output.event(anomaly(stream="pump"))  # its beginning was not reported
    found = values(output)
    assert found["events_total", "anomaly", "pump"] == 2
    assert found["events_total", "lost", "pump"] == 0, "there before the first one, so that it is an increase"


def test_outputs_deliveries_and_disks_are_metrics(output: MetricsSink) -> None:
    found = values(output)
    assert (found["output_dropped_total", "events"], found["output_failing", "events"]) == (7, 1)
    assert (found["output_dropped_total", "scores"], found["output_failing", "scores"]) == (0, 0)
    assert (found["deliveries_waiting",], found["deliveries_given_up",]) == (3, 1)
    assert 0 < found["disk_free_bytes", "store"] <= found["disk_size_bytes", "store"]
    assert ("disk_free_bytes", "clips") not in found


def test_names_of_recordings_are_no_labels(output: MetricsSink) -> None:
    for number in range(3):
        output.snapshot(stream("pump", source=f"recording-{number}.wav"))
    text = read(f"http://127.0.0.1:{output.port}/metrics")
    assert "recording-" not in text
    assert text.count("\nacoustic_monitor_score{") == 1


def test_a_stream_that_is_removed_is_no_longer_a_label(output: MetricsSink) -> None:
    for name in ("pump", "fan"):
        output.snapshot(stream(name))
    output.keep({"pump"})
    assert not any("fan" in key for key in values(output))


def test_a_part_that_fails_takes_no_other_metric_with_it() -> None:
    def broken() -> Deliveries:
        raise OSError("the store is locked")

    made = MetricsSink(Metrics(port=free_port()), deliveries=broken)
    made.snapshot(stream("pump"))
    assert values(made)["score", "pump"] == 55.0
    made.close()


def test_a_port_that_is_taken_is_said_and_tried_again_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.integrations.metrics_server.RETRY_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with logged("monitor.integrations.metrics_server") as said:
            made = MetricsSink(Metrics(port=port))
            assert f"127.0.0.1:{port}: Address already in use" in made.trouble
    wait_until(lambda: not made.trouble, "the port")
    assert "acoustic_monitor_build_info" in read(f"http://127.0.0.1:{port}/metrics")
    made.close()
    assert made.error is None
    assert len(said) == 1, "said once, not at each attempt"


def test_an_address_that_is_none_of_this_computer_is_one_sentence() -> None:
    for address in ("192.0.2.1", "no such host.invalid"):
        with pytest.raises(ConfigError, match=re.escape(address)) as said:
            MetricsSink(Metrics(port=free_port(), address=address))
        assert said.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("address", ["::1", "[::1]"])
def test_an_address_of_ipv6_is_listened_on(address: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    made = MetricsSink(Metrics(port=free_port(), address=address))
    assert "acoustic_monitor_build_info" in read(f"http://[::1]:{made.port}/metrics")
    made.close()


def test_other_paths_say_where_the_metrics_are(output: MetricsSink) -> None:
    with socket.create_connection(("127.0.0.1", output.port)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"The metrics are at /metrics" in connection.makefile("rb").read()


@needs_prometheus
def test_promtool_accepts_the_metrics_and_the_rules(output: MetricsSink, tmp_path: Path) -> None:
    output.snapshot(stream('a "quoted" name\\', State.ANOMALY))
    promtool("check", "metrics", given=read(f"http://127.0.0.1:{output.port}/metrics"))
    rules = tmp_path / "alerts.yml"
    rules.write_bytes(content("prometheus-alerts.yml"))
    promtool("check", "rules", str(rules))
    tests = tmp_path / "tests.yml"
    tests.write_text((HERE / "alert_rules.yml").read_text().replace("[RULES]", f"[{rules}]"))
    promtool("test", "rules", str(tests))
    (tmp_path / "prometheus-alerts.yml").write_bytes(rules.read_bytes())
    (tmp_path / "prometheus.yml").write_bytes(content("prometheus-scrape.yml"))
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def promtool(*arguments: str, given: str = "") -> None:
    done = subprocess.run(["promtool", *arguments], input=given, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["grafana-dashboard.json", "prometheus-alerts.yml"])
def test_every_metric_in_the_files_is_one_of_ours(name: str, output: MetricsSink) -> None:
    output.snapshot(stream("pump"))
    ours = {key[0] for key in values(output)}
    used = set(re.findall(r"\bacoustic_monitor_(\w+)", content(name).decode()))
    assert len(used) > 5
    assert used <= ours


def test_the_dashboard_asks_for_its_data_source_and_each_panel_has_a_place() -> None:
    board = json.loads(content("grafana-dashboard.json"))
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert list(variables) == ["datasource", "instance", "stream"]
    assert board["schemaVersion"] >= 39
    places = set()
    for panel in board["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        assert panel["description"]
        assert all(target["expr"] for target in panel["targets"])
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places, f"{panel['title']} lies above another panel"
        assert max(x for x, _ in cells) < 24
        places |= cells
    mapped = board["panels"][0]["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert {int(code): one["text"] for code, one in mapped.items()} == {code: one for one, code in STATE_CODES.items()}


def test_every_file_that_is_shipped_is_listed() -> None:
    folder = Path(__file__).parents[3] / "monitor/integrations/files"
    assert set(DESCRIPTIONS) == {path.name for path in folder.iterdir()}
