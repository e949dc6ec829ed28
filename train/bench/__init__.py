"""The sections of `monitor bench` on offline work: computing frames of many recordings, training, and a GPU."""

from __future__ import annotations

from monitor.bench import Sections, section

__all__ = [
    "SECTIONS",
    "cache",
    "distributed",
    "gpu",
    "precision",
    "steps",
    "training",
]

SECTIONS: Sections = {name: section(f"train.bench.{name}") for name in ("cache", "training", "distributed", "gpu")}
