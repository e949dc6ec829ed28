"""`monitor demo`: trains a model on recordings of a synthetic machine, and monitors this machine as a fault begins."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import soundfile

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.output import say
from monitor.config.schema import Config
from monitor.core.types import FloatArray
from monitor.outputs.event_log import EventLog
from monitor.outputs.sink import Sink
from monitor.runtime.builder import StreamPlan, model_name
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.session import Session, Show
from monitor.sources.file_replay import FileReplay
from train.commands import train as training
from train.commands.progress import ConsoleProgress
from train.demo.machine import Machine, MachineSound

RECORDINGS, RECORDING_S = 36, 10.0
EPOCHS = 12
STREAM_S, ONSET_S, RAMP_S = 45.0, 20.0, 5.0
SEED_OF_STREAM = 1000  # other than the seeds of the training recordings


def run_demo(
    config: Config,
    out: Path,
    fault: str,
    *,
    speed: float | None,
    headless: bool,
    events: Path | None,
    show: Show | None = None,
) -> None:
    """Creates recordings of a healthy machine, trains a model on them, and monitors the machine as a fault begins.

    Args:
        config: the settings.
        out: folder for the recordings and the model.
        fault: one of `train.demo.machine.FAULTS`.
        speed: speed of the replay, in times real time; None: real time, or as fast as possible if `headless`.
        headless: whether there is no dashboard.
        events: file for the events, if wanted.
        show: shows the dashboard.

    Raises:
        ConfigError: if the fault is unknown.
    """
    rate = config.features.sample_rate
    began = time.monotonic()
    stream = MachineSound(
        Machine(sample_rate=rate, seed=SEED_OF_STREAM, passing_noises=False),
        fault=fault,
        onset_s=ONSET_S,
        ramp_s=RAMP_S,
    )
    broken = out / f"{fault}.wav"
    record(broken, stream.read(round(STREAM_S * rate)), rate)
    model = learn(config, out)
    say(f"Ready after {time.monotonic() - began:.0f} s. Now it is heard live, and after {ONSET_S:.0f} s it breaks.")
    bundle = load_bundle(model)
    source = FileReplay([broken], rate, speed=speed or (float("inf") if headless else 1.0))
    sinks: list[Sink] = [EventLog(events, wait=True)] if events else []
    plan = StreamPlan(bundle, config, source, model_name(model, bundle), sinks=sinks)
    session = Session([plan], device=config.train.device, precision=config.listening.precision)
    session.run(show=show)
    if session.error is not None:
        raise session.error
    say(_story(session.streams[0], fault))
    say(_next_commands(model, broken))


def learn(config: Config, out: Path) -> Path:
    """Creates recordings of a healthy machine, and trains a model on them; returns the file of the model."""
    rate = config.features.sample_rate
    say(f"Recording a simulated machine in normal operation: {RECORDINGS} times {RECORDING_S:.0f} s …")
    for number in range(RECORDINGS):
        well = MachineSound(Machine(sample_rate=rate, seed=number))
        record(out / "normal" / f"normal_{number:03d}.wav", well.read(round(RECORDING_S * rate)), rate)
    say("Learning how it sounds …")
    short = config.train.model_copy(update={"epochs": EPOCHS})
    with ConsoleProgress() as progress:
        training.train(config.model_copy(update={"train": short}), out / "normal", out, progress)
    return out / training.BUNDLE_FILE


def record(path: Path, samples: FloatArray, rate: int) -> None:
    """Writes samples (n,) as a WAV file of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(samples), rate, subtype="PCM_16")


def _story(stream: MonitoredStream, fault: str) -> str:
    heard_s = stream.results[-1].seconds if stream.results else 0.0
    if heard_s <= ONSET_S:
        return f"You left before the {fault} fault set in, at {ONSET_S:.0f} s."
    anomalies = [event for event in stream.events if event.kind == "anomaly"]
    false = [event for event in anomalies if event.start_s < ONSET_S]
    true = [event for event in anomalies if event.start_s >= ONSET_S]
    lines = [f"The {fault} fault began to grow at {ONSET_S:.0f} s, over {RAMP_S:.0f} s."]
    if true:
        first = true[0]
        lines.append(
            f"The monitor called it an anomaly that began at {first.start_s:.1f} s; its score rose to "
            f"{100 * first.peak / first.threshold:,.0f} % of the limit."
        )
    else:
        lines.append("The monitor did not call it an anomaly.")
    lines.append(
        f"Before that there were {len(false)} false alarms." if false else "Before that there was no false alarm."
    )
    return "\n".join(lines)


def _next_commands(model: Path, recording: Path) -> str:
    return f"""
Look again, or try the other faults:
  monitor replay {model} {recording}
  monitor demo --fault imbalance        (or belt, gear)
For your own machine, put some minutes of recordings of it, when it is well, into a folder:
  monitor train recordings/ --out runs/mine
  monitor replay runs/mine/model.safetensors another-recording.wav"""
