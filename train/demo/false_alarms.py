"""`monitor demo --hours` and `--days`: counts the false alarms in hours or days of a healthy simulated machine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.cli.output import say
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.text import counted, duration_text
from monitor.runtime.builder import StreamPlan, build_engine
from monitor.sources.generated import GeneratedSource
from train.calibration.tail_model import DAY_S, upper_rate
from train.commands.calibrate import calibrate
from train.commands.model_files import save_over
from train.commands.progress import ConsoleProgress
from train.demo.days import day
from train.demo.demo import RECORDING_S, learn, record, train_on
from train.demo.machines import SimulatedMachine
from train.demo.stream import SoundStream

RELEARN_S, PIECE_S = 21_600.0, 600.0
# Other than the seeds of the training recordings.
SEED_OF_RELEARNING, SEED_OF_LISTENING, SEED_OF_DAYS = 2000, 3000, 4000
HOUR_S = 3600.0
FIRST_DAY, TRAINING_DAYS = date(2026, 3, 2), 4
TRAINING_TIMES, TRAINING_S = ("0815", "1430"), 300.0  # of each training day: begins of recordings, and their length
LISTENED_S = 1200.0  # of each further day

Part = tuple[SoundStream, float]  # a part of the normal sound that is listened to, and its length in seconds


def count_over_hours(config: Config, out: Path, machine: SimulatedMachine, hours: float) -> None:
    """Counts false alarms of a model trained on minutes, then with reference distributions fitted to hours of sound.

    Args:
        config: the settings.
        out: folder for the recordings and the model.
        machine: the machine.
        hours: hours of normal sound in which false alarms are counted.

    Raises:
        MonitorError: if a recording or the model cannot be written.
    """
    rate = config.features.sample_rate

    def listen(bundle: Bundle) -> None:
        lengths_h = [min(1.0, hours - hour) for hour in range(math.ceil(hours))]
        parts = ((machine.sound(rate, SEED_OF_LISTENING + n), HOUR_S * h) for n, h in enumerate(lengths_h))
        alarms = _count(bundle, config, parts, len(lengths_h))
        say(_account(bundle, sum(alarms), hours * HOUR_S, f"{hours:g} hours"))

    model = learn(config, out, machine)
    bundle = load_bundle(model)
    say(f"Listening to {hours:g} hours of it, with people and carts that pass by …")
    listen(bundle)
    say(f"Fitting new references to {RELEARN_S / HOUR_S:.2g} hours of it …")
    pieces = [out / "hours" / f"{number:02d}.wav" for number in range(round(RELEARN_S / PIECE_S))]
    for number, piece in enumerate(pieces):
        record(piece, machine.sound(rate, SEED_OF_RELEARNING + number), PIECE_S, rate)
    with ConsoleProgress() as progress:
        relearnt = calibrate(bundle, config, pieces, progress, relearn=True, force=True)
    save_over(relearnt, model)
    listen(relearnt)


def count_over_days(config: Config, out: Path, machine: SimulatedMachine, days: int) -> None:
    """Counts false alarms on the days that follow those from which the model was trained.

    On each day the place of the microphone, the resonances and the level of the room differ (`train.demo.days`).

    Args:
        config: the settings.
        out: folder for the recordings and the model.
        machine: the machine.
        days: number of days after the training days; LISTENED_S of each are heard.

    Raises:
        MonitorError: if a recording or the model cannot be written.
    """
    rate = config.features.sample_rate

    def sound(number: int, place: int = 0) -> SoundStream:
        return machine.sound(rate, SEED_OF_DAYS + 10 * number + place, day=day(number))

    minutes = duration_text(len(TRAINING_TIMES) * TRAINING_S)
    say(f"Recording a simulated {machine.title} in normal operation: {minutes} on each of {TRAINING_DAYS} days …")
    for number in range(TRAINING_DAYS):
        for place, at in enumerate(TRAINING_TIMES):
            recorded = sound(number, place)
            for piece in range(round(TRAINING_S / RECORDING_S)):
                record(out / "days" / f"{_date(number)}_{at}_{piece:02d}.wav", recorded, RECORDING_S, rate)
    bundle = load_bundle(train_on(config, out / "days", out))
    further = range(TRAINING_DAYS, TRAINING_DAYS + days)
    say(f"Listening to {duration_text(LISTENED_S)} of each of the next {counted(days, 'day')} …")
    alarms = _count(bundle, config, ((sound(number), LISTENED_S) for number in further), days)
    for number, count in zip(further, alarms, strict=True):
        say(f"  {_date(number)}: {counted(count, 'false alarm') if count else 'no false alarm'}")
    seconds = days * LISTENED_S
    say(_account(bundle, sum(alarms), seconds, f"{duration_text(seconds)} of {counted(days, 'day')}"))


def _date(number: int) -> date:
    return FIRST_DAY + timedelta(number)


def _count(bundle: Bundle, config: Config, parts: Iterable[Part], total: int) -> list[int]:
    """Counts the anomalies in each of `total` parts of normal sound."""
    rate, counts = bundle.config.features.sample_rate, []
    with ConsoleProgress() as progress:
        for sound, length_s in parts:
            source = GeneratedSource(sound, rate, "the simulated machine", length_s=length_s, speed=math.inf)
            engine = build_engine([StreamPlan(bundle, config, source)], device=config.train.device)
            with engine:
                engine.wait()
            if engine.error is not None:
                raise DataError(str(engine.error))
            counts.append(engine.anomalies)
            progress.doing("Counting false alarms", len(counts) / total)
    return counts


def _account(bundle: Bundle, alarms: int, seconds: float, heard: str) -> str:
    """The rate of the false alarms that were found, beside the budget and what the calibration stated."""
    budget, stated = bundle.config.calibration.false_alarms_per_day, bundle.thresholds["score"].upper
    told = "" if stated is None else f" The calibration had stated at most {stated:.3g}."
    return (
        f"  {counted(alarms, 'false alarm')} in {heard}: {alarms / seconds * DAY_S:.3g} a day, at most "
        f"{upper_rate(alarms, seconds):.3g} with 95 % confidence; the budget is {budget:g}.{told}"
    )
