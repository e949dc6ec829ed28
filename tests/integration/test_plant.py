"""An alarm reaches people and programs, and is remembered: `monitor live` as a plant runs it, with real servers.

Nothing here may depend on how busy the machine is: what is waited for has ten minutes, and where a busy machine may
interrupt the sound by itself, only what the test has done is looked at.
"""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from monitor.api import model as api
from monitor.bundle.bundle_io import load_bundle
from monitor.core.errors import EXIT_ANOMALY, EXIT_OK, EXIT_SOURCE_LOST
from monitor.notify.outbox import newest_deliveries
from monitor.store.database import Store
from monitor.store.tables import SENT
from support.broker import Reader, broker, needs_mosquitto
from support.builders import RATE
from support.listening import DEADLINE_S, wait_until
from support.ports import free_port
from support.virtual_microphone import VirtualMicrophone, why_not
from support.webhook import Receiver
from train.demo.machine import Machine, MachineSound

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone"),
]
ONSET_S, SOUND_S = 8.0, 60.0


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine whose bearing breaks."""
    machine = Machine(sample_rate=RATE, seed=101, passing_noises=False)
    path = tmp_path_factory.mktemp("sound") / "breaking.wav"
    sound = MachineSound(machine, fault="bearing", onset_s=ONSET_S).read(round(SOUND_S * RATE))
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return path


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone(RATE) as virtual:
        yield virtual


class Plant:
    """A state folder, and `monitor` with it."""

    def __init__(self, microphone: VirtualMicrophone, folder: Path, settings: str) -> None:
        self.state, self._microphone, self._config = folder / "state", microphone, folder / "plant.yaml"
        self._config.write_text(f"state: {{folder: {self.state}, host: hall}}\n{settings}")
        self.running: list[subprocess.Popen[bytes]] = []

    def live(self, model: Path, *options: object) -> subprocess.Popen[bytes]:
        """Starts `monitor live`."""
        command = (sys.executable, "-m", "monitor", "live", model, "--headless", "--config", self._config, *options)
        with (self.state.parent / f"live-{len(self.running)}.txt").open("w") as output:
            self.running.append(
                subprocess.Popen(
                    list(map(str, command)), env=self._microphone.environment, stdout=output, stderr=output
                )
            )
        return self.running[-1]

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Another command, with the same settings."""
        command = (sys.executable, "-m", "monitor", *arguments, "--config", self._config)
        return subprocess.run(
            list(map(str, command)), env=self._microphone.environment, check=False, capture_output=True, text=True,
            timeout=DEADLINE_S,
        )  # fmt: skip

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind in the store, as `monitor events` prints them; the newest first."""
        lines = self.run("events", "--json").stdout.splitlines()
        return [event for event in map(json.loads, lines) if event["kind"] == kind]

    def sent(self) -> int:
        """How many messages the store has noted as sent."""
        with Store.open(f"sqlite:///{self.state / 'monitor.sqlite'}", create=False) as store:
            return len(newest_deliveries(store, [SENT], 100))


Open = Callable[[str], Plant]


@pytest.fixture
def plant(microphone: VirtualMicrophone, tmp_path: Path) -> Iterator[Open]:
    """Makes a plant with further settings. What it has started is ended."""
    opened: list[Plant] = []

    def make(settings: str) -> Plant:
        opened.append(Plant(microphone, tmp_path, settings))
        return opened[-1]

    yield make
    for process in [process for one in opened for process in one.running]:
        process.kill()
        process.wait()


@needs_mosquitto
def test_an_alarm_is_told_to_people_and_programs_and_can_be_heard_again(
    plant: Open, microphone: VirtualMicrophone, model: Path, wav: Path, tmp_path: Path
) -> None:
    port = free_port()
    with Receiver() as webhook, broker(tmp_path) as mosquitto:
        mqtt = Reader(mosquitto.port)
        hall = plant(
            f"metrics: {{port: {port}}}\nmqtt: {{broker: localhost, port: {mosquitto.port}, every_s: 0.5}}\n"
            "alarm: {cool_down_s: 600}\n"
            f'notify: {{channels: [{{name: hook, webhook: "{webhook.url}"}}], rules: [{{to: hook, kinds: anomaly}}]}}\n'
        )
        live = hall.live(model, "--scores", tmp_path / "scores.csv")
        name = model.parent.name  # of the only stream
        mqtt.wait(f"acoustic-monitor/hall/{name}/availability")
        microphone.play(wav)

        wait_until(lambda: webhook.taken, "a message that there is an anomaly")
        began = webhook.taken[0].content
        assert (began["stage"], began["stream"], began["event"]["kind"]) == ("began", name, "anomaly")
        status = hall.run("status")
        assert status.returncode == EXIT_ANOMALY, status.stdout + status.stderr
        wait_until(lambda: f'acoustic_monitor_state{{state="ANOMALY",stream="{name}"}} 1.0' in metrics(port))
        told = mqtt.wait(f"acoustic-monitor/hall/{name}/event")[0].json
        assert told["id"] == began["event"]["id"]
        microphone.stop_playing()
        wait_until(lambda: len(webhook.taken) > 1, "a message that it is over")
        assert [one.content["stage"] for one in webhook.taken] == ["began", "ended"]
        live.send_signal(signal.SIGTERM)
        assert live.wait(DEADLINE_S) == EXIT_OK

    [event] = hall.events("anomaly")
    assert event["id"] == began["event"]["id"]
    assert event["ended"]
    assert event["picture"]
    assert hall.run("status").returncode == EXIT_SOURCE_LOST, "it does not run any more"
    assert_the_clip_has_the_same_scores(model, hall.state / "clips" / event["clip"], tmp_path / "scores.csv")


def assert_the_clip_has_the_same_scores(model: Path, clip: Path, scores: Path) -> None:
    """The scores of a clip are those that were computed live, as soon as they depend on nothing before the clip."""
    live = np.array([float(row["score"] or "nan") for row in csv.DictReader(scores.open())])
    sound, rate = soundfile.read(clip)
    again = api.load(model).score(sound, rate).score
    settings = load_bundle(model).config
    run_up = round(settings.score.window_s / settings.features.hop_s) + settings.features.window_frames
    heard = again[run_up:-run_up]
    # The first sample of the clip is on a frame of the stream, so at one place all scores are the same.
    places = np.lib.stride_tricks.sliding_window_view(live, len(heard))
    assert np.nanmin(np.abs(places / heard - 1).max(axis=1)) < 1e-4


def metrics(port: int) -> str:
    """All metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE_S) as answer:
        text: str = answer.read().decode()
    return text


