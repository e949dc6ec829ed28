"""The machines of the demo: each can be recorded, and the command line names all of them with their faults."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.cli.commands.train import SIMULATED, demo
from monitor.core.errors import ConfigError
from train.demo.machines import MACHINES, fault_of


def test_the_command_line_names_every_machine_and_every_fault() -> None:
    assert tuple(MACHINES) == SIMULATED
    helped = {option.name: getattr(option, "help", "") for option in demo.params}
    for machine in MACHINES.values():
        assert all(fault in helped["fault"] for fault in machine.faults)


@pytest.mark.parametrize("name", MACHINES)
def test_each_machine_can_be_recorded_well_and_with_each_of_its_faults(name: str) -> None:
    machine = MACHINES[name]
    well = machine.sound(8000, 1).read(48_000)
    for fault in machine.faults:
        assert not np.array_equal(machine.sound(8000, 1, fault=fault).read(48_000), well)


@pytest.mark.parametrize("name", MACHINES)
def test_without_a_named_fault_the_first_one_of_the_machine_is_shown(name: str) -> None:
    assert fault_of(name, None) == MACHINES[name].faults[0]
    for fault in MACHINES[name].faults:
        assert fault_of(name, fault) == fault


def test_a_fault_of_another_machine_is_refused_in_one_sentence_that_names_the_right_ones() -> None:
    with pytest.raises(ConfigError) as refused:
        fault_of("valve", "gear")
    message = str(refused.value)
    assert "'gear'" in message
    assert "weak, late, double" in message
    assert message.count(".") == 1
