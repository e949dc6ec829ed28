"""`monitor demo`: an invented machine is recorded, learnt, and breaks."""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import soundfile

from monitor.bundle.bundle import load_bundle
from monitor.config.schema import Config
from monitor.runtime.session import listen, station_for
from monitor.outputs.sink import EventLog
from monitor.core.snapshot import FloatArray
from monitor.sources.source import WavReplay
from monitor.runtime.monitored_stream import Station
from train.demo.synthetic import Machine, MachineSound
from train.commands import train as run
from train.commands.progress import ConsoleProgress

RECORDINGS, RECORDING_S = 36, 10.0
EPOCHS = 12
STREAM_S, ONSET_S, RAMP_S = 45.0, 20.0, 5.0
SEED_OF_STREAM = 1000  # a moment of the machine that was not trained on


def run_demo(
    config: Config, out: Path, fault: str, *, speed: float | None, headless: bool, events: Path | None
) -> None:
    """Makes recordings of a healthy machine, trains on them, and listens to one on which a fault sets in.

    Raises:
        ConfigError: if the fault is not known.
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
    click.echo(
        f"Ready after {time.monotonic() - began:.0f} s. Now it is heard live, and after {ONSET_S:.0f} s it breaks."
    )
    bundle = load_bundle(model)
    source = WavReplay([broken], rate, speed=speed or (float("inf") if headless else 1.0))
    sinks = [EventLog(events, wait=True)] if events else []
    station = station_for(bundle, config, source, model=model, sinks=sinks)
    engine = listen([station], config, headless=headless)
    if engine.error is not None:
        raise engine.error
    click.echo(_story(station, fault))
    click.echo(_next_commands(model, broken))


def learn(config: Config, out: Path) -> Path:
    """Makes recordings of a healthy machine, and trains a model on them; returns its file."""
    rate = config.features.sample_rate
    click.echo(f"Recording an invented machine while it is well: {RECORDINGS} times {RECORDING_S:.0f} s …")
    for number in range(RECORDINGS):
        well = MachineSound(Machine(sample_rate=rate, seed=number))
        record(out / "normal" / f"normal_{number:03d}.wav", well.read(round(RECORDING_S * rate)), rate)
    click.echo("Learning how it sounds …")
    training = config.train.model_copy(update={"epochs": EPOCHS})
    with ConsoleProgress() as progress:
        run.train(config.model_copy(update={"train": training}), out / "normal", out, progress)
    return out / run.BUNDLE_FILE


def record(path: Path, samples: FloatArray, rate: int) -> None:
    """Writes a recording of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(samples), rate, subtype="PCM_16")


def _story(station: Station, fault: str) -> str:
    heard_s = station.results[-1].seconds if station.results else 0.0
    if heard_s <= ONSET_S:
        return f"You left before the {fault} fault set in, at {ONSET_S:.0f} s."
    anomalies = [event for event in station.events if event.kind == "anomaly"]
    false = [event for event in anomalies if event.start_s < ONSET_S]
    true = [event for event in anomalies if event.start_s >= ONSET_S]
    lines = [f"The {fault} fault began to grow at {ONSET_S:.0f} s, over {RAMP_S:.0f} s."]
    if true:
        first = true[0]
        lines.append(
            f"The monitor called it an anomaly that began at {first.start_s:.1f} s; its score rose to "
            f"{first.peak / first.threshold:.0f} times the threshold."
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
