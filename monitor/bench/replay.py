"""Section "replay": the speed of a replay compared with scoring one window at a time, and the start-up time."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from monitor.bench.peak_flops import streams_at_most
from monitor.bench.targets import Target
from monitor.bench.timing import Section, time_all
from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.core.thread_pool import single_threaded_blas
from monitor.core.types import FloatArray
from monitor.outputs.score_log import ScoreLog
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.runtime.session import low_latency
from monitor.sources.file_replay import FileReplay
from monitor.streaming.stream_batch import StreamBatch

SECONDS = 600.0  # length of the recording
SINGLY_S = 20.0  # the part of it that is scored one window at a time
STARTS = 3  # times that each command is started


def measure(bundle: Bundle) -> Section:
    """Measures a replay at full speed that writes scores, the same one window at a time, and starts of commands."""
    features = bundle.config.features
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wav, model = folder / "sound.wav", folder / "model.safetensors"
        sound = 0.03 * np.random.default_rng(0).standard_normal(round(SECONDS * features.sample_rate), np.float32)
        soundfile.write(wav, sound, features.sample_rate, subtype="PCM_16")
        save_bundle(bundle, model)
        beginning = sound[: round(SINGLY_S * features.sample_rate)]

        timings = time_all(
            {
                "ours": lambda: _replay(bundle, wav, folder / "scores.csv"),
                "singly": lambda: _singly(bundle, beginning, folder / "singly.csv"),
            },
            rounds=3,
        )
        ours, singly = SECONDS / timings.seconds("ours"), SINGLY_S / timings.seconds("singly")
        at_most = streams_at_most(bundle.config, "float32")
        ratio = timings.ratio("singly", "ours") * SECONDS / SINGLY_S
        short = folder / "second.wav"
        soundfile.write(short, sound[: features.sample_rate], features.sample_rate, subtype="PCM_16")
        help_s = _start_time(["--help"])
        replay = ["replay", str(model), str(short), "--speed", "max", "--headless"]
        scored_s, memory = _start_time(replay), _peak_memory(replay)
    figures: dict[str, object] = {
        "times_real_time": ours,
        "at_most": at_most,
        "over_one_window_at_a_time": ratio,
        "help_s": help_s,
        "second_scored_s": scored_s,
        "memory_bytes": memory,
    }
    lines = [
        f"replay, scores written {ours:6,.0f} times real time; the products of a plain network allow {at_most:,.0f}",
        f"one window at a time   {singly:6,.0f} times real time; the replay is {ratio:5.1f} times as fast",
        f"monitor --help takes {help_s:.2f} s (aim: 0.3)",
        f"monitor replay of one second takes {scored_s:.1f} s and {memory / 2**20:,.0f} MiB",
    ]
    targets = [
        Target("replay of one recording, scores written: share of what the products allow", ours / at_most, 0.85),
        Target("monitor replay of one second, from start to end", scored_s, 0.8, "s", at_most=True),
        Target("  its memory", memory / 2**20 if memory else math.nan, 150, "MiB", at_most=True),
    ]
    return Section(figures, lines, targets)


def _replay(bundle: Bundle, wav: Path, scores: Path) -> None:
    features = bundle.config.features
    scores.unlink(missing_ok=True)
    source = FileReplay([wav], features.sample_rate, features.channel, speed=float("inf"))
    plan = StreamPlan(bundle, bundle.config, source, "bench", sinks=[ScoreLog(scores)])
    engine = build_engine([plan], device="cpu", precision="float32")
    with engine:
        engine.wait()
    if engine.error is not None:
        raise engine.error


def _singly(bundle: Bundle, sound: FloatArray, scores: Path) -> None:
    """Computes the same scores one hop at a time, on one thread, which is faster than two for so few windows."""
    hop, batch = bundle.config.features.hop_length, StreamBatch(bundle)
    with low_latency(), single_threaded_blas(), scores.open("w") as file:
        for start in range(0, len(sound) // hop * hop, hop):
            [portion] = batch.push(sound[None, start : start + hop], (0,)).portions()
            for error, score in zip(portion.error.tolist(), portion.score.tolist(), strict=True):
                file.write(f"{start / hop:.0f},{error:.9g},{score:.9g}\n")


def _peak_memory(arguments: list[str]) -> int:
    """The peak resident memory of a command in bytes; 0 if the system has no /proc/self/status."""
    script = "import sys; from monitor.cli.main import run; run(sys.argv[1:]); print(open('/proc/self/status').read())"
    if not Path("/proc/self/status").exists():
        return 0
    run = subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True)
    return int(run.stdout.partition("VmHWM:")[2].split()[0]) * 1024


def _start_time(arguments: list[str]) -> float:
    """The median seconds that a command takes from start to end."""
    times = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "monitor", *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return sorted(times)[STARTS // 2]
