"""Records the outputs in tests/golden again, with the present program.

Run this only if scores, thresholds or events were changed on purpose, after integration/test_golden.py has shown what
has changed and by how much. Any other difference is a mistake. The recorded models are kept; with `--train` they are
trained again, which changes all outputs.

    PYTHONPATH=.:tests python -m support.record_golden [--train]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from monitor.bundle.bundle_io import load_bundle, save_bundle
from support.golden_inputs import EVERY, SMALL, data_set, hall, recordings
from support.golden_outputs import (
    FACTS,
    LIVE,
    MODELS,
    SCORES,
    calibrated,
    command,
    evaluated,
    full_size_bundle,
    model_file,
    replayed,
    scored_live,
)

ARTICLE = ("score.window_s=0", "train.epochs=3")  # changed in its preset, because the training would take too long


def train(name: str, data: Path) -> None:
    """Trains one of the recorded models."""
    overrides = (*SMALL, *ARTICLE) if name == "toyadmos" else (*SMALL, f"score.kind={name}")
    preset = ("--preset", "toyadmos") if name == "toyadmos" else ()
    command("train", data, "--out", name, *preset, *(word for one in overrides for word in ("--set", one)))
    shutil.copy(Path(name) / "model.safetensors", model_file(name))


def record(*, retrain: bool) -> None:
    """Writes the files in tests/golden; the current folder is used for temporary files.

    Args:
        retrain: whether to train the models again.
    """
    data, files = data_set(Path("data").resolve()), recordings(Path("recordings").resolve())
    scores: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {"commit": commit(), "rows": {}}
    facts |= {kind: {} for kind in ("events", "evaluate", "calibrate", "live_events")}

    def keep(name: str, rows: np.ndarray) -> None:
        scores[name], facts["rows"][name] = rows[::EVERY], len(rows)

    for name in MODELS:
        if retrain:
            train(name, data)
        found, facts["events"][name] = replayed(model_file(name), *files)
        for file, rows in found.items():
            keep(f"replay/{name}/{file}", rows)
        facts["evaluate"][name] = evaluated(model_file(name), data)
        if name != "toyadmos":
            facts["calibrate"][name] = calibrated(model_file(name), data)
    for stream, rows in replayed("--config", hall(Path.cwd(), model_file("fused")))[0].items():
        keep(f"hall/{stream}", rows)
    save_bundle(full_size_bundle(), Path("full.safetensors"))
    for file, rows in replayed("full.safetensors", *files)[0].items():
        keep(f"full/{file}", rows)
    for case, (name, streams, gap) in LIVE.items():
        for number, output in enumerate(scored_live(load_bundle(model_file(name)), streams, gap=gap)):
            keep(f"live/{case}/{number}", output.rows)
            facts["live_events"][f"{case}/{number}"] = output.events
    np.savez_compressed(SCORES, allow_pickle=False, **scores)
    FACTS.write_text(json.dumps(facts, indent=1) + "\n")


def commit() -> str:
    """Abbreviated hash of the commit that is checked out."""
    return subprocess.run(
        ("git", "rev-parse", "--short", "HEAD"), cwd=FACTS.parent, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        os.chdir(folder)
        record(retrain="--train" in sys.argv[1:])
