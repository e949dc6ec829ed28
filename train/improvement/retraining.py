"""Trains the network of a candidate anew, from all normal sound of its stream."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.model.precision_choice import calibration_precision
from train.commands.prepare import Prepared, split_frames
from train.commands.progress import Progress
from train.commands.train import CHECKPOINT_FILE, fit_network, uncalibrated
from train.data.discovery import Recordings
from train.fitting.process_group import process_group
from train.improvement.candidate import Candidate, choose, learning_settings, observe_material
from train.improvement.material import Material

if TYPE_CHECKING:
    import torch


def retrained_candidate(
    parent: Bundle, config: Config, material: Material, device: torch.device, progress: Progress
) -> Candidate:
    """Trains a network with the settings of `parent`, and learns reference distributions and limits for it.

    A part of the sound is held out as in every training; the clips that are new but normal are trained on.

    Args:
        parent: the model in force.
        config: the settings in force for the stream.
        material: what is known of the stream.
        device: where the network computes.
        progress: shows the progress.

    Raises:
        DataError: if there is too little normal sound, or nothing to learn.
    """
    settings = learning_settings(parent, config)
    training, held_out = split_frames([*material.trained, *material.heard], settings)
    clips = [clip.frames for clip in material.learnt]
    root = Path(str(parent.provenance.get("data", ".")))
    prepared = Prepared(Recordings(root, [], [], [], []), [*training, *clips], held_out, [])
    with tempfile.TemporaryDirectory(prefix="acoustic-monitor-") as folder, process_group(device) as (group, where):
        fitted = fit_network(settings, prepared, Path(folder, CHECKPOINT_FILE), progress, group, where)
    bundle = uncalibrated(settings, prepared, fitted)
    kept = {key: parent.provenance[key] for key in ("lineage",) if key in parent.provenance}
    precision = calibration_precision(config.listening.precision, parent.precision)
    bundle = replace(bundle, provenance=bundle.provenance | kept, precision=precision)
    # Of the new network the training sound is known too well, and only the held-out sound is judged by.
    split = replace(material, stored=held_out, given=[], trained=training)
    return choose(observe_material(bundle, split, device), config, material.faults)
