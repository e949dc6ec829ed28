"""The sections of `monitor bench` on what is done offline: frames of many recordings, and training."""

from __future__ import annotations

from monitor.bench import Sections
from train.bench import cache, gpu, training

SECTIONS: Sections = {"cache": cache.measure, "training": training.measure, "gpu": gpu.measure}
