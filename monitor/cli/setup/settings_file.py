"""The settings file that `monitor setup` writes for one machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.config.schema import Config

OF_THE_MODEL = ("features", "model", "score", "train", "calibration")  # groups that a model brings, or does not need


def settings_text(config: Config, answers: Mapping[str, Any], folder: Path) -> str:
    """The text of the settings file: the stream, its state folder, and what else differs from the defaults.

    Args:
        config: the settings that were in force in the training.
        answers: the answers `name`, `device` (unless there is a file with an address), `channel`, `webhook` and
            `commission`.
        folder: the folder of the machine.
    """
    import yaml

    from monitor.config.loader import changed

    different = {group: values for group, values in changed(config).items() if group not in OF_THE_MODEL}
    tree: dict[str, Any] = json.loads(json.dumps(different, default=str))
    for key in ("device", "url_file"):  # that of the stream counts
        tree.get("audio", {}).pop(key, None)
    stream = {"name": answers["name"], "bundle": "model.safetensors"}
    if config.audio.url_file is not None:
        stream["url_file"] = str(config.audio.url_file.expanduser().absolute())
    else:
        stream["device"] = answers["device"]
    if answers.get("channel") is not None:
        stream["channel"] = answers["channel"]
    tree = {"streams": [stream], **{group: values for group, values in tree.items() if values}}
    tree.setdefault("state", {})["folder"] = str(folder.absolute() / "state")
    if answers.get("commission"):
        tree.setdefault("commissioning", {})["days"] = answers["commission"]
    if answers.get("webhook"):
        channel = {"name": "webhook", "webhook": answers["webhook"]}
        tree["notify"] = {"channels": [channel], "rules": [{"to": ["webhook"]}]}
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return f"# Written by `monitor setup`. `monitor guide settings` explains all settings.\n{text}"