def test_a_monitor_that_is_killed_forgets_nothing_and_tells_nothing_twice(
    plant: Open, microphone: VirtualMicrophone, model: Path, wav: Path
) -> None:
    with Receiver() as webhook:
        hall = plant(
            f'notify: {{channels: [{{name: hook, webhook: "{webhook.url}"}}], rules: [{{to: hook, kinds: anomaly}}]}}\n'
        )
        live = hall.live(model)
        microphone.play(wav, times=3)
        wait_until(lambda: webhook.taken, "a message that there is an anomaly")
        # A monitor that is killed between sending and noting that sends the same message again, with the same id.
        wait_until(lambda: hall.sent() == 1, "a note that the message was sent")
        live.kill()
        live.wait()
        [left] = hall.events("anomaly")
        assert left["ended"] is None
        again = hall.live(model)
        wait_until(lambda: hall.events("anomaly")[-1]["ended"], "the end of what the killed monitor left")
        wait_until(lambda: len(webhook.taken) > 1, "a message that it is over")
        again.send_signal(signal.SIGTERM)
        assert again.wait(DEADLINE_S) == EXIT_OK
    first = [one for one in webhook.taken if one.content["event"]["id"] == left["id"]]
    assert [one.content["stage"] for one in first] == ["began", "ended"]
    assert len({one.delivery for one in webhook.taken}) == len(webhook.taken)
    ended = hall.events("anomaly")[-1]
    assert (ended["id"], ended["cut_off"]) == (left["id"], True)


def test_two_monitors_do_not_share_a_state_folder(plant: Open, microphone: VirtualMicrophone, model: Path) -> None:
    hall = plant("")
    hall.live(model)
    wait_until((hall.state / "status.sock").is_socket, "a monitor that answers")
    second = hall.run("live", model, "--headless")
    assert second.returncode == 2
    assert f"{hall.state}: another monitor is running with this folder (process {hall.running[0].pid})" in second.stderr
