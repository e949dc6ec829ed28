"""Settings that change while `monitor live` runs, in a process of its own, on a virtual microphone.

Nothing here may depend on how busy the machine is: what is waited for has ten minutes, and where a busy machine may
interrupt the sound by itself, only what the test has done is looked at.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.core.errors import EXIT_OK, EXIT_SOURCE_LOST, EXIT_USAGE
from monitor.store.database import Store
from monitor.store.location import DATABASE
from monitor.store.tables import audit
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import never_alarmed, wait_until
from support.live_program import Live, Reloaded, reload
from support.virtual_microphone import VirtualMicrophone, why_not

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone"),
]
PRESS = "name: press, bundle: model.safetensors, device: testmic, channel: 0"
FAN = "name: fan, bundle: model.safetensors, device: testmic, channel: 1"
SAW = "name: saw, bundle: other.safetensors, device: testmic, channel: 0"


def hall(*streams: str) -> str:
    """Settings of these streams."""
    return "state: {folder: state}\nclips: {enabled: false}\nstreams:\n" + "".join(f"- {{{one}}}\n" for one in streams)


def audit_trail(state: Path) -> list[Any]:
    """What was changed, by the store in a state folder."""
    store = Store.open(f"sqlite:///{state / DATABASE}", create=False)
    with store.begin() as connection:
        found = list(connection.execute(audit.select().order_by(audit.c.time)))
    store.close()
    return found


@pytest.fixture(scope="module")
def microphone() -> Iterator[VirtualMicrophone]:
    """One that hears the machine for longer than all tests take."""
    with VirtualMicrophone(RATE) as virtual:
        virtual.play(write_sound(virtual.folder / "machine.wav", noise(60 * RATE), subtype="PCM_16"), times=60)
        yield virtual


@pytest.fixture
def live(microphone: VirtualMicrophone, tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Starts `monitor live` with settings of these streams, or with a model."""
    config = small_config("alarm.warm_up_s=0", "alarm.block_s=0.1")
    for seed, name in enumerate(("model", "other")):
        save_bundle(never_alarmed(small_bundle(config, seed=seed)), tmp_path / f"{name}.safetensors")
    started: list[Live] = []

    def start(*streams: str, arguments: tuple[object, ...] = ("--config", "hall.yaml")) -> Live:
        (tmp_path / "hall.yaml").write_text(hall(*streams))
        started.append(Live(microphone, tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_streams_are_changed_added_and_removed_and_the_others_hear_everything(live: Callable[..., Live]) -> None:
    running = live(PRESS, FAN)
    for name in ("press", "fan"):
        running.wait_for_state("NORMAL", name)
    (running.folder / "hall.yaml").write_text(hall(PRESS, SAW))
    assert reload(running.state) == Reloaded(EXIT_OK, ["saw: added", "fan: removed"], "")
    mark = len(running.lines)
    running.wait_for_state("NORMAL", "saw", mark)
    (running.folder / "hall.yaml").write_text(hall(PRESS + ", alarm: {threshold: 1e-9}", SAW))
    assert reload(running.state).lines == ["press: alarm.threshold 1e-09 (was null)"]
    running.wait_for_state("ANOMALY", "press", mark)
    assert running.end() == EXIT_OK
    assert running.text.count("samples a second") == 1, "the device was opened once for all of them"
    press, saw = (line for line in running.lines if line.get("kind") == "account")
    assert (press["stream"], saw["stream"]) == ("press", "saw")
    for one in (press, saw):
        assert one["scored_samples"] + one["discarded_samples"] == one["captured_samples"]
    assert saw["captured_samples"] < press["captured_samples"]
    assert "fan: listened for" in running.text, "the account of the removed stream"
    events = [json.loads(line) for line in (running.folder / "events.jsonl").read_text().splitlines()]
    assert {event["stream"] for event in events if event["kind"] == "anomaly"} == {"press"}
    assert not [event for event in events if event["kind"] == "lost"]
    assert [row.facts["after"] for row in audit_trail(running.state)] == [
        ["saw: added", "fan: removed"],
        ["press: alarm.threshold 1e-09 (was null)"],
    ]


def test_a_hang_up_reads_the_settings_again_and_a_bad_file_leaves_the_old_ones_in_force(
    live: Callable[..., Live],
) -> None:
    running = live(PRESS)
    running.wait_for_state("NORMAL", None)
    (running.folder / "hall.yaml").write_text(hall(PRESS + ", alarm: {threshold: 1e-9, treshold: 1}"))
    running.process.send_signal(signal.SIGHUP)
    running.wait_for_message("those in force stay")
    assert "treshold" in running.text
    mark = len(running.lines)
    running.wait_for_state("NORMAL", None, mark)
    refused = reload(running.state)
    assert refused.code == EXIT_USAGE
    assert "hall.yaml" in refused.errors
    assert "treshold" in refused.errors
    (running.folder / "hall.yaml").write_text(hall(PRESS + ", alarm: {threshold: 1e-9}"))
    running.process.send_signal(signal.SIGHUP)
    running.wait_for_message("alarm.threshold 1e-09 (was null)")
    running.wait_for_state("ANOMALY", None)
    assert running.end() == EXIT_OK


def test_a_microphone_that_is_not_there_refuses_the_reload(live: Callable[..., Live]) -> None:
    running = live(PRESS)
    running.wait_for_state("NORMAL", None)
    (running.folder / "hall.yaml").write_text(hall(PRESS, FAN.replace("testmic", "Blue Yeti")))
    refused = reload(running.state)
    assert refused.code == EXIT_USAGE
    assert "There is no microphone called 'Blue Yeti'." in refused.errors
    assert running.end() == EXIT_OK
    assert [line["kind"] for line in running.lines if line.get("kind") == "account"] == ["account"]


def test_a_single_model_takes_other_alarm_settings_from_config_yaml(live: Callable[..., Live]) -> None:
    running = live(
        PRESS,
        arguments=("model.safetensors", "--device", "testmic", "--set=state.folder=state", "--set=clips.enabled=false"),
    )
    running.wait_for_state("NORMAL", None)
    (running.folder / "config.yaml").write_text("alarm: {threshold: 1e-9}\nstate: {host: hall}\n")
    assert reload(running.state).lines == [
        "alarm.threshold 1e-09 (was null)",
        "not applied, needs a restart: state.host",
    ]
    running.wait_for_state("ANOMALY", None)
    assert running.end() == EXIT_OK


def test_many_reloads_leave_neither_threads_nor_open_files(live: Callable[..., Live]) -> None:
    running = live(PRESS)
    running.wait_for_state("NORMAL", None)
    process = Path(f"/proc/{running.process.pid}")

    def counts() -> tuple[int, int]:
        return len(list((process / "task").iterdir())), len(list((process / "fd").iterdir()))

    before = counts()
    for turn in range(6):
        (running.folder / "hall.yaml").write_text(hall(PRESS, *([SAW] if turn % 2 else [])))
        mark = len(running.lines)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for_message("settings read again", mark)
    (running.folder / "hall.yaml").write_text(hall(PRESS))
    assert reload(running.state).lines == ["saw: removed"]
    wait_until(lambda: all(now <= then for now, then in zip(counts(), before, strict=True)), "the end of all threads")
    assert running.end() == EXIT_OK


def test_without_a_monitor_there_is_nothing_to_reload() -> None:
    asked = reload(Path("nowhere"))
    assert asked.code == EXIT_SOURCE_LOST
    assert "no monitor runs with the state folder nowhere" in asked.errors
