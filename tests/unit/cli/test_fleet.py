"""`monitor fleet` and `monitor model`: what they print, refuse and write, without a monitor that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.cli.main import run
from monitor.core.errors import EXIT_BUNDLE, EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from monitor.store import fleet, fleet_models, rows
from monitor.store.database import Store
from monitor.store.tables import model_files, model_orders
from support.builders import small_bundle

MODEL = Path("press.safetensors")
STREAMS = (("hall-a", "press"), ("hall-a", "press 2"), ("hall-b", "press"), ("hall-c", "fan"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with two hosts that are alive, one that takes no models, and one that is silent since an hour."""
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    monkeypatch.setenv("MONITOR_STORE_URL", url)
    save_bundle(small_bundle(), MODEL)
    with Store.open(url) as made:
        with made.begin() as connection:
            now = fleet.database_time(connection)
            for host, age_s, version, offset_s, takes in (
                ("hall-a", 1.0, "2.10.0", 0.004, True), ("hall-b", 1.0, "2.9.1", -3.2, False),
                ("hall-c", 3600.0, "2.10.0", None, True),
            ):  # fmt: skip
                states = {name: "LOST" if name == "press 2" else "NORMAL" for one, name in STREAMS if one == host}
                facts = {"every_s": 30, "streams": states, "take_models": takes}
                values = {
                    "version": version, "started": now - 9e4, "last_seen": now - age_s, "facts": facts, "spooled": 0,
                    "clock_offset_s": offset_s, "clock_error_s": offset_s and 0.001,
                }  # fmt: skip
                fleet.write_sign(connection, host, values)
            for host, name in STREAMS:
                rows.write_stream(connection, rows.stream_id(connection, host, name, now), "0123456789ab", "by hand")
            rows.write_model(connection, "0123456789ab", "press, version 3 of 2026-11-27", {}, {})
        yield made


def said(capsys: pytest.CaptureFixture[str], *command: str, code: int = EXIT_OK) -> str:
    """What a command prints; on standard error if it fails."""
    capsys.readouterr()
    found = run(list(command))
    captured = capsys.readouterr()
    assert found == code, captured.err
    return captured.out if code in (EXIT_OK, EXIT_FAILURE) and captured.out else captured.err


def facts(capsys: pytest.CaptureFixture[str], *command: str, code: int = EXIT_OK) -> Any:
    return json.loads(said(capsys, *command, "--json", code=code))


def test_the_status_shows_who_is_silent_which_clock_is_wrong_and_which_version_is_older(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "fleet", "status", code=EXIT_FAILURE)
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert "alive" in lines["hall-a"]
    assert "1 stream, 1 lost" in lines["hall-a"]
    assert "2.9.1 !" in lines["hall-b"]
    assert "-3.200 s !" in lines["hall-b"]
    assert "silent" in lines["hall-c"]
    assert "press, version 3 of 2026-11-27" in lines["hall-b/press"]
    assert "No sign of life: hall-c." in text
    assert "The clock is wrong: hall-b." in text
    assert "An older version than elsewhere: hall-b." in text


