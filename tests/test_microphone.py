"""What the monitor promises with a real microphone, on a virtual one: a private sound server's."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from builders import small_bundle, small_config
from virtual_microphone import VirtualMicrophone, why_not

from monitor.bundle.bundle import save_bundle

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")
RATE = 16000
WAIT_S = 40.0  # for what takes a second or two: a busy machine is no failure


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    virtual = VirtualMicrophone(RATE)
    try:
        virtual.start()
        yield virtual
    finally:
        virtual.end()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A model that finds everything normal."""
    path = tmp_path / "model.safetensors"
    made = small_bundle(small_config())
    calm = {name: dataclasses.replace(threshold, value=1e12) for name, threshold in made.thresholds.items()}
    save_bundle(dataclasses.replace(made, thresholds=calm), path)
    return path


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "machine.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(60 * RATE), RATE, subtype="PCM_16")
    return path


def monitor(microphone: VirtualMicrophone, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-m", "monitor", *(str(argument) for argument in arguments))


class Live:
    """`monitor live` in a process of its own, with what it wrote."""

    def __init__(self, microphone: VirtualMicrophone, bundle: Path, *options: object, streams: bool = False) -> None:
        self.events_file = bundle.with_name(f"events-{time.monotonic_ns()}.jsonl")
        self._output = bundle.with_name(f"output-{time.monotonic_ns()}.txt")
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                monitor(microphone, "live", *(() if streams else (bundle,)), "--headless", "--events", self.events_file,
                        "--set", "dashboard.log_every_s=0.2", *options),
                env=microphone.environment, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def events(self) -> list[dict[str, object]]:
        text = self.events_file.read_text() if self.events_file.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def ended_events(self, kind: str) -> list[dict[str, object]]:
        return [event for event in self.events if event["kind"] == kind and event["end_s"] is not None]

    def wait_for(self, pattern: str, since: int = 0) -> None:
        """Until the output after position `since` has it."""
        deadline = time.monotonic() + WAIT_S
        while not re.search(pattern, self.output[since:]):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.output}"
            time.sleep(0.05)

    def mark(self) -> int:
        return len(self.output)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(WAIT_S)


@pytest.fixture
def running(microphone: VirtualMicrophone, bundle: Path, wav: Path) -> Iterator[Live]:
    """A monitor that hears sound and judges it."""
    microphone.play(wav, times=10)
    live = Live(microphone, bundle)
    try:
        live.wait_for("NORMAL")
        yield live
    finally:
        live.process.kill()
        live.process.wait()


def lost_and_back(live: Live, lose: object, bring_back: object, word: str = "LOST") -> None:
    mark = live.mark()
    lose()  # type: ignore[operator]
    live.wait_for(word, mark)
    time.sleep(1.0)  # long enough for a second event, were there one
    mark = live.mark()
    bring_back()  # type: ignore[operator]
    live.wait_for(rf"(LISTENING|NORMAL) \(was {word}\)", mark)


def test_each_way_of_losing_the_microphone_is_one_event_and_it_comes_back_by_itself(
    running: Live, microphone: VirtualMicrophone, wav: Path
) -> None:
    lost_and_back(running, microphone.unplug, microphone.plug)
    lost_and_back(running, microphone.kill, microphone.start)
    microphone.play(wav)
    lost_and_back(running, microphone.freeze, microphone.thaw)
    lost_and_back(running, lambda: microphone.suspend(True), lambda: microphone.suspend(False))
    assert running.end() == 0
    assert len(running.ended_events("lost")) == 4
    assert all(1.0 < float(str(event["duration_s"])) < WAIT_S for event in running.ended_events("lost"))


def test_another_microphone_in_its_place_is_not_listened_to(running: Live, microphone: VirtualMicrophone) -> None:
    microphone.plug("other")

    def take_away() -> None:
        microphone.remove(microphone.number_of("vm"))
        assert "other.monitor" in microphone.control("list", "short", "sources")

    lost_and_back(running, take_away, microphone.plug)
    assert running.end() == 0
    assert len(running.ended_events("lost")) == 1


def test_a_stopped_monitor_reports_the_gap_and_goes_on(running: Live) -> None:
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(3.0)
    mark = running.mark()
    running.process.send_signal(signal.SIGCONT)
    running.wait_for("gap of", mark)
    running.wait_for("NORMAL", mark)
    assert running.end() == 0
    (gap,) = running.ended_events("gap")
    assert 2.5 < float(str(gap["duration_s"])) < WAIT_S
    account = re.search(r"(\d+) of (\d+) captured samples judged, (\d+) lost", running.output)
    assert account is not None
    judged, captured, lost = (int(figure) for figure in account.groups())
    assert judged <= captured <= judged + lost


