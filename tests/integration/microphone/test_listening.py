"""What listening promises with a real microphone, on a virtual one: a sound server of the test's own.

Nothing here may depend on how busy the machine is: what is waited for has ten minutes, and where a busy machine may
interrupt the sound by itself, only what the test has done is looked at.
"""

from __future__ import annotations

import csv
import fcntl
import inspect
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.cli.main import run
from monitor.core.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, EXIT_SOURCE_LOST, EXIT_USAGE
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import DEADLINE_S, wait_until
from support.live_program import Command, Live, json_lines, ran
from support.virtual_microphone import VirtualMicrophone, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")
UNCALIBRATED = small_bundle(small_config())
Listen = Callable[..., Live]


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of noise."""
    return write_sound(tmp_path_factory.mktemp("sound") / "machine.wav", noise(60 * RATE), subtype="PCM_16")


@pytest.fixture
def listen(microphone: VirtualMicrophone, bundle: Path) -> Iterator[Listen]:
    """Starts `monitor live` with a model, or with these arguments in its place."""
    started: list[Live] = []

    def start(*options: object, arguments: tuple[object, ...] = (bundle,)) -> Live:
        folder = bundle.with_name(f"run-{len(started)}")
        folder.mkdir()
        started.append(Live(microphone, folder, *arguments, *options))
        return started[-1]

    yield start
    for live in started:
        live.kill()


@pytest.fixture
def running(microphone: VirtualMicrophone, listen: Listen, wav: Path) -> Live:
    """One that hears sound and scores it."""
    microphone.play(wav, times=10)
    live = listen()
    live.wait_for_state("NORMAL")
    return live


def lost_and_back(live: Live, lose: Callable[[], object], bring_back: Callable[[], object]) -> None:
    """A loss, until some attempts to reconnect have failed, that ends by itself: it is one event."""
    mark = live.mark()
    lose()
    live.wait_for_state("LOST", since=mark, count=6)
    mark, lost_at = live.mark(), time.time()
    bring_back()
    live.wait_for("sound", lambda line: line.get("state") in ("LISTENING", "NORMAL"), mark)

    def losses() -> list[dict[str, Any]]:
        """Those that lasted then."""
        return [one for one in live.events("lost") if one["wall_time"] < lost_at < one["wall_time"] + one["duration_s"]]

    wait_until(losses, "the event")
    [event] = losses()
    assert 0.5 < event["duration_s"] < DEADLINE_S


def test_each_way_of_losing_the_microphone_is_one_event_and_it_comes_back_by_itself(
    running: Live, microphone: VirtualMicrophone, wav: Path
) -> None:
    lost_and_back(running, microphone.unplug, microphone.plug)
    lost_and_back(running, microphone.kill, microphone.start)
    microphone.play(wav)
    lost_and_back(running, microphone.freeze, microphone.thaw)
    lost_and_back(running, lambda: microphone.suspend(True), lambda: microphone.suspend(False))
    assert running.end() == EXIT_OK


def test_another_microphone_in_its_place_is_not_listened_to(running: Live, microphone: VirtualMicrophone) -> None:
    microphone.plug("other")

    def take_away() -> None:
        microphone.remove(microphone.number_of("vm"))
        assert "other.monitor" in microphone.control("list", "short", "sources")

    lost_and_back(running, take_away, microphone.plug)
    assert running.end() == EXIT_OK


def test_a_monitor_that_was_stopped_scores_the_sound_that_the_server_kept(running: Live) -> None:
    for _ in range(20):  # a busy machine may make the server lose sound by itself
        running.process.send_signal(signal.SIGSTOP)
        began = time.time()
        time.sleep(1.5)  # what is tested, not waited for
        mark, stopped_s = running.mark(), time.time() - began
        running.process.send_signal(signal.SIGCONT)
        running.wait_for_state("NORMAL", since=mark, count=10)
        gaps = [one for one in running.events("gap") if one["wall_time"] - 0.5 < began < one["wall_time"] + 1.0]
        if sum(gap["duration_s"] for gap in gaps) < stopped_s - 0.5:  # most of it arrived late, and was scored
            break
    else:
        pytest.fail("the sound that the server kept was not scored")
    assert running.end() == EXIT_OK
    [account] = running.accounts
    assert account["captured_samples"] == account["scored_samples"] + account["discarded_samples"]


@pytest.mark.long
def test_an_output_that_nobody_reads_does_not_hold_up_the_end(
    listen: Listen, microphone: VirtualMicrophone, wav: Path, tmp_path: Path
) -> None:
    """A pipe whose reader does not read: the scores of a second fill it."""
    os.mkfifo(tmp_path / "unread")
    reader = os.open(tmp_path / "unread", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    microphone.play(wav, times=10)
    running = listen("--scores", tmp_path / "unread")
    running.wait_for_state("NORMAL", count=30)
    assert running.end() == EXIT_FAILURE
    assert "lines missing" in running.text
    os.close(reader)


def test_what_live_scores_is_what_a_replay_of_the_same_sound_scores(
    microphone: VirtualMicrophone, bundle: Path, listen: Listen, wav: Path, tmp_path: Path
) -> None:
    """At one rate from end to end the server changes no sample: only rounding is left, 1e-5 of a score."""
    recorded, scores, again = tmp_path / "heard.wav", tmp_path / "live.csv", tmp_path / "replay.csv"
    microphone.play(wav, times=10)
    for _ in range(20):  # a busy machine may interrupt the sound: what is scored then is two streams
        live = listen("--record", recorded, "--scores", scores)
        live.wait_for("three seconds of sound", lambda line: line.get("position_s", 0) > 3.0)
        assert live.end() == EXIT_OK
        if live.accounts[0]["not_heard_s"] == 0:
            break
    heard, _ = soundfile.read(recorded, dtype="int16")
    played, _ = soundfile.read(wav, dtype="int16")
    assert any(
        np.array_equal(played[start : start + RATE], piece)
        for piece in (heard[at : at + RATE] for at in range(RATE // 2, len(heard) - RATE, RATE // 4))
        for start in np.flatnonzero(played[: len(played) - RATE] == piece[0])
    )
    replay = ran(microphone, "replay", bundle, recorded, "--speed", "max", "--headless", "--scores", again)
    assert replay.returncode == EXIT_OK, replay.stderr
    one, other = (list(csv.DictReader(path.open())) for path in (scores, again))
    assert len(one) == len(other) > 250
    for name in ("error", "score"):
        ours, theirs = ([float(row[name] or "nan") for row in rows] for rows in (one, other))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_device_at_another_rate_is_resampled(microphone: VirtualMicrophone, listen: Listen, wav: Path) -> None:
    microphone.play(wav)
    live = listen("--set", "audio.device_rate=44100", "--channel", "1")
    live.wait_for_message("44100 samples a second, 2 channel")
    live.wait_for_state("NORMAL")
    live.wait_for("a second of sound", lambda line: line.get("position_s", 0) > 1.0)
    assert live.end() == EXIT_OK
    assert live.accounts[0]["scored_samples"] >= 44100


def test_silence_is_no_signal_and_not_normal(microphone: VirtualMicrophone, listen: Listen, wav: Path) -> None:
    live = listen()
    live.wait_for_state("NO SIGNAL")
    assert not any(line.get("state") == "NORMAL" for line in live.lines)
    microphone.play(wav)
    live.wait_for_state("NORMAL")
    assert live.end() == EXIT_OK
    first = live.events("no signal")[0]
    assert first["start_s"] == pytest.approx(0, abs=0.1)


def test_ctrl_c_ends_with_130_and_every_event_is_written(listen: Listen) -> None:
    live = listen()
    live.wait_for_state("NO SIGNAL")
    assert live.end(signal.SIGINT) == EXIT_INTERRUPTED
    written = json_lines(live.events_file)
    assert {event["kind"] for event in written} >= {"no signal"}
    assert {event["id"] for event in written} == {event["id"] for event in written if event["end_s"] is not None}


def test_a_frozen_server_does_not_hold_up_the_end(running: Live, microphone: VirtualMicrophone) -> None:
    mark = running.mark()
    microphone.freeze()
    running.wait_for_state("LOST", since=mark)
    assert running.end() == EXIT_OK
    assert running.events("lost")


def test_two_monitors_listen_to_one_microphone(running: Live, listen: Listen) -> None:
    second = listen("--device", "testmic")
    second.wait_for_state("NORMAL")
    running.wait_for_state("NORMAL", since=running.mark())
    assert second.end() == EXIT_OK
    assert running.end() == EXIT_OK


def test_two_channels_of_one_device_are_two_streams_and_it_is_opened_once(
    microphone: VirtualMicrophone, bundle: Path, listen: Listen, wav: Path
) -> None:
    """And a third stream, of a device that is not there, delays neither of them."""
    hall = bundle.with_name("hall.yaml")
    hall.write_text(
        "streams:\n"
        f"  - {{name: left, bundle: {bundle.name}, device: testmic, channel: 0}}\n"
        f"  - {{name: right, bundle: {bundle.name}, device: testmic, channel: 1}}\n"
        f"  - {{name: nowhere, bundle: {bundle.name}, device: Blue Yeti}}\n"
    )
    microphone.play(wav, times=10)
    live = listen(arguments=("--config", hall))
    for name, state in (("left", "NORMAL"), ("right", "NORMAL"), ("nowhere", "LOST")):
        live.wait_for_state(state, stream=name)
    mark = live.mark()
    microphone.unplug()
    for name in ("left", "right"):
        live.wait_for_state("LOST", since=mark, stream=name)
    mark = live.mark()
    microphone.plug()
    microphone.play(wav)
    for name in ("left", "right"):
        live.wait_for_state("NORMAL", since=mark, stream=name)
    assert live.end() == EXIT_OK
    assert live.text.count("2 channel(s)") == 1
    assert {event["stream"] for event in live.events("lost")} == {"left", "right", "nowhere"}
    assert [line["stream"] for line in live.accounts] == ["left", "right", "nowhere"]
    assert all(line["scored_samples"] > 0.5 * RATE for line in live.accounts[:2])
    assert live.accounts[2]["captured_samples"] == 0


def test_a_microphone_that_is_not_there_yet_is_waited_for(
    microphone: VirtualMicrophone, listen: Listen, wav: Path
) -> None:
    microphone.unplug()
    live = listen()
    live.wait_for_state("LOST")
    microphone.plug()
    microphone.play(wav)
    live.wait_for_state("NORMAL")
    assert live.end() == EXIT_OK
    assert live.events("lost")[0]["start_s"] == 0.0


def test_losing_it_ends_with_code_3_where_that_is_wanted(
    microphone: VirtualMicrophone, listen: Listen, wav: Path
) -> None:
    microphone.play(wav)
    live = listen("--exit-on-loss")
    live.wait_for_state("NORMAL")
    microphone.unplug()
    assert live.process.wait(DEADLINE_S) == EXIT_SOURCE_LOST
    assert "the sound has stopped" in live.lines[-1]["message"]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--device", "Blue Yeti", "--exit-on-loss"), 3, r"There is no microphone called 'Blue Yeti'. There are: 0"),
        (("--device", "77"), EXIT_USAGE, r"no microphone with the number 77"),
        (("--channel", "40"), EXIT_USAGE, r"has no channel 40, its channels are 0 to 31"),
    ],
)
def test_a_microphone_that_cannot_be_used_is_reported_in_a_sentence(
    listen: Listen, options: tuple[str, ...], code: int, sentence: str
) -> None:
    live = listen(*options)
    assert live.process.wait(DEADLINE_S) == code
    assert live.lines[-1]["level"] == "error"
    assert re.search(sentence, live.lines[-1]["message"])


@dataclass(frozen=True)
class LongCommands:
    """A machine is recorded, and a model calibrated on it; another one is calibrated on silence."""

    folder: Path
    record: Command
    calibrate: Command
    calibrate_on_silence: Command

    @property
    def bundle(self) -> Path:
        return self.folder / "machine" / "model.safetensors"

    @property
    def silent_bundle(self) -> Path:
        return self.folder / "silence" / "model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def long_commands(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wav: Path
) -> Iterator[LongCommands | None]:
    """They begin with the first test, if there is one that looks at them."""
    tests = [getattr(item, "function", lambda: None) for item in request.session.items]
    if not any("long_commands" in inspect.signature(test).parameters for test in tests):
        yield None
        return
    folder = tmp_path_factory.mktemp("long")
    with VirtualMicrophone(RATE) as machine, VirtualMicrophone(RATE) as silence:
        for name in ("machine", "silence"):
            save_bundle(UNCALIBRATED, folder / name / "model.safetensors")
        machine.play(wav, times=10)
        calibrate = ("calibrate", "--minutes", "0.5", "--force")
        commands = [
            Command(machine, "record", "--minutes", "0.16", "--out", folder / "recordings", "--channel", "0"),
            Command(machine, *calibrate, folder / "machine" / "model.safetensors"),
            Command(silence, *calibrate, folder / "silence" / "model.safetensors"),
        ]
        try:
            yield LongCommands(folder, *commands)
        finally:
            for command in commands:
                command.kill()


def test_a_machine_is_recorded_and_a_model_trained_on_it(long_commands: LongCommands, tmp_path: Path) -> None:
    code, said = long_commands.record.ended()
    assert code == EXIT_OK, said
    [file] = (long_commands.folder / "recordings").iterdir()
    assert soundfile.info(file).frames == 10 * RATE
    assert soundfile.info(file).subtype == "PCM_16"
    quick = ["--epochs", "1", "--set", "model.hidden=[16,8]", "--set", "model.bottleneck=4"]
    code = run(["train", str(file.parent), "--out", str(tmp_path), *quick])
    assert code == EXIT_FAILURE, "ten seconds are too little to rely on"
    load_bundle(tmp_path / "model.safetensors")


def test_silence_is_not_calibrated_on_and_the_model_stays(long_commands: LongCommands) -> None:
    code, said = long_commands.calibrate_on_silence.ended()
    assert code == EXIT_FAILURE
    assert "silent" in said
    [file] = long_commands.silent_bundle.parent.iterdir()
    assert load_bundle(file).thresholds == UNCALIBRATED.thresholds


def test_limits_are_set_by_half_a_minute_of_the_machine_and_the_model_before_is_kept(
    long_commands: LongCommands,
) -> None:
    code, said = long_commands.calibrate.ended()
    assert code == EXIT_OK, said
    before = load_bundle(long_commands.bundle.with_name("model.previous.safetensors"))
    after = load_bundle(long_commands.bundle)
    assert before.thresholds == UNCALIBRATED.thresholds
    assert after.thresholds["score"].value != before.thresholds["score"].value
    assert after.thresholds["score"].seconds == pytest.approx(30, abs=1)
