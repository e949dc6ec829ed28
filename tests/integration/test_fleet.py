"""Two real monitors on one PostgreSQL: signs of life, and models that are handed out while they listen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.bundle.versions import ModelVersions
from monitor.cli.main import run
from monitor.core.errors import EXIT_FAILURE, EXIT_OK
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import never_alarmed, wait_until
from support.live_program import Live
from support.postgres import PostgresServer
from support.virtual_microphone import VirtualMicrophone, why_not

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a microphone")]


PROMPT = ("alarm.warm_up_s=0", "alarm.block_s=0.1")


@pytest.fixture(scope="module")
def microphone() -> Iterator[VirtualMicrophone]:
    """One that hears the machine for longer than all tests take."""
    with VirtualMicrophone(RATE) as virtual:
        virtual.play(write_sound(virtual.folder / "machine.wav", noise(60 * RATE), subtype="PCM_16"), times=60)
        yield virtual


@pytest.fixture
def url(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new store, which commands of this test use, too."""
    found = postgres.new_database()
    monkeypatch.setenv("MONITOR_STORE_URL", found)
    return found


def hall(microphone: VirtualMicrophone, folder: Path, host: str, url: str, *settings: str) -> Live:
    """`monitor live` of a host with a stream `press` in a folder of its own."""
    folder.mkdir()
    save_bundle(never_alarmed(small_bundle(small_config(*PROMPT))), folder / "press.safetensors")
    return Live(
        microphone, folder, "press.safetensors", "--device", "testmic", "--scores", "scores.csv",
        "--set=state.folder=state", f"--set=state.host={host}", f"--set=store.url={url}", "--set=fleet.every_s=1",
        "--set=normal.enabled=false", *(f"--set={one}" for one in settings),
    )  # fmt: skip


def answer(capsys: pytest.CaptureFixture[str], *command: str, code: int = EXIT_OK) -> dict[str, Any]:
    """What a command says with --json."""
    capsys.readouterr()
    found = run([*command, "--json"])
    said = capsys.readouterr()
    assert found == code, said.err
    return dict(json.loads(said.out))


def test_a_model_is_taken_without_a_gap_by_the_streams_that_it_is_handed_out_to_and_a_killed_host_is_silent(
    microphone: VirtualMicrophone, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = tmp_path / "second.safetensors"
    handed_out = save_bundle(never_alarmed(small_bundle(small_config(*PROMPT), seed=1)), second).model_id
    halls = [hall(microphone, tmp_path / name, name, url) for name in ("hall-a", "hall-b")]
    try:
        for one in halls:
            one.wait_for_state("NORMAL", None)

        def model_ids() -> dict[str, str]:
            return {one["host"]: one["model_id"] for one in answer(capsys, "fleet", "status")["streams"]}

        wait_until(lambda: len(model_ids()) == 2, "signs of life of both")
        before = model_ids()
        assert run(["model", "push", str(second), "--to", "hall-a/press"]) == EXIT_OK
        wait_until(lambda: model_ids()["hall-a"] == handed_out, "the model in force")
        mark = len(halls[0].lines)
        halls[0].wait_for_state("NORMAL", None, mark)
        assert model_ids()["hall-b"] == before["hall-b"]
        [order] = answer(capsys, "model", "list")["orders"]
        assert (order["state"], order["host"]) == ("taken", "hall-a")
        [version] = ModelVersions(halls[0].state / "models" / "press").history()
        assert (version.model_id, version.how) == (handed_out, "handed out by monitor model push")
        memory = Path(f"/proc/{halls[0].process.pid}/maps").read_text()
        assert "torch" not in memory, "a model is taken without PyTorch"
        halls[1].process.kill()
        halls[1].process.wait()
        found: dict[str, str] = {}

        def silent() -> bool:
            capsys.readouterr()
            code = run(["fleet", "status", "--json"])
            found.update({one["host"]: one["state"] for one in json.loads(capsys.readouterr().out)["hosts"]})
            return code == EXIT_FAILURE

        wait_until(silent, "silence")
        assert found == {"hall-a": "alive", "hall-b": "silent"}
    finally:
        code = halls[0].end()
        halls[1].process.kill()
        halls[1].process.wait()
    assert code == EXIT_OK
    assert {one["host"]: one["state"] for one in answer(capsys, "fleet", "status", code=EXIT_FAILURE)["hosts"]} == {
        "hall-a": "stopped", "hall-b": "silent",
    }  # fmt: skip
    [account] = (line for line in halls[0].lines if line.get("kind") == "account")
    assert account["scored_samples"] + account["discarded_samples"] == account["captured_samples"]
    assert halls[0].text.count("samples a second") == 1, "the device was opened once"
    times = np.genfromtxt(tmp_path / "hall-a" / "scores.csv", delimiter=",", skip_header=1, usecols=1)
    events = [json.loads(line) for line in (tmp_path / "hall-a" / "events.jsonl").read_text().splitlines()]
    breaks = [event for event in events if event["kind"] in ("gap", "lost", "no signal")]
    jumps = times[1:][np.abs(np.diff(times) - 0.01) > 1e-3]
    assert len(jumps) <= len(breaks), "only what a busy machine has not delivered is missing"
    out = tmp_path / "back.safetensors"
    assert run(["model", "pull", "hall-a/press", "--out", str(out)]) == EXIT_OK
    assert out.read_bytes() == second.read_bytes()
    assert load_bundle(out).model_id == handed_out
