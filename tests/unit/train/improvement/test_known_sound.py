"""The model that a person chose last listens to the newest sound: what has changed since is not learnt by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from monitor.bundle.bundle import Bundle
from support.builders import RATE
from train.data.feature_cache import FeatureCache
from train.demo.machine import Machine, MachineSound
from train.improvement.known_sound import MOST, unlike
from train.improvement.material import Material


def recorded(bundle: Bundle, folder: Path, count: int, severity: float) -> Material:
    """Pieces of ten seconds of the motor, with a worn bearing of this severity."""
    cache, recent = FeatureCache(bundle.config.features, folder / "cache"), []
    for number in range(count):
        machine = Machine(RATE, seed=700 + number, passing_noises=False)
        sound = MachineSound(machine, fault="bearing", severity=severity).read(10 * RATE)
        path = folder / f"{severity}_{number}.wav"
        soundfile.write(path, np.asarray(sound), RATE, subtype="PCM_16")
        recent.append(cache.frames(path))
    return Material([], [], [], recent=recent)


def test_a_fault_is_noticed_by_the_model_of_before_and_sound_of_the_healthy_machine_is_not(
    bundle: Bundle, tmp_path: Path
) -> None:
    assert unlike(bundle, bundle.config, recorded(bundle, tmp_path, 4, 1e-6), "cpu") == (0, 4)
    assert unlike(bundle, bundle.config, recorded(bundle, tmp_path, 4, 1.0), "cpu") == (4, 4)


def test_of_many_pieces_a_part_is_listened_to_and_of_none_nothing_is_said(bundle: Bundle, tmp_path: Path) -> None:
    [one] = recorded(bundle, tmp_path, 1, 1e-6).recent
    many = Material([], [], [], recent=[one] * (2 * MOST + 1))
    assert 0 < unlike(bundle, bundle.config, many, "cpu")[1] <= MOST
    assert unlike(bundle, bundle.config, Material([], [], []), "cpu") == (0, 0)
