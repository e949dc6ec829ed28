"""`monitor demo --hours`: how many false alarms there are in hours of an invented machine that is well."""

from __future__ import annotations

import math
from pathlib import Path

import click

from monitor.bundle.bundle import Bundle, load_bundle
from monitor.config.schema import Config
from monitor.runtime.engine import Engine
from monitor.core.errors import DataError
from monitor.model.autoencoder import choose_device
from monitor.sources.source import Synthetic
from monitor.runtime.monitored_stream import Station
from train.demo.synthetic import Machine, MachineSound
from monitor.core.text import counted
from train.commands import evaluate as assess
from train.commands import train as run
from train.demo.demo import learn, record
from train.commands.progress import ConsoleProgress
from train.calibration.tail_model import upper_rate

RELEARN_S, PIECE_S = 21_600.0, 600.0
SEED_OF_RELEARNING, SEED_OF_VIGIL = 2000, 3000  # moments of the machine that were not trained on


def keep_vigil(config: Config, out: Path, hours: float) -> None:
    """Learns an invented machine from minutes, then from hours, and listens to hours of it after each.

    Raises:
        MonitorError: if a recording or the model cannot be written.
    """
    rate = config.features.sample_rate
    model = learn(config, out)
    bundle = load_bundle(model)
    click.echo(f"Listening to {hours:g} hours of it, with people and carts that pass by …")
    click.echo(_account(bundle, hours, _false_alarms(bundle, config, hours)))
    click.echo(f"Learning anew what is normal from {RELEARN_S / 3600:.2g} hours of it …")
    pieces = [out / "hours" / f"{number:02d}.wav" for number in range(round(RELEARN_S / PIECE_S))]
    for number, piece in enumerate(pieces):
        sound = MachineSound(Machine(sample_rate=rate, seed=SEED_OF_RELEARNING + number))
        record(piece, sound.read(round(PIECE_S * rate)), rate)
    with ConsoleProgress() as progress:
        relearnt = assess.calibrate(bundle, config, pieces, progress, relearn=True)
    run.save_over(relearnt, model)
    click.echo(_account(relearnt, hours, _false_alarms(relearnt, config, hours)))


def _false_alarms(bundle: Bundle, config: Config, hours: float) -> int:
    """Anomalies in so many hours, each hour another moment of the machine."""
    rate, count = bundle.config.features.sample_rate, 0
    with ConsoleProgress() as progress:
        for hour in range(math.ceil(hours)):
            sound = MachineSound(Machine(sample_rate=rate, seed=SEED_OF_VIGIL + hour))
            length_s = 3600 * min(1.0, hours - hour)
            source = Synthetic(sound, rate, "the invented machine", length_s=length_s, speed=math.inf)
            device = choose_device(config.train.device)
            engine = Engine([Station(bundle, source, config, model_name="invented")], device)
            engine.start()
            engine.wait()
            if engine.error is not None:
                raise DataError(str(engine.error))
            count += engine.anomalies
            progress.doing("Listening", (hour + 1) / math.ceil(hours))
    return count


def _account(bundle: Bundle, hours: float, alarms: int) -> str:
    budget = bundle.config.calibration.false_alarms_per_day
    return (
        f"  {counted(alarms, 'false alarm')} in {hours:g} hours: {alarms / hours * 24:.3g} a day, at most "
        f"{upper_rate(alarms, hours * 3600):.3g} with 95 % confidence; the budget is {budget:g}."
    )
