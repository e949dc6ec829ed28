"""A version of a model that is promoted while `monitor live` runs: it hears every sample, and says what it uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.bundle.versions import ModelVersions, with_lineage
from monitor.cli.main import run
from monitor.core.errors import EXIT_OK
from monitor.service.status_client import ask
from monitor.store.database import Store
from monitor.store.location import DATABASE
from monitor.store.tables import audit, models
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import never_alarmed, wait_until
from support.live_program import Live, reload
from support.virtual_microphone import VirtualMicrophone, why_not

pytestmark = pytest.mark.long

MODEL = Path("press.safetensors")


def promoted(state: Path, model: Path, bundle: Bundle) -> str:
    """Puts a model in force in place of another, as `monitor improve` does; its id."""
    version = with_lineage(bundle, load_bundle(model), how="relearnt", by="test")
    file = ModelVersions(state / "models" / "press").promote(version, configured=model, by="test", how="relearnt")
    return load_bundle(file).model_id


@pytest.fixture(scope="module")
def microphone() -> Iterator[VirtualMicrophone]:
    """One that hears the machine for longer than all tests take."""
    if why_not():
        pytest.skip(why_not())
    with VirtualMicrophone(RATE) as virtual:
        virtual.play(write_sound(virtual.folder / "machine.wav", noise(60 * RATE), subtype="PCM_16"), times=60)
        yield virtual


def test_a_promoted_version_takes_over_without_a_gap_and_is_taken_back_again(
    microphone: VirtualMicrophone, tmp_path: Path
) -> None:
    config = small_config("alarm.warm_up_s=0", "alarm.block_s=0.1")
    first, second = (never_alarmed(small_bundle(config, seed=seed)) for seed in (0, 1))
    configured = save_bundle(first, tmp_path / MODEL).model_id
    live = Live(
        microphone, tmp_path, MODEL, "--device", "testmic", "--scores", "scores.csv", "--set=state.folder=state",
        "--set=normal.enabled=false",
    )  # fmt: skip
    try:
        live.wait_for_state("NORMAL", None)
        version = promoted(live.state, tmp_path / MODEL, second)
        [line] = reload(live.state).lines
        assert line.startswith("model press, ")
        assert ", version 2 of 20" in line
        assert line.endswith(", without a gap")
        wait_until(lambda: _status(live.state)["model_id"] == version, "the version in the status")
        mark = len(live.lines)
        live.wait_for_state("NORMAL", None, mark)
        ModelVersions(live.state / "models" / "press").undo(configured=tmp_path / MODEL, by="test")
        assert reload(live.state).code == EXIT_OK
        wait_until(lambda: _status(live.state)["model_id"] == configured, "the configured model in the status")
    finally:
        code = live.end()
    assert code == EXIT_OK
    [account] = (line for line in live.lines if line.get("kind") == "account")
    assert account["scored_samples"] + account["discarded_samples"] == account["captured_samples"]
    assert live.text.count("samples a second") == 1, "the device was opened once"
    times = np.genfromtxt(tmp_path / "scores.csv", delimiter=",", skip_header=1, usecols=1)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    breaks = [event["start_s"] for event in events if event["kind"] in ("gap", "lost", "no signal")]
    jumps = times[1:][np.abs(np.diff(times) - 0.01) > 1e-3]
    assert len(jumps) <= len(breaks), "only what a busy machine has not delivered is missing"
    with Store.open(f"sqlite:///{live.state / DATABASE}", create=False) as store, store.begin() as connection:
        stored = {row.id: row.name for row in connection.execute(models.select())}
    assert set(stored) == {configured, version}
    assert ", version 2 of 20" in stored[version]


def test_live_commissions_a_stream_with_its_own_settings_says_so_and_ends_it(
    microphone: VirtualMicrophone, tmp_path: Path
) -> None:
    """Learning would not find the stream without the settings that only the command line of `live` states."""
    save_bundle(never_alarmed(small_bundle()), tmp_path / MODEL)
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    live = Live(
        microphone, tmp_path, MODEL, "--device", "testmic", "--commission", "2s", "--state", "state",
        "--set=state.host=hall-7", f"--set=store.url={url}",
    )  # fmt: skip
    try:
        wait_until(lambda: (live.state / "status.sock").exists(), "the status")
        live.wait_for_message("press: commissioning: day 1 of 1: It could not learn: There is no normal sound of press")
        live.wait_for_message("press: The commissioning has ended: its 2 s are over.")
        wait_until(lambda: _notes(live.state) == [""], "the end of the remark")
        assert ModelVersions(live.state / "models" / "press").origin() == tmp_path / MODEL
    finally:
        code = live.end()
    assert code == EXIT_OK
    with Store.open(url, create=False) as store, store.begin() as connection:
        found = [row.facts["after"] for row in connection.execute(audit.select()) if row.what == "commissioning"]
    assert [text[:20] for text in found] == ["It could not learn: ", "The commissioning ha"]


def test_a_replay_with_a_state_folder_is_scored_with_the_version_in_force(tmp_path: Path) -> None:
    first, second = (never_alarmed(small_bundle(seed=seed)) for seed in (0, 1))
    save_bundle(first, MODEL)
    save_bundle(second, Path("second.safetensors"))
    sound = write_sound(Path("sound.wav"), noise(2 * RATE))
    state = tmp_path / "state"
    state.mkdir()
    promoted(state, MODEL, second)
    for arguments, file in (
        ((MODEL, "--state", state), "with.csv"), ((MODEL,), "without.csv"), (("second.safetensors",), "second.csv"),
    ):  # fmt: skip
        model, *rest = arguments
        assert (
            run(["replay", str(model), str(sound), *map(str, rest), "--speed=max", "--headless", "--scores", file]) == 0
        )
    with_state, without, of_second = (Path(f"{name}.csv").read_text() for name in ("with", "without", "second"))
    assert with_state == of_second
    assert with_state != without


def _notes(state: Path) -> list[object]:
    return [one["note"] for one in ask(state, {"command": "status"})["streams"]]


def _status(state: Path) -> dict[str, object]:
    [stream] = ask(state, {"command": "status"})["streams"]
    return dict(stream)