def test_the_status_as_json_has_the_facts_of_hosts_and_streams(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    found = facts(capsys, "fleet", "status", code=EXIT_FAILURE)
    assert [(one["host"], one["state"], one["lost"]) for one in found["hosts"]] == [
        ("hall-a", "alive", 1), ("hall-b", "alive", 0), ("hall-c", "silent", 0),
    ]  # fmt: skip
    assert {(one["host"], one["stream"]): one["state"] for one in found["streams"]} == {
        ("hall-a", "press"): "NORMAL", ("hall-a", "press 2"): "LOST", ("hall-b", "press"): "NORMAL",
        ("hall-c", "fan"): "silent",
    }  # fmt: skip
    found = facts(capsys, "fleet", "status", "hall-b/*")
    assert [one["host"] for one in found["hosts"]] == ["hall-b"], "only what is named counts for the exit code"
    [only] = found["streams"]
    assert (only["host"], only["model_id"]) == ("hall-b", "0123456789ab")


def test_names_with_brackets_are_shown_as_they_are(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.begin() as connection:
        now = fleet.database_time(connection)
        values = {"version": "[/]", "started": now, "last_seen": now, "facts": {"streams": {"[/b]": "NORMAL"}}}
        fleet.write_sign(connection, "[red]hall[/]", {**values, "spooled": 0})
        rows.stream_id(connection, "[red]hall[/]", "[/b]", now)
    assert "[red]hall[/]/[/b]  NORMAL" in said(capsys, "fleet", "status", code=EXIT_FAILURE)
    said(capsys, "model", "push", str(MODEL), "--to", "[red]hall[/]/[/b]")
    assert "[red]hall[/]/[/b]" in said(capsys, "model", "list")


def test_the_status_of_one_computer_or_of_some_streams(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for patterns, hosts, names in (
        (["hall-a"], ["hall-a"], ["press", "press 2"]),
        (["HALL-B", "press 2"], ["hall-a", "hall-b"], ["press 2", "press"]),
        (["press"], ["hall-a", "hall-b"], ["press", "press"]),
    ):
        found = facts(capsys, "fleet", "status", *patterns)
        assert [one["host"] for one in found["hosts"]] == hosts
        assert [one["stream"] for one in found["streams"]] == names
    assert "no stream 'hall-x'" in said(capsys, "fleet", "status", "hall-x", code=EXIT_USAGE)


def test_with_the_silent_host_forgotten_all_is_well(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there are: hall-a, hall-b, hall-c." in said(capsys, "fleet", "forget", "hall-x", code=EXIT_USAGE)
    assert said(capsys, "fleet", "forget", "hall-c") == "hall-c: forgotten.\n"
    assert "2 hosts, none silent" in said(capsys, "fleet", "status")


def test_a_model_is_handed_out_to_the_streams_that_are_named_and_no_others(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "model", "push", str(MODEL), "--to", "hall-a/press")
    assert text.splitlines()[0] == "hall-a/press: waiting"
    assert text.endswith("is handed out to 1 stream.\n")
    assert [(one.host, one.stream) for one in fleet_models.orders(store)] == [("hall-a", "press")]
    assert "There is no stream 'pres'" in said(capsys, "model", "push", str(MODEL), "--to", "pres", code=EXIT_USAGE)


def test_several_streams_are_named_and_need_a_yes(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "model", "push", str(MODEL), "--to", "*/press*", code=EXIT_USAGE)
    assert "3 streams are meant: hall-a/press, hall-a/press 2, hall-b/press: add --yes" in text
    assert fleet_models.orders(store) == []
    said(capsys, "model", "push", str(MODEL), "--to", "*/press*", "--to", "fan", "--yes")
    with store.reading() as connection:
        assert len(connection.execute(model_files.select()).all()) == 1, "the content is kept once"
    orders = {f"{one['host']}/{one['stream']}": one["state"] for one in facts(capsys, "model", "list")["orders"]}
    assert orders == {
        "hall-a/press": "waiting",
        "hall-a/press 2": "waiting",
        "hall-b/press": "waiting: hall-b takes no models (fleet.take_models)",
        "hall-c/fan": "waiting: hall-c is silent",
    }
    assert "hall-b takes no models" in said(capsys, "model", "list")


def test_a_damaged_model_is_not_handed_out(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    content = MODEL.read_bytes()
    MODEL.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    text = said(capsys, "model", "push", str(MODEL), "--to", "hall-a/press", code=EXIT_BUNDLE)
    assert "press.safetensors: has been altered" in text
    assert fleet_models.files(store) == []


def test_a_model_is_pulled_as_it_was_pushed_or_not_at_all(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "model", "push", str(MODEL), "--to", "hall-a/press")
    [file] = fleet_models.files(store)
    out = Path("back.safetensors")
    said(capsys, "model", "pull", file.sha256[:8], "--out", str(out))
    assert out.read_bytes() == MODEL.read_bytes()
    said(capsys, "model", "pull", file.model_id, "--out", str(out))
    out.unlink()
    with store.begin() as connection:
        connection.execute(model_files.update().values(content=b"something else"))
    text = said(capsys, "model", "pull", file.sha256, "--out", str(out), code=EXIT_FAILURE)
    assert "is damaged" in text
    assert list(Path().glob("*back*")) == []
    assert "there is no model cafe" in said(capsys, "model", "pull", "cafe", "--out", str(out), code=EXIT_FAILURE)


def test_models_that_nobody_needs_are_shown_and_then_deleted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "model", "push", str(MODEL), "--to", "hall-a/press")
    assert "0 models deleted" in said(capsys, "model", "clean")
    with store.begin() as connection:
        connection.execute(model_files.update().values(added=0.0))
        connection.execute(model_orders.update().values(time=0.0))
    save_bundle(small_bundle(seed=7), MODEL)
    said(capsys, "model", "push", str(MODEL), "--to", "hall-a/press")
    words = ("model", "clean", "--set", "fleet.keep_models=1")
    assert "1 model would be deleted" in said(capsys, *words, "--dry-run")
    assert len(fleet_models.files(store)) == 2
    [deleted] = facts(capsys, *words)["deleted"]
    assert deleted["sha256"] not in [one.sha256 for one in fleet_models.files(store)]
    assert len(fleet_models.files(store)) == 1


def test_of_hundreds_of_streams_a_wrong_name_lists_a_few_the_most_similar_first(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.begin() as connection:
        for number in range(300):
            rows.stream_id(connection, "hall-z", f"fan {number}", 0.0)
    text = said(capsys, "model", "pull", "hall-c/fna", "--out", "x.safetensors", code=EXIT_USAGE)
    assert "; there are: hall-c/fan, " in text
    assert text.strip().endswith(" and 284 more.")


def test_the_model_of_a_stream_that_was_never_handed_out_is_said_to_be_elsewhere(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "model", "pull", "hall-b/press", "--out", "x.safetensors", code=EXIT_FAILURE)
    assert "its model 0123456789ab was not handed out, so its file is on hall-b only" in text
    said(capsys, "model", "push", str(MODEL), "--to", "hall-b/press")
    [file] = fleet_models.files(store)
    with store.begin() as connection:  # as the monitor does when it has taken it
        rows.write_stream(connection, rows.stream_id(connection, "hall-b", "press", 0.0), file.model_id, "by hand")
    [found] = facts(capsys, "fleet", "status", "hall-b/press")["streams"]
    assert found["model"] == "press, handed out"
    said(capsys, "model", "pull", "hall-b/press", "--out", "x.safetensors")
    assert Path("x.safetensors").read_bytes() == MODEL.read_bytes()


def test_the_content_is_kept_in_the_object_store_beside_the_clips(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nas").mkdir()
    Path("config.yaml").write_text(f"clips:\n  url: {tmp_path / 'nas' / 'clips'}\n")
    said(capsys, "model", "push", str(MODEL), "--to", "hall-a/press")
    [file] = fleet_models.files(store)
    assert fleet_models.content_of(store, file.sha256) is None
    assert (tmp_path / "nas" / "models" / f"{file.sha256}.safetensors").read_bytes() == MODEL.read_bytes()
    said(capsys, "model", "pull", file.sha256, "--out", "back.safetensors")
    assert Path("back.safetensors").read_bytes() == MODEL.read_bytes()


def test_a_command_for_a_stream_of_another_computer_says_where_to_run_it(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "backtest", "hall-b/press", "--set", "alarm.k=3", code=EXIT_USAGE)
    assert "hall-b/press: is listened to on hall-b, not on this computer" in text
