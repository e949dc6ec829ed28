"""`monitor bench`: benchmarks on this computer, in sections. Each returns figures for JSON and lines to print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from monitor.bench import capacity, frames, latency, network, peak_flops, replay, store
from monitor.bench.timing import Section
from monitor.bench.untrained import untrained_bundle
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config

__all__ = [
    "capacity",
    "frames",
    "latency",
    "network",
    "peak_flops",
    "replay",
    "run_bench",
    "store",
    "timing",
    "untrained",
]

Sections = Mapping[str, Callable[[Config], Section]]


def run_bench(
    config: Config,
    bundle: Bundle | None,
    *,
    microphone: bool,
    seconds: float,
    only: tuple[str, ...] = (),
    further: Sections,
    show: Callable[[str], None],
) -> dict[str, Any]:
    """Runs sections one after another.

    Args:
        config: settings of the model and of the device.
        bundle: the model; None: an untrained one, which takes as long to compute.
        microphone: whether to measure latency with the device of the settings instead of a simulated one.
        seconds: duration of the latency measurement.
        only: names of the sections to run; empty: all.
        further: sections of the package `train`, by name.
        show: is called with the lines of each section.

    Returns:
        figures of the sections by name.
    """
    sections: dict[str, Callable[[Config], Section]] = {
        "latency": lambda config: latency.measure(
            config, bundle or untrained_bundle(config), microphone=microphone, seconds=seconds
        ),
        "replay": lambda config: replay.measure(bundle or untrained_bundle(config)),
        "machine": peak_flops.measure,
        "streams": lambda config: capacity.measure(bundle or untrained_bundle(config)),
        "frames": frames.measure,
        "store": store.measure,
        "network": network.measure,
        **further,
    }
    figures: dict[str, Any] = {}
    for name, section in sections.items():
        if only and name not in only:
            continue
        result = section(config)
        figures[name] = result.figures
        show("\n".join((name, *(f"  {line}" for line in result.lines))))
    return figures
