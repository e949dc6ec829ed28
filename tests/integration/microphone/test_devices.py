"""Real microphones, here a virtual one, are listed, looked for and opened."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.core.errors import EXIT_OK, EXIT_SOURCE_LOST
from support.listening import DEADLINE_S
from support.live_program import ran
from support.virtual_microphone import VirtualMicrophone, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")


def test_the_microphones_are_listed_and_the_one_that_would_be_used_is_marked(microphone: VirtualMicrophone) -> None:
    rows = json.loads(ran(microphone, "devices", "--json", "--set", "audio.device=testmic").stdout)
    assert {row["name"]: row["used"] for row in rows} == {"testmic": True, "default": False}
    assert all(16000 in row["rates"] and row["channels"] >= 1 for row in rows)
    table = ran(microphone, "devices").stdout.splitlines()
    assert sorted(line.split()[-1] for line in table[1:]) == ["kHz", "kHz"]
    [used] = [line for line in table if line.startswith("*")]
    assert "default" in used


@pytest.mark.long
def test_a_device_that_was_closed_holds_no_sound_in_memory(microphone: VirtualMicrophone) -> None:
    """A microphone that is plugged in again and again must not fill the memory; Python's collector comes too late."""
    script = """
import gc, weakref
from monitor.sources.device.devices import choose, input_devices
from monitor.sources.device.portaudio import DeviceStream
gc.disable()
for _ in range(3):
    device = choose(input_devices(), "")
    stream = DeviceStream(device.index, "", 16000, 1, latency_s=0.25, block_s=0.01, buffer_s=30)
    ring = weakref.ref(stream.ring)
    assert stream.close(60)
    del stream
    print(ring() is None)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=microphone.environment, capture_output=True, text=True, timeout=DEADLINE_S,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True"] * 3


@pytest.mark.long
def test_check_looks_for_the_microphones_of_the_streams(
    microphone: VirtualMicrophone, bundle: Path, tmp_path: Path
) -> None:
    hall = tmp_path / "hall.yaml"
    hall.write_text(f"streams:\n- {{name: press, bundle: {bundle.name}, device: testmic}}\n")
    done = ran(microphone, "check", hall, "--files", "--devices")
    assert done.returncode == EXIT_OK, done.stderr
    assert re.fullmatch(
        r"press: usable: model .*model\.safetensors \(limits made in float32\), microphone \d+ 'testmic.*'\.\n",
        done.stdout,
    )
    with hall.open("a") as file:
        file.write(f"- {{name: fan, bundle: {bundle.name}, device: Blue}}\n")
    done = ran(microphone, "check", hall, "--devices")
    assert done.returncode == EXIT_SOURCE_LOST
    assert "fan: There is no microphone called 'Blue'" in done.stderr
    assert "press: usable: microphone" in done.stdout


@pytest.mark.long
def test_a_microphone_whose_name_looks_like_a_list_is_looked_for_as_text(
    microphone: VirtualMicrophone, bundle: Path
) -> None:
    done = ran(microphone, "live", bundle, "--headless", "--device", "[USB] Mic", "--exit-on-loss")
    assert done.returncode == EXIT_SOURCE_LOST
    assert "no microphone called '[USB] Mic'" in done.stderr
