"""How commands write a model and what belongs to it. Needs no torch: `monitor calibrate` runs without it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.core.atomic_io import write_atomically


def save_over(bundle: Bundle, path: Path) -> Bundle:
    """Writes a bundle; an existing one is kept as *.previous.safetensors, because a running monitor may use it."""
    keep_previous(path)
    return save_bundle(bundle, path)


def keep_previous(path: Path) -> None:
    """Copies a model, if there is one, to *.previous.safetensors beside it."""
    if path.is_file():
        write_atomically(path.with_name(f"{path.stem}.previous{path.suffix}"), path.read_bytes())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file atomically."""
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def now() -> str:
    """The current UTC time in ISO 8601, as bundles store it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
