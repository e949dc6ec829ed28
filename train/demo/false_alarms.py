"""`monitor demo --hours`: counts the false alarms in hours of a healthy synthetic machine."""

from __future__ import annotations

import math
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.cli.output import say
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.text import counted
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.sources.generated import GeneratedSource
from train.calibration.tail_model import upper_rate
from train.commands.calibrate import calibrate
from train.commands.progress import ConsoleProgress
from train.commands.train import save_over
from train.demo.demo import learn, record
from train.demo.machine import Machine, MachineSound

RELEARN_S, PIECE_S = 21_600.0, 600.0
SEED_OF_RELEARNING, SEED_OF_LISTENING = 2000, 3000  # other than the seeds of the training recordings


def count_false_alarms(config: Config, out: Path, hours: float) -> None:
    """Counts false alarms of a model trained on minutes, then with reference distributions fitted to hours of sound.

    Args:
        config: the settings.
        out: folder for the recordings and the model.
        hours: hours of normal sound in which false alarms are counted.

    Raises:
        MonitorError: if a recording or the model cannot be written.
    """
    rate = config.features.sample_rate
    model = learn(config, out)
    bundle = load_bundle(model)
    say(f"Listening to {hours:g} hours of it, with people and carts that pass by …")
    say(_account(bundle, hours, _false_alarms(bundle, config, hours)))
    say(f"Fitting new references to {RELEARN_S / 3600:.2g} hours of it …")
    pieces = [out / "hours" / f"{number:02d}.wav" for number in range(round(RELEARN_S / PIECE_S))]
    for number, piece in enumerate(pieces):
        sound = MachineSound(Machine(sample_rate=rate, seed=SEED_OF_RELEARNING + number))
        record(piece, sound.read(round(PIECE_S * rate)), rate)
    with ConsoleProgress() as progress:
        relearnt = calibrate(bundle, config, pieces, progress, relearn=True, force=True)
    save_over(relearnt, model)
    say(_account(relearnt, hours, _false_alarms(relearnt, config, hours)))


def _false_alarms(bundle: Bundle, config: Config, hours: float) -> int:
    """Counts the anomalies in `hours` of normal sound, each hour with another seed."""
    rate, count = bundle.config.features.sample_rate, 0
    with ConsoleProgress() as progress:
        for hour in range(math.ceil(hours)):
            sound = MachineSound(Machine(sample_rate=rate, seed=SEED_OF_LISTENING + hour))
            length_s = 3600 * min(1.0, hours - hour)
            source = GeneratedSource(sound, rate, "the simulated machine", length_s=length_s, speed=math.inf)
            engine = build_engine([StreamPlan(bundle, config, source)], device=config.train.device)
            with engine:
                engine.wait()
            if engine.error is not None:
                raise DataError(str(engine.error))
            count += engine.anomalies
            progress.doing("Counting false alarms", (hour + 1) / math.ceil(hours))
    return count


def _account(bundle: Bundle, hours: float, alarms: int) -> str:
    budget = bundle.config.calibration.false_alarms_per_day
    return (
        f"  {counted(alarms, 'false alarm')} in {hours:g} hours: {alarms / hours * 24:.3g} a day, at most "
        f"{upper_rate(alarms, hours * 3600):.3g} with 95 % confidence; the budget is {budget:g}."
    )
