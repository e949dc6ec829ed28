"""Presets: named sets of settings, which `--preset` chooses."""

from __future__ import annotations

from monitor.config.setting_types import Tree

PRESETS: dict[str, dict[str, Tree]] = {
    "default": {},
    # The recipe of the ToyADMOS article: all settings that differ from the defaults.
    "toyadmos": {
        "features": {"fmax": None, "scale": "power", "standardize": False},
        "score": {"kind": "error", "window_s": 0.0, "recording": "max", "cut_frames": 50},
        "train": {
            "epochs": 200,
            "batch_size": 100,
            "precision": "float32",
            "learning_rate": 1e-4,
            "weight_decay": 1e-4,
            "schedule": "hold-then-linear",
            "input_noise": 0.0,
        },
        "listening": {"precision": "float32"},
        "calibration": {"method": "labelled", "fpr": 0.1},
        "alarm": {
            "block_s": 0.0,
            "k": 1,
            "n": 1,
            "lasting": False,
            "warm_up_s": 0.0,
            "hold_s": 0.0,
            "cool_down_s": 0.0,
            "off_below_dbfs": "never",
            "run_up_s": 0.0,
        },
    },
}
