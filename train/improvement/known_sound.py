"""Whether a machine still sounds as it did when a person last chose its model.

A fault that grows a little each night is below the limit each night, if the model has learnt it the night before. So
the model that a person has put in force last listens to the newest sound: what it would report is not learnt without a
person, in however many nights it has come about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from train.calibration.observations import observe
from train.improvement.candidate import alarms_if_lasting
from train.improvement.material import Material

if TYPE_CHECKING:
    import torch

MOST = 60  # pieces that are looked at, spread evenly over the newest day
UNLIKE = 0.5  # from this share on, the sound as a whole has changed


def unlike(chosen: Bundle, config: Config, material: Material, device: torch.device | str) -> tuple[int, int]:
    """How many of the newest day's pieces would be reported if such sound lasted, and how many were looked at.

    Args:
        chosen: the model that a person has put in force last.
        config: the settings in force.
        material: what is known of the stream.
        device: where the network computes.
    """
    recent = material.recent[:: max(1, -(-len(material.recent) // MOST))]
    observed = observe(chosen, recent, device, trained=False)
    return sum(alarms_if_lasting(chosen, config, one.decisions) for one in observed), len(observed)
