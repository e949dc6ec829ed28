"""The sections of `monitor bench` on offline work: computing frames of many recordings, training, and a GPU."""

from __future__ import annotations

from monitor.bench import Sections
from train.bench import cache, distributed, gpu, training

__all__ = [
    "SECTIONS",
    "cache",
    "distributed",
    "gpu",
    "precision",
    "steps",
    "training",
]

SECTIONS: Sections = {
    "cache": cache.measure,
    "training": training.measure,
    "distributed": distributed.measure,
    "gpu": gpu.measure,
}
