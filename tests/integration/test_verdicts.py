"""A verdict given at the command line or by MQTT is kept, answered, shown, and can be taken back, while live writes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from monitor.cli.main import cli, run
from monitor.config.plant import Mqtt
from monitor.integrations.mqtt_sink import MqttSink
from monitor.store import queries, tables, verdicts
from monitor.store.database import Store
from monitor.store.records import StoredEvent
from monitor.store.writer import StoreWriter
from support.broker import Broker, Reader, broker, needs_mosquitto, reader
from support.listening import wait_until
from support.outputs import anomaly
from support.stored import fill, stored_event

ROOT = "acoustic-monitor/hall-3"
FIRST, SECOND = stored_event(1), stored_event(2, id="019ac4f0-0102-7000-8000-0123456789ab")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with two anomalies."""
    with Store.open(f"sqlite:///{tmp_path / 'monitor.sqlite'}") as store:
        fill(store, {}, [FIRST, SECOND])
    return tmp_path


def said(state: Path, event: StoredEvent = FIRST) -> list[tuple[str, str, str]]:
    with Store.open(f"sqlite:///{state / 'monitor.sqlite'}", create=False) as store:
        return [(one.verdict, one.by, one.comment) for one in verdicts.verdicts_of(store, event.id)]


def output_of(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=True)
    assert result.exit_code == code, result.output
    return result.output


def test_a_word_and_the_beginning_of_an_id_are_enough_for_a_verdict(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "anna")
    text = output_of("verdict", FIRST.id[:13], "fault", "--comment", "bearing", "--state", state)
    assert text == "1 event judged: real fault.\n"
    assert said(state) == [("real fault", "anna", "bearing")]
    assert "real fault, by anna: bearing" in output_of("verdict", FIRST.id[:13], "--state", state)
    [event] = [
        json.loads(line)
        for line in output_of("events", "--json", "--verdict", "real fault", "--state", state).splitlines()
    ]
    assert (event["id"], event["verdict"], event["verdict_by"]) == (FIRST.id, "real fault", "anna")
    assert event["verdict_time"].endswith("Z")


def test_several_events_get_a_verdict_at_once_and_it_can_be_withdrawn(state: Path) -> None:
    ids = (FIRST.id[:13], SECOND.id[:13])
    assert "2 events judged: new but normal." in output_of("verdict", *ids, "new", "but", "normal", "--state", state)
    assert output_of("events", "--without-verdict", "--state", state) == "There is no such event in the store.\n"
    assert "1 event without a verdict again." in output_of("verdict", ids[1], "--withdraw", "--state", state)
    assert SECOND.id in output_of("events", "--without-verdict", "--json", "--state", state)
    assert "withdrawn" in output_of("events", SECOND.id[:13], "--state", state)


def test_of_several_events_none_is_judged_if_one_is_not_there(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verdict", FIRST.id[:13], "019ac4f0-9999", "fault", "--state", str(state)]) == 1
    assert "there is no event 019ac4f0-9999" in capsys.readouterr().err
    assert said(state) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hum"], "'hum' is no verdict: give one of real fault, new but normal"),
        (["fault", "--withdraw"], "--withdraw takes no verdict"),
        (["--comment", "x"], "--comment belongs to a verdict"),
        (["fault", "--comment", "x" * 2001], "--comment has 2001 characters: at most 2000 are kept"),
    ],
)
def test_a_wrong_verdict_is_a_sentence_and_changes_nothing(
    state: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verdict", FIRST.id[:13], *arguments, "--state", str(state)]) == 2
    assert message in capsys.readouterr().err
    assert said(state) == []


def test_a_verdict_is_given_while_live_writes(state: Path) -> None:
    writer = StoreWriter(f"sqlite:///{state / 'monitor.sqlite'}", "hall-3")
    for _ in range(3):
        writer.event(anomaly(stream="pump"))
        output_of("verdict", FIRST.id[:13], "fault", "--state", state)
        output_of("verdict", FIRST.id[:13], "sensor", "--state", state)
    writer.close()
    assert writer.error is None
    assert [verdict for verdict, _, _ in said(state)] == ["real fault", "sensor"] * 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Broker]:
    with broker(tmp_path) as made:
        yield made


