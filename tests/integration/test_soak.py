"""What holds over hours: memory does not grow, nothing is dropped, index and clock stay together.

Run with `pytest -m soak`: ten minutes of a (virtual) microphone, and an hour of sound as fast as it is scored. Other
lengths, in seconds: SOAK_SECONDS and SOAK_ACCELERATED_SECONDS in the environment.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle_io import save_bundle
from monitor.core.errors import EXIT_OK
from monitor.core.events import ScoreRows
from monitor.outputs.sink import Sink
from monitor.runtime.builder import build_engine
from monitor.sources.generated import GeneratedSource
from support.builders import RATE, small_bundle, small_config
from support.listening import plan
from support.virtual_microphone import VirtualMicrophone, why_not

pytestmark = pytest.mark.soak
SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
HOUR_S = float(os.environ.get("SOAK_ACCELERATED_SECONDS", "3600"))
GROWTH_MIB = 8.0


class Noise:
    """White noise without end."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def read(self, n: int, /) -> np.ndarray:
        return 0.1 * self._random.standard_normal(n, np.float32)


def memory_mib(process: int | str = "self") -> float:
    """What a process has in memory now."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


class Memory(Sink):
    """Looks at the memory when a twentieth of the sound has been scored, and at the end."""

    def __init__(self) -> None:
        self.before = self.after = math.nan

    def scores(self, rows: ScoreRows) -> None:
        if math.isnan(self.before) and rows.first * rows.hop_s > HOUR_S / 20:
            self.before = memory_mib()

    def close(self) -> None:
        self.after = memory_mib()


def test_an_hour_of_sound_takes_no_more_memory_than_a_minute_and_loses_nothing() -> None:
    memory = Memory()
    source = GeneratedSource(Noise(), RATE, "noise", length_s=HOUR_S, speed=math.inf)
    engine = build_engine([plan(small_bundle(small_config()), source, sinks=[memory])], device="cpu")
    engine.start()
    engine.wait()
    [stream] = engine.streams
    assert engine.error is None
    assert memory.after - memory.before < GROWTH_MIB
    assert stream.scored == stream.captured == round(HOUR_S * RATE)
    assert stream.latest.lost_s == 0


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")
def test_ten_minutes_of_a_microphone_lose_nothing_and_take_no_more_memory(tmp_path: Path) -> None:
    """On a machine that has time for it: this is the test of what a busy one may not do."""
    wav, model, events = tmp_path / "noise.wav", tmp_path / "model.safetensors", tmp_path / "events.jsonl"
    soundfile.write(wav, Noise().read(round((SECONDS + 60) * RATE)), RATE, subtype="PCM_16")
    save_bundle(small_bundle(small_config()), model)
    command = (sys.executable, "-m", "monitor", "live", model, "--headless", "--log-json", "--duration", str(SECONDS))
    with VirtualMicrophone(RATE) as microphone, (tmp_path / "errors.txt").open("w") as errors:
        microphone.play(wav)
        live = subprocess.Popen(
            (*command, "--events", events), env=microphone.environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        ending = threading.Timer(2 * SECONDS + 60, live.kill)  # it should have ended by itself long before
        ending.start()
        try:
            assert live.stdout is not None
            used: list[float] = []
            account = {}
            for line in map(json.loads, live.stdout):
                if line["kind"] == "state" and min(60.0, SECONDS / 3) < line["position_s"] < SECONDS - 5:
                    used.append(memory_mib(live.pid))
                elif line["kind"] == "account":
                    account = line
            assert live.wait() == EXIT_OK, (tmp_path / "errors.txt").read_text()
        finally:
            ending.cancel()
            live.kill()
            live.wait()
    assert max(used) - used[0] < GROWTH_MIB
    assert account["not_heard_s"] == 0
    assert account["captured_samples"] == account["scored_samples"] + account["discarded_samples"]
    # The rest of the time is the device's start.
    assert SECONDS - 5 < account["scored_samples"] / RATE < SECONDS + 1
    assert '"gap"' not in events.read_text()
