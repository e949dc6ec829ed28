"""`monitor demo`: trains a model on recordings of a simulated machine, and monitors this machine as a fault begins."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.output import say
from monitor.config.schema import Config
from monitor.core.events import CAUSES
from monitor.core.text import counted
from monitor.outputs.event_log import EventLog
from monitor.outputs.sink import Sink
from monitor.runtime.builder import StreamPlan, model_name
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.session import Session, Show
from monitor.sources.file_replay import FileReplay
from train.commands import train as training
from train.commands.progress import ConsoleProgress
from train.demo.machines import MACHINES, SimulatedMachine, fault_of
from train.demo.modes import Change
from train.demo.stream import SoundStream

RECORDINGS, RECORDING_S = 36, 10.0
EPOCHS = 12
STREAM_S, ONSET_S, RAMP_S = 45.0, 20.0, 5.0
SEED_OF_STREAM = 1000  # other than the seeds of the training recordings
CHANGE_S = (5.0, 15.0)  # a machine with modes changes between these times, so that a change is heard before the fault


def run_demo(
    config: Config,
    out: Path,
    name: str,
    fault: str | None,
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
        name: name of the machine, one of `train.demo.machines.MACHINES`.
        fault: one of its faults; None: the first one.
        speed: speed of the replay, in times real time; None: real time, or as fast as possible if `headless`.
        headless: whether there is no dashboard.
        events: file for the events, if wanted.
        show: shows the dashboard.

    Raises:
        ConfigError: if the machine has no such fault.
    """
    fault, machine, rate = fault_of(name, fault), MACHINES[name], config.features.sample_rate
    began = time.monotonic()
    broken = out / f"{fault}.wav"
    sound = _breaking(machine, fault, rate)
    changes = list(itertools.takewhile(lambda change: change.start_s < STREAM_S, sound.changes()))
    record(broken, sound, STREAM_S, rate)
    model = learn(config, out, machine)
    say(f"Ready after {time.monotonic() - began:.0f} s. Now it is heard live, and after {ONSET_S:.0f} s it breaks.")
    bundle = load_bundle(model)
    source = FileReplay([broken], rate, speed=speed or (float("inf") if headless else 1.0))
    sinks: list[Sink] = [EventLog(events, wait=True)] if events else []
    plan = StreamPlan(bundle, config, source, model_name(model, bundle), sinks=sinks)
    session = Session([plan], device=config.train.device, precision=config.listening.precision)
    session.run(show=show)
    if session.error is not None:
        raise session.error
    say(_story(session.streams[0], fault, changes))
    say(_next_commands(model, broken, name, fault))


def learn(config: Config, out: Path, machine: SimulatedMachine) -> Path:
    """Creates recordings of a healthy machine, and trains a model on them; returns the file of the model."""
    rate = config.features.sample_rate
    say(f"Recording a simulated {machine.title} in normal operation: {RECORDINGS} times {RECORDING_S:.0f} s …")
    for number in range(RECORDINGS):
        record(out / "normal" / f"normal_{number:03d}.wav", machine.sound(rate, number), RECORDING_S, rate)
    return train_on(config, out / "normal", out)


def train_on(config: Config, recordings: Path, out: Path) -> Path:
    """Trains a model on the recordings in a folder, in few epochs; returns the file of the model."""
    say("Learning how it sounds …")
    short = config.train.model_copy(update={"epochs": EPOCHS})
    with ConsoleProgress() as progress:
        training.train(config.model_copy(update={"train": short}), recordings, out, progress)
    return out / training.BUNDLE_FILE


def record(path: Path, sound: SoundStream, seconds: float, rate: int) -> None:
    """Writes the next seconds of a sound as a WAV file of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(sound.read(round(seconds * rate))), rate, subtype="PCM_16")


def _breaking(machine: SimulatedMachine, fault: str, rate: int) -> SoundStream:
    """The sound of the machine as the fault begins; if it has operating modes, one changes to another before that."""
    earliest_s, latest_s = CHANGE_S
    for seed in itertools.count(SEED_OF_STREAM):
        sound = machine.sound(rate, seed, passing_noises=False, fault=fault, onset_s=ONSET_S, ramp_s=RAMP_S)
        first = next(sound.changes(), None)
        if first is None or earliest_s <= first.start_s <= latest_s:
            break
    return sound


def _story(stream: MonitoredStream, fault: str, changes: Sequence[Change]) -> str:
    heard_s = stream.results[-1].seconds if stream.results else 0.0
    if heard_s <= ONSET_S:
        return f"You left before the {fault} fault set in, at {ONSET_S:.0f} s."
    anomalies = [event for event in stream.events if event.kind == "anomaly"]
    # That the recording as a whole is unusual is known at its end only, and has no beginning within it.
    alarms = [event for event in anomalies if event.cause != "recording"]
    false = [event for event in alarms if event.start_s < ONSET_S]
    true = [event for event in alarms if event.start_s >= ONSET_S]
    heard = [change for change in changes if change.start_s < heard_s]
    lines = [f"At {change.start_s:.0f} s its speed changed: {change.mode.name}." for change in heard]
    lines.append(f"The {fault} fault began to grow at {ONSET_S:.0f} s, over {RAMP_S:.0f} s.")
    if true:
        first = true[0]
        lines.append(
            f"The monitor called it an anomaly that began at {first.start_s:.1f} s ({CAUSES[first.cause]}); its score "
            f"rose to {100 * first.peak / first.threshold:,.0f} % of the limit."
        )
    elif len(alarms) < len(anomalies):
        lines.append(f"No alarm sounded then, but the recording as a whole was {CAUSES['recording']} of its length.")
    else:
        lines.append("The monitor did not call it an anomaly.")
    lines.append(f"Before that there {_was(len(false))}.")
    return "\n".join(lines)


def _was(false_alarms: int) -> str:
    if not false_alarms:
        return "was no false alarm"
    return f"{'was' if false_alarms == 1 else 'were'} {counted(false_alarms, 'false alarm')}"


def _next_commands(model: Path, recording: Path, name: str, fault: str) -> str:
    first, *others = (other for other in MACHINES[name].faults if other != fault)
    machines = [other for other in MACHINES if other != name]
    return f"""
Look again, or try the other faults, and the other machines:
  monitor replay {model} {recording}
  monitor demo{"" if name == "motor" else f" --machine {name}"} --fault {first}        (or {", ".join(others)})
  monitor demo --machine {machines[0]}        (or {", ".join(machines[1:])})
For your own machine, put some minutes of recordings of it, when it is well, into a folder:
  monitor train recordings/ --out runs/mine
  monitor replay runs/mine/model.safetensors another-recording.wav"""
