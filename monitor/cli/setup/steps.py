"""The steps of `monitor setup` in their order, and which of them are due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monitor.cli.output import say
from monitor.cli.setup.checks import (
    channel,
    days_to_learn,
    device,
    machine_name,
    minutes_to_calibrate,
    minutes_to_record,
    seconds_to_listen,
    webhook,
)
from monitor.cli.setup.context import MODEL, SETTINGS, Facts, Setup
from monitor.cli.setup.learning import calibrate, calibration_facts, record, recording_facts, train, training_facts
from monitor.cli.setup.microphone import choose_microphone, microphone_facts
from monitor.cli.setup.service import listen, listening_facts, settings_facts, unit_facts, write_settings, write_unit


@dataclass(frozen=True, slots=True)
class Step:
    """A step: it is due if what it depends on is not what it was made from, or its result is missing."""

    name: str
    title: str
    depends_on: Callable[[Setup], Facts]
    run: Callable[[Setup], None]
    result: str = ""  # name of the file that it makes in the folder

    def due(self, setup: Setup) -> bool:
        """Whether it has to be done."""
        made_from = setup.progress.done.get(self.name)
        return made_from != self.depends_on(setup) or not (setup.folder / self.result).exists()


def run_steps(setup: Setup) -> None:
    """Does all steps that are due, and says which were done before.

    Raises:
        MonitorError: if a step refuses; what was done before it is kept.
    """
    for number, step in enumerate(STEPS, 1):
        if not step.due(setup):
            say(f"{number}. {step.title}: done before.")
            continue
        say(f"{number}. {step.title}")
        setup.progress.save()
        step.run(setup)
        setup.progress.finish(step.name, step.depends_on(setup))


STEPS = (
    Step("microphone", "Microphone", microphone_facts, choose_microphone),
    Step("record", "Recordings of the machine while it is well", recording_facts, record),
    Step("train", "Model", training_facts, train, MODEL),
    Step("calibrate", "Limits", calibration_facts, calibrate),
    Step("settings", "Settings", settings_facts, write_settings, SETTINGS),
    Step("listen", "Test", listening_facts, listen),
    Step("unit", "Service", unit_facts, write_unit),
)

# What an option of the command line has to be. Other answers are checked where they are asked for.
CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": machine_name,
    "device": device,
    "channel": channel,
    "minutes": minutes_to_record,
    "recordings": str,
    "calibrate": minutes_to_calibrate,
    "commission": days_to_learn,
    "listen": seconds_to_listen,
    "webhook": webhook,
    "user": str,
}