def test_what_live_scores_is_what_a_replay_of_the_same_sound_scores(
    microphone: VirtualMicrophone, bundle: Path, wav: Path, tmp_path: Path
) -> None:
    """At one rate from end to end the server changes no sample: only rounding is left, 1e-5 of a score."""
    recorded, scores, again = tmp_path / "heard.wav", tmp_path / "live.csv", tmp_path / "replay.csv"
    microphone.play(wav)
    live = Live(microphone, bundle, "--record", recorded, "--scores", scores)
    live.wait_for("NORMAL")
    time.sleep(2.0)
    assert live.end() == 0
    heard, _ = soundfile.read(recorded, dtype="int16")
    played, _ = soundfile.read(wav, dtype="int16")
    piece = heard[8000:24000]
    starts = np.flatnonzero(played[: len(played) - len(piece)] == piece[0])
    assert any(np.array_equal(played[start : start + len(piece)], piece) for start in starts)
    replay = monitor(microphone, "replay", bundle, recorded, "--speed", "max", "--headless", "--scores", again)
    subprocess.run(replay, check=True, capture_output=True, env=microphone.environment)
    one, other = (list(csv.DictReader(path.open())) for path in (scores, again))
    assert len(one) == len(other) > 200
    for name in ("error", "score"):
        ours, theirs = ([float(row[name] or "nan") for row in rows] for rows in (one, other))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_device_at_another_rate_is_resampled(microphone: VirtualMicrophone, bundle: Path, wav: Path) -> None:
    microphone.play(wav)
    live = Live(microphone, bundle, "--set", "audio.device_rate=44100", "--channel", "1")
    live.wait_for("44100 samples a second, 2 channel")
    live.wait_for("NORMAL")
    assert live.end() == 0


def test_silence_is_no_signal_and_not_normal(microphone: VirtualMicrophone, bundle: Path, wav: Path) -> None:
    live = Live(microphone, bundle)
    live.wait_for("NO SIGNAL")
    assert "NORMAL" not in live.output
    microphone.play(wav)
    live.wait_for("NORMAL")
    assert live.end() == 0
    assert len(live.ended_events("no signal")) == 1


def test_ctrl_c_ends_with_130_and_every_event_is_written(microphone: VirtualMicrophone, bundle: Path) -> None:
    live = Live(microphone, bundle)
    live.wait_for("NO SIGNAL")
    assert live.end(signal.SIGINT) == 130
    assert len(live.ended_events("no signal")) == 1


def test_a_frozen_server_does_not_hold_up_the_end(running: Live, microphone: VirtualMicrophone) -> None:
    mark = running.mark()
    microphone.freeze()
    running.wait_for("LOST", mark)
    assert running.end() == 0
    assert len(running.ended_events("lost")) == 1


def test_two_monitors_listen_to_one_microphone(running: Live, microphone: VirtualMicrophone, bundle: Path) -> None:
    second = Live(microphone, bundle, "--device", "testmic")
    second.wait_for("NORMAL")
    mark = running.mark()
    running.wait_for("NORMAL", mark)
    assert second.end() == 0
    assert running.end() == 0


def test_two_channels_of_one_device_are_two_streams_and_it_is_opened_once(
    microphone: VirtualMicrophone, bundle: Path, wav: Path
) -> None:
    """And a third stream of a device that is not there delays neither of them."""
    bundle.with_name("hall.yaml").write_text(
        "streams:\n"
        f"  - {{name: left, bundle: {bundle.name}, device: testmic, channel: 0}}\n"
        f"  - {{name: right, bundle: {bundle.name}, device: testmic, channel: 1}}\n"
        f"  - {{name: nowhere, bundle: {bundle.name}, device: Blue Yeti}}\n"
    )
    microphone.play(wav, times=10)
    live = Live(microphone, bundle, "--config", bundle.with_name("hall.yaml"), streams=True)
    try:
        for pattern in ("left: NORMAL", "right: NORMAL", "nowhere: LOST"):
            live.wait_for(pattern)
        mark = live.mark()
        microphone.unplug()
        for name in ("left", "right"):
            live.wait_for(f"{name}: LOST", mark)
        time.sleep(1.0)
        mark = live.mark()
        microphone.plug()
        microphone.play(wav)
        for name in ("left", "right"):
            live.wait_for(rf"{name}: (LISTENING|NORMAL) \(was LOST\)", mark)
            live.wait_for(f"{name}: NORMAL", mark)
        assert live.end() == 0
    finally:
        live.process.kill()
        live.process.wait()
    assert live.output.count("2 channel(s)") == 1
    assert sorted(str(event["stream"]) for event in live.ended_events("lost")) == ["left", "nowhere", "right"]
    accounts = re.findall(r"(\w+): listened for .* (\d+) of (\d+) captured samples judged", live.output)
    assert [account[0] for account in accounts] == ["left", "right", "nowhere"]
    assert all(int(judged) > RATE for _, judged, _ in accounts[:2])