@pytest.fixture
def client(server: Broker) -> Iterator[Reader]:
    with reader(server.port) as made:
        yield made


def sink(server: Broker, state: Path, *, commands: bool = True) -> MqttSink:
    """A sink that is connected and has subscribed."""
    settings = Mqtt(broker="localhost", port=server.port, commands=commands)
    return MqttSink(settings, "hall-3", store_url=f"sqlite:///{state / 'monitor.sqlite'}", keep_alive_s=1)


def ask(client: Reader, count: int, **request: str) -> dict[str, object]:
    """The answer to a request, which is the answer with this number."""
    client.wait_for(f"{ROOT}/availability", "online")
    client.publish(f"{ROOT}/verdict", json.dumps(request))
    answer: dict[str, object] = client.wait(f"{ROOT}/verdict/result", count)[-1].json
    return answer


@needs_mosquitto
def test_a_verdict_by_mqtt_is_kept_answered_and_published_with_the_event(
    server: Broker, client: Reader, state: Path
) -> None:
    output = sink(server, state)
    answer = ask(client, 1, event=FIRST.id[:13], verdict="fault", by="anna", comment="bearing", request="7")
    assert answer == {
        "event": FIRST.id, "verdict": "real fault", "by": "anna", "comment": "bearing", "request": "7", "done": True,
        "error": None,
    }  # fmt: skip
    published = client.wait(f"{ROOT}/pump/event")[0].json
    assert (published["event_type"], published["id"], published["verdict"], published["by"]) == (
        "anomaly verdict", FIRST.id, "real fault", "anna",
    )  # fmt: skip
    output.close()
    assert said(state) == [("real fault", "anna", "bearing")]
    with Store.open(f"sqlite:///{state / 'monitor.sqlite'}", create=False) as store, store.reading() as connection:
        trail = connection.execute(sa.select(tables.audit).where(tables.audit.c.what == "verdict")).mappings().one()
        assert queries.event(store, FIRST.id).acknowledged_by == "anna"
    assert (trail["by"], trail["subject"], trail["facts"]["after"]["model_id"]) == ("anna", FIRST.id, FIRST.model_id)


@needs_mosquitto
def test_what_is_no_request_gets_an_answer_and_harms_nothing(server: Broker, client: Reader, state: Path) -> None:
    output = sink(server, state)
    assert "there is no event 77" in str(ask(client, 1, event="77", verdict="fault")["error"])
    assert "is no verdict" in str(ask(client, 2, event=FIRST.id, verdict="hum")["error"])
    assert "a request has no kind" in str(ask(client, 3, event=FIRST.id, verdict="fault", kind="x")["error"])
    for count, payload in enumerate(("no JSON", "[]", "[" * 9000, '{"event": 1, "verdict": "fault"}'), 4):
        client.publish(f"{ROOT}/verdict", payload)
        answer = client.wait(f"{ROOT}/verdict/result", count)[-1].json
        assert (answer["done"], bool(answer["error"])) == (False, True)
    assert ask(client, 8, event=FIRST.id, verdict="sensor")["done"]
    output.close()
    assert said(state) == [("sensor", "mqtt", "")]
    assert output.error is None


@needs_mosquitto
def test_without_mqtt_commands_nobody_judges_by_mqtt_but_verdicts_are_published(
    server: Broker, client: Reader, state: Path
) -> None:
    output = sink(server, state, commands=False)
    client.wait_for(f"{ROOT}/availability", "online")
    client.publish(f"{ROOT}/verdict", json.dumps({"event": FIRST.id, "verdict": "fault"}))
    numbers = itertools.count()

    def published() -> bool:  # one is given again and again, until the sink has begun to look
        output_of("verdict", SECOND.id[:13], ("fault", "sensor")[next(numbers) % 2], "--state", state)
        return bool(client.of(f"{ROOT}/pump/event"))

    wait_until(published, "a verdict that is published")
    assert client.of(f"{ROOT}/pump/event")[0].json["id"] == SECOND.id
    output.close()
    assert said(state) == []
    assert client.of(f"{ROOT}/verdict/result") == []
