"""What holds over hours: memory does not grow, nothing is dropped, index and clock stay together.

Run with `pytest -m soak`: ten minutes of a (virtual) microphone, and an hour of sound as fast as it is judged.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from builders import small_bundle, small_config
from virtual_microphone import VirtualMicrophone, why_not

from monitor.bundle.bundle import save_bundle
from monitor.runtime.engine import Engine
from monitor.sources.source import Synthetic
from monitor.runtime.monitored_stream import Station

pytestmark = pytest.mark.soak
RATE = 16000
SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
HOUR_S = float(os.environ.get("SOAK_ACCELERATED_SECONDS", "3600"))
GROWTH_MIB = 8.0


class Noise:
    """White noise without end."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def read(self, n: int) -> np.ndarray:
        return 0.1 * self._random.standard_normal(n, np.float32)


def memory_mib(process: int | str = "self") -> float:
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def test_an_hour_of_sound_takes_no_more_memory_than_a_minute_and_loses_nothing() -> None:
    config = small_config()
    source = Synthetic(Noise(), RATE, "noise", length_s=HOUR_S, speed=float("inf"))
    station = Station(small_bundle(config), source, config, model_name="m")
    engine = Engine([station])
    engine.start()
    while station.latest.position_s < HOUR_S / 20 and not engine.finished:
        time.sleep(0.1)
    before = memory_mib()
    while not engine.finished:
        time.sleep(0.2)
    assert engine.error is None
    assert memory_mib() - before < GROWTH_MIB
    assert station.scored == station.captured == round(HOUR_S * RATE)
    assert station.latest.dropped_samples == 0


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")
def test_ten_minutes_of_a_microphone_lose_nothing_and_take_no_more_memory(tmp_path: Path) -> None:
    microphone = VirtualMicrophone(RATE)
    wav, model, events = tmp_path / "noise.wav", tmp_path / "model.safetensors", tmp_path / "events.jsonl"
    soundfile.write(wav, Noise().read(round((SECONDS + 60) * RATE)), RATE, subtype="PCM_16")
    save_bundle(small_bundle(small_config()), model)
    try:
        microphone.start()
        microphone.play(wav)
        with (tmp_path / "output.txt").open("w") as output:
            live = subprocess.Popen(
                (sys.executable, "-m", "monitor", "live", model, "--headless", "--duration", str(SECONDS),
                 "--events", events),
                env=microphone.environment, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            began = time.monotonic()
            time.sleep(min(60.0, SECONDS / 3))
            before = memory_mib(live.pid)
            while time.monotonic() - began < SECONDS - 5:
                time.sleep(1.0)
            grown = memory_mib(live.pid) - before
            assert live.wait(60) == 0
        text = (tmp_path / "output.txt").read_text()
        account = re.search(r"(\d+) of (\d+) captured samples judged, (\d+) lost", text)
        assert account is not None, text
        judged, captured, lost = (int(figure) for figure in account.groups())
        assert lost == 0
        # What is in the ring at the end is less than a tenth of a second; the rest of the time is the device's start.
        assert captured - judged < 0.2 * RATE
        assert SECONDS - 5 < captured / RATE < SECONDS + 1
        assert grown < GROWTH_MIB
        assert '"gap"' not in events.read_text()
    finally:
        microphone.end()