def test_a_microphone_that_is_not_there_yet_is_waited_for(
    microphone: VirtualMicrophone, bundle: Path, wav: Path
) -> None:
    microphone.unplug()
    live = Live(microphone, bundle)
    live.wait_for("LOST")
    microphone.plug()
    microphone.play(wav)
    live.wait_for("NORMAL")
    assert live.end() == 0
    assert len(live.ended_events("lost")) == 1


def test_losing_it_ends_with_code_3_where_that_is_wanted(
    microphone: VirtualMicrophone, bundle: Path, wav: Path
) -> None:
    microphone.play(wav)
    live = Live(microphone, bundle, "--exit-on-loss")
    live.wait_for("NORMAL")
    microphone.unplug()
    assert live.process.wait(WAIT_S) == 3
    assert "no sound comes any more" in live.output


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--device", "Blue Yeti", "--exit-on-loss"), 3, r"There is no microphone called 'Blue Yeti'. There are: 0"),
        (("--device", "77"), 2, r"no microphone with the number 77"),
        (("--channel", "40"), 2, r"has no channel 40, its channels are 0 to 31"),
    ],
)
def test_a_microphone_that_cannot_be_used_is_told_in_a_sentence(
    microphone: VirtualMicrophone, bundle: Path, options: tuple[str, ...], code: int, sentence: str
) -> None:
    live = Live(microphone, bundle, *options)
    assert live.process.wait(WAIT_S) == code
    assert re.search(sentence, live.output)
    assert "Traceback" not in live.output


def test_devices_lists_the_microphones(microphone: VirtualMicrophone) -> None:
    run = subprocess.run(
        monitor(microphone, "devices", "--json", "--set", "audio.device=testmic"),
        env=microphone.environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    rows = json.loads(run.stdout)
    assert {row["name"]: row["used"] for row in rows} == {"testmic": True, "default": False}
    assert all(16000 in row["rates"] and row["channels"] >= 1 for row in rows)


def test_silence_is_not_calibrated_on_and_the_model_stays(microphone: VirtualMicrophone, bundle: Path) -> None:
    before = bundle.read_bytes()
    run = subprocess.run(
        monitor(microphone, "calibrate", bundle, "--device", "default", "--minutes", "0.5"),
        env=microphone.environment, capture_output=True, text=True, timeout=60 + WAIT_S,
    )  # fmt: skip
    assert run.returncode == 1
    assert "silent" in run.stderr
    assert bundle.read_bytes() == before


def test_a_machine_is_recorded_trained_on_and_the_threshold_made_by_ear(
    microphone: VirtualMicrophone, bundle: Path, wav: Path, tmp_path: Path
) -> None:
    microphone.play(wav)
    time.sleep(1.0)
    environment, out = microphone.environment, tmp_path / "recordings"
    calibrate = subprocess.Popen(
        monitor(microphone, "calibrate", bundle, "--device", "default", "--minutes", "0.5"),
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        record = monitor(microphone, "record", "--minutes", "0.16", "--out", out, "--channel", "0")
        subprocess.run(record, env=environment, check=True, capture_output=True, timeout=60)
        (file,) = out.iterdir()
        assert soundfile.info(file).frames == 10 * RATE
        assert soundfile.info(file).subtype == "PCM_16"
        quick = ("--epochs", "1", "--set", "model.hidden=[16,8]", "--set", "model.bottleneck=4")
        train = monitor(microphone, "train", out, "--out", tmp_path / "run", *quick)
        subprocess.run(train, env=environment, check=True, capture_output=True, timeout=120)
        said, _ = calibrate.communicate(timeout=60 + WAIT_S)
    finally:
        calibrate.kill()
        calibrate.wait()
    assert calibrate.returncode == 0, said
    assert "1e+12 ->" in said
    assert bundle.with_name("model.previous.safetensors").exists()
