"""`monitor demo --week`: a week of a plant in minutes, by the commands that a user has.

Each hour is represented by a minute of sound with the time of that hour. A model is trained on half an hour of one
Monday, and listens to the week three times: as it is; learning each night; and with up to ten verdicts after
two days.
"""

from __future__ import annotations

import bisect
import contextlib
import datetime
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.cli.output import say
from monitor.config.schema import Config
from monitor.core.errors import MonitorError
from monitor.core.text import counted
from train.commands import train as training
from train.commands.progress import ConsoleProgress
from train.demo.plant_week import DAYS, HOUR_S, WEAR_DAYS, Hour, hour_sound, hours, training_sound, write

THURSDAY = 3  # as `date.weekday` counts: the week begins so that its last two days are workdays
STREAM = "motor"  # the stream is named by the folder of its model
TRAINING_PARTS, TRAINING_PART_S, EPOCHS = 30, 60.0, 4
JUDGED_DAYS, VERDICTS = 2, 10
HEALTHY_DAYS = DAYS - WEAR_DAYS
# An hour is a minute here: what the settings say of sound is as much shorter.
SETTINGS = """\
# Settings of the demo of a week: an hour is represented by a minute of sound.
normal: {every_s: 20, wait_s: 10, speech: keep}
clips: {speech: keep}
# With drift, recordings are not judged as a whole at their ends: `monitor live` has no ends of recordings either.
drift: {enabled: true}
"""


