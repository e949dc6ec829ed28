"""Training from Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor.api.model import Model, load
from monitor.config.loader import SettingsSource
from monitor.core.arguments import as_path, wrong

log = logging.getLogger(__name__)


def train(
    data: str | Path,
    out: str | Path,
    *,
    preset: str = "default",
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Model:
    """Trains a model on normal sound of a machine, as `monitor train` does. No settings file is read.

    A warning is logged if there is too little sound for limits that can be relied on.

    Args:
        data: folder of normal recordings, or a data set in the layout of ToyADMOS or DCASE.
        out: folder for the model, metrics and pictures.
        preset: "default", or "toyadmos" for the article's recipe.
        epochs: the setting `train.epochs`; None: as in the preset.
        seed: the setting `train.seed`; None: as in the preset.
        device: the setting `train.device`; None: as in the preset.
        resume: whether to continue an interrupted training in the same folder.
        settings: further settings, by their names in config.yaml: {"features.n_mels": 128}.

    Raises:
        ConfigError: if a setting or a path is not valid.
        DataError: if there are too few usable recordings.
        MonitorError: if files cannot be written.
    """
    from train.commands.progress import NoProgress
    from train.commands.train import BUNDLE_FILE, reason_for_doubt
    from train.commands.train import train as run

    data, out = as_path(data, "data"), as_path(out, "out")
    if settings is not None and not isinstance(settings, Mapping):
        raise wrong("settings", 'a dictionary such as {"features.n_mels": 128}', settings)
    stated = {"train.epochs": epochs, "train.seed": seed, "train.device": device, **(settings or {})}
    overrides = [f"{key}={_text(value)}" for key, value in stated.items() if value is not None]
    config = SettingsSource.from_options(overrides, preset=preset).config
    file = out / BUNDLE_FILE
    metrics = run(config, data, out, NoProgress(), resume=resume)
    if metrics and (doubt := reason_for_doubt(metrics, config, file)):
        log.warning("%s", doubt)
    return load(file)


def _text(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
