"""How fast one recording is judged with its scores written, beside one window at a time; and how long a start takes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from monitor.bench.timing import Section, race
from monitor.bundle.bundle import Bundle, save_bundle
from monitor.runtime.engine import Engine
from monitor.runtime.session import prompt
from monitor.outputs.sink import ScoreLog
from monitor.sources.source import WavReplay
from monitor.runtime.monitored_stream import Station
from monitor.streaming.stream import ScoreStream

SECONDS = 600.0  # of sound
SINGLY_S = 20.0  # of it that are judged one window at a time
STARTS = 3


def measure(bundle: Bundle) -> Section:
    """Times real time of a replay as fast as possible, its rival's, and the seconds that commands take to start."""
    features = bundle.config.features
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wav, model = folder / "sound.wav", folder / "model.safetensors"
        sound = 0.03 * np.random.default_rng(0).standard_normal(round(SECONDS * features.sample_rate), np.float32)
        soundfile.write(wav, sound, features.sample_rate, subtype="PCM_16")
        save_bundle(bundle, model)
        few = torch.from_numpy(sound[: round(SINGLY_S * features.sample_rate)])

        timings = race(
            {
                "ours": lambda: _replay(bundle, wav, folder / "scores.csv"),
                "singly": lambda: _singly(bundle, few, folder / "singly.csv"),
            },
            rounds=3,
        )
        ours, singly = SECONDS / timings.seconds("ours"), SINGLY_S / timings.seconds("singly")
        ratio = timings.ratio("singly", "ours") * SECONDS / SINGLY_S
        short = folder / "second.wav"
        soundfile.write(short, sound[: features.sample_rate], features.sample_rate, subtype="PCM_16")
        help_s = _started(["--help"])
        second = ["replay", str(model), str(short), "--speed", "max", "--headless"]
        judged_s, memory = _started(second), _memory(second)
    figures: dict[str, object] = {
        "times_real_time": ours,
        "over_one_window_at_a_time": ratio,
        "help_s": help_s,
        "second_judged_s": judged_s,
        "memory_bytes": memory,
    }
    lines = [
        f"one stream, scores written {ours:6,.0f} times real time (aim: 400)",
        f"one window at a time       {singly:6,.0f} times real time; ours {ratio:5.1f} times as fast",
        f"monitor --help takes {help_s:.2f} s (aim: 0.3); to start and judge a second of sound takes {judged_s:.1f} s "
        "(aim: 4)",
        f"which takes {memory / 2**20:,.0f} MiB of memory (aim: 450)",
    ]
    return Section(figures, lines)


def _replay(bundle: Bundle, wav: Path, scores: Path) -> None:
    features = bundle.config.features
    source = WavReplay([wav], features.sample_rate, features.channel, speed=float("inf"))
    engine = Engine([Station(bundle, source, bundle.config, model_name="bench", sinks=[ScoreLog(scores)])])
    engine.start()
    engine.wait()
    engine.stop()
    if engine.error is not None:
        raise engine.error


def _singly(bundle: Bundle, sound: torch.Tensor, scores: Path) -> None:
    """The same scores from the same parts, a hop at a time; one thread, which is quicker than two for so little."""
    hop, stream = bundle.config.features.hop_length, ScoreStream(bundle)
    with prompt(), scores.open("w") as file:
        for start in range(0, len(sound), hop):
            _, found = stream.push(sound[None, start : start + hop])
            for error, score in zip(found.error[0].tolist(), found.score[0].tolist(), strict=True):
                file.write(f"{start / hop:.0f},{error:.9g},{score:.9g}\n")


def _memory(arguments: list[str]) -> int:
    """Bytes that a command has in memory at most; 0 where the system does not say."""
    script = "import sys; from monitor.cli.main import run; run(sys.argv[1:]); print(open('/proc/self/status').read())"
    if not Path("/proc/self/status").exists():
        return 0
    run = subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True)
    return int(run.stdout.partition("VmHWM:")[2].split()[0]) * 1024


def _started(arguments: list[str]) -> float:
    """Seconds that a command takes from its start to its end: the median."""
    took = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "monitor", *arguments], check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    return sorted(took)[STARTS // 2]
