"""The machines that `monitor demo` simulates, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from monitor.core.errors import ConfigError
from train.demo.days import Day
from train.demo.machine import Machine, MachineSound
from train.demo.modes import TWO_SPEEDS
from train.demo.stream import SoundStream
from train.demo.valve import Valve, ValveSound


@dataclass(frozen=True)
class SimulatedMachine:
    """A machine of which recordings can be made.

    Args:
        title: what it is, in words.
        machine: makes the parameters of a recording from `sample_rate`, `seed`, `passing_noises` and `day`.
        stream: makes the sound from these parameters, and from the arguments of `SoundStream` that describe a fault.
        faults: names of its faults, the one that the demo shows first at the beginning.
    """

    title: str
    machine: Callable[..., Any]
    stream: Callable[..., SoundStream]
    faults: tuple[str, ...]

    def sound(
        self, rate: int, seed: int, *, passing_noises: bool = True, day: Day | None = None, **fault: Any
    ) -> SoundStream:
        """Returns the sound of a recording as a stream.

        Args:
            rate: sample rate in Hz.
            seed: of the recording.
            passing_noises: whether a cart, a voice or a door is audible about six times an hour.
            day: what is different on this day; None: nothing.
            fault: `fault`, `onset_s`, `ramp_s` and `severity` of `SoundStream`.

        Raises:
            ConfigError: as `SoundStream`.
        """
        return self.stream(self.machine(sample_rate=rate, seed=seed, passing_noises=passing_noises, day=day), **fault)


MACHINES = {
    "motor": SimulatedMachine("motor with a gearbox", Machine, MachineSound, MachineSound.FAULTS),
    "valve": SimulatedMachine("valve", Valve, ValveSound, ValveSound.FAULTS),
    "two-speeds": SimulatedMachine(
        "motor with two speeds", partial(Machine, modes=TWO_SPEEDS), MachineSound, MachineSound.FAULTS
    ),
}


def fault_of(name: str, fault: str | None) -> str:
    """Returns the fault to simulate: `fault`, or the first one of the machine if it is None.

    Args:
        name: of the machine, a key of MACHINES.
        fault: name of a fault.

    Raises:
        ConfigError: if the machine has no such fault.
    """
    faults = MACHINES[name].faults
    if fault is not None and fault not in faults:
        raise ConfigError(f"The machine {name!r} has no fault {fault!r}; its faults are {', '.join(faults)}.")
    return fault or faults[0]