@dataclass
class Pass:
    """One way to listen to the week, in a state folder of its own."""

    title: str
    state: Path
    anomalies: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Week:
    """The files of the demo, and its commands.

    Args:
        folder: of the demo.
        hours: of the week, in their order.
    """

    folder: Path
    hours: tuple[Hour, ...]

    @property
    def model(self) -> Path:
        """The model that was trained on Monday."""
        return self.folder / STREAM / training.BUNDLE_FILE

    def recordings(self, day: int) -> list[Path]:
        """The recordings of the hours of a day."""
        return [self.recording(hour) for hour in self.hours if hour.day == day]

    def recording(self, hour: Hour) -> Path:
        """The recording that stands for an hour."""
        return self.folder / "week" / f"{hour.began:%Y-%m-%d_%H00}.wav"

    def hour_at(self, unix_time: float) -> Hour:
        """The hour in which something began."""
        begins = [hour.began.timestamp() for hour in self.hours]
        return self.hours[max(0, bisect.bisect_right(begins, unix_time) - 1)]

    def monitor(self, *arguments: str | Path) -> str:
        """Runs a command of the program, and returns what it prints; all of it is in `week.log`.

        Raises:
            MonitorError: if it fails.
        """
        words = [*map(str, arguments), "--config", str(self.folder / "week.yaml")]
        done = subprocess.run([sys.executable, "-m", "monitor", *words], capture_output=True, text=True, check=False)
        with (self.folder / "week.log").open("a", encoding="utf-8") as log:
            log.write(f"$ monitor {' '.join(words)}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            raise MonitorError(f"monitor {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def listen(self, one: Pass, day: int) -> None:
        """Lets the monitor hear a day."""
        files = self.recordings(day)
        self.monitor("replay", self.model, *files, "--state", one.state, "--speed", "max", "--headless")

    def look(self, one: Pass) -> None:
        """Reads the anomalies of a pass."""
        printed = self.monitor(
            "events", "--state", one.state, "--kind", "anomaly", "--limit", "100000", "--json",
        )  # fmt: skip
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        one.anomalies = sorted(lines, key=lambda event: event["onset"])


def run_week(config: Config, out: Path) -> None:
    """Makes the week, listens to it three times, and prints what came of it.

    Args:
        config: the settings of the training.
        out: folder for recordings, models and state folders. Those of an earlier run are replaced.

    Raises:
        MonitorError: if a command fails.
    """
    began = time.monotonic()
    week = _made(config, out)
    plain = Pass("as trained on Monday", out / "state-plain")
    learning = Pass("learning each night", out / "state-learning")
    judged = Pass("and verdicts", out / "state")
    for day in range(DAYS):
        say(f"{_name(week, day)}: listening …")
        for one in (plain, learning, judged):
            if one is not judged or day >= JUDGED_DAYS:
                week.listen(one, day)
        for one in (learning, judged):
            if one is not judged or day >= JUDGED_DAYS:
                _learn(week, one)
        if day == JUDGED_DAYS - 1:
            shutil.copytree(learning.state, judged.state)
            _judge(week, judged)
    for one in (plain, learning, judged):
        week.look(one)
    for line in story(week, (plain, learning, judged)):
        say(line)
    say(
        f"\nThat took {(time.monotonic() - began) / 60:.0f} minutes; every command and what it said: {out / 'week.log'}"
    )
    say(f"See the week yourself:\n  monitor web --state {judged.state}\n  monitor events --state {judged.state}")


def _made(config: Config, out: Path) -> Week:
    """Trains the model, and makes the recordings of the week, which ended on the last Wednesday."""
    rate, latest = config.features.sample_rate, datetime.date.today() - datetime.timedelta(days=DAYS)
    first_day = latest - datetime.timedelta(days=(latest.weekday() - THURSDAY) % 7)
    week = Week(out, tuple(hours(first_day)))
    for state in ("state-plain", "state-learning", "state", "monday", STREAM, "week"):
        if (out / state).is_dir():
            shutil.rmtree(out / state)
    for state in ("state-plain", "state-learning"):
        (out / state).mkdir(parents=True)
    (out / "week.yaml").write_text(SETTINGS, encoding="utf-8")
    (out / "week.log").write_text("", encoding="utf-8")
    monday = datetime.datetime.combine(first_day - datetime.timedelta(days=3), datetime.time(8))
    say(f"Recording half an hour of a motor's early shift, on Monday {monday:%Y-%m-%d} …")
    for part in range(TRAINING_PARTS):
        at = monday + datetime.timedelta(seconds=part * TRAINING_PART_S)
        write(out / "monday" / f"{at:%Y-%m-%d_%H%M%S}.wav", training_sound(rate, TRAINING_PART_S, part), rate, at)
    say("Learning how it sounds …")
    short = config.train.model_copy(update={"epochs": EPOCHS})
    with ConsoleProgress() as progress:
        training.train(config.model_copy(update={"train": short}), out / "monday", out / STREAM, progress)
    say(f"Recording a week in the plant from {first_day:%A %Y-%m-%d} on, a minute of sound for each hour …")
    for number, hour in enumerate(week.hours):
        write(week.recording(hour), hour_sound(hour, rate, number), rate, hour.began)
    return week


def _learn(week: Week, one: Pass) -> None:
    """What commissioning does each night. With too little sound it learns nothing, and says so in the log."""
    with contextlib.suppress(MonitorError):
        week.monitor("improve", STREAM, "--commissioning", "--model", week.model, "--state", one.state)


def _judge(week: Week, one: Pass) -> None:
    """What an engineer does: says what the first anomalies were, and lets the monitor learn from that."""
    week.look(one)
    said: Counter[str] = Counter()
    for event in one.anomalies[:VERDICTS]:
        verdict = "disturbance" if week.hour_at(_unix(event["onset"])).cleaning else "new but normal"
        week.monitor("verdict", event["id"], verdict, "--state", one.state)
        said[verdict] += 1
    one.title = f"and {counted(sum(said.values()), 'verdict')} after {_name(week, JUDGED_DAYS - 1)}"
    say(f"  An engineer listens to {counted(sum(said.values()), 'event')}: {_counts(said)}.")
    try:
        week.monitor("improve", STREAM, "--model", week.model, "--state", one.state)
        week.monitor("improve", STREAM, "--promote", "--model", week.model, "--state", one.state)
    except MonitorError as error:
        say(f"  The next model was not put in force: {error}")


def story(week: Week, passes: Sequence[Pass]) -> Iterator[str]:
    """What came of the week, in lines: false alarms by day and pass, and when the fault was reported."""
    yield ""
    yield f"Hours with a false alarm (an hour is {HOUR_S:.0f} s of sound):"
    names = [_name(week, day) for day in range(HEALTHY_DAYS)]
    compared = f"from {names[JUDGED_DAYS]} on"
    yield f"{'':34}" + "".join(f"{name:>11}" for name in names) + f"{compared:>21}"
    for one in passes:
        counts = [len(false_hours(week, one, day)) for day in range(HEALTHY_DAYS)]
        later = counts[JUDGED_DAYS:]
        listened = sum(hour.running != "off" for hour in week.hours if JUDGED_DAYS <= hour.day < HEALTHY_DAYS)
        shown = [f"{count:>11}" for count in counts]
        yield f"{one.title:34}" + "".join(shown) + f"{f'{sum(later)} of {listened}':>21}"
    yield ""
    last = passes[-1]
    what = Counter(hour.what for day in range(JUDGED_DAYS, HEALTHY_DAYS) for hour in false_hours(week, last, day))
    yield f"False alarms that are left with verdicts, by what happened: {_counts(what) or 'none'}."
    yield ""
    onset, end = week.hours[24 * HEALTHY_DAYS].began, week.hours[-1].began + datetime.timedelta(hours=1)
    yield f"The bearing began to wear at {onset:%A %H:%M} and was worn out at {end:%A %Y-%m-%d %H:%M}."
    for one in passes:
        yield f"  {one.title}: {_fault(week, one, onset, end)}"


def false_hours(week: Week, one: Pass, day: int) -> list[Hour]:
    """The hours of a healthy day in which an anomaly was reported."""
    found = {id(hour): hour for event in one.anomalies if (hour := week.hour_at(_unix(event["onset"]))).day == day}
    return list(found.values())


def _fault(week: Week, one: Pass, onset: datetime.datetime, end: datetime.datetime) -> str:
    """When the wear was first reported in an hour in which there was no false alarm on the healthy workdays before."""
    healthy = [hour for day in range(JUDGED_DAYS, HEALTHY_DAYS) for hour in false_hours(week, one, day)]
    usual = {(hour.running, hour.cleaning) for hour in healthy}
    for event in one.anomalies:
        began, hour = _unix(event["onset"]), week.hour_at(_unix(event["onset"]))
        if began >= onset.timestamp() and (hour.running, hour.cleaning) not in usual:
            after, before = (began - onset.timestamp()) / 3600, (end.timestamp() - began) / 3600
            return (
                f"reported {after:.0f} hours after that, {before:.0f} hours before the end, at {100 * hour.wear:.0f} % "
                "of the wear"
            )
    return "not reported, or not to be told from its false alarms"


def _name(week: Week, day: int) -> str:
    return f"{week.hours[24 * day].began:%A}"


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in found.most_common())


def _unix(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
