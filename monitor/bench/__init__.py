"""`monitor bench`: benchmarks on this computer, in sections. Each returns figures for JSON and lines to print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from monitor.bench import autoencoder, capacity, frames, latency, network, peak_flops, replay, store, uptime
from monitor.bench.targets import Target, target_lines
from monitor.bench.timing import Section
from monitor.bench.untrained import untrained_bundle
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config

__all__ = [
    "autoencoder",
    "capacity",
    "frames",
    "latency",
    "network",
    "peak_flops",
    "replay",
    "run_bench",
    "simulated_streams",
    "store",
    "stream_costs",
    "targets",
    "timing",
    "untrained",
    "uptime",
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
        figures of the sections by name, and under "targets" what was measured beside its aim.
    """
    sections: dict[str, Callable[[Config], Section]] = {
        "latency": lambda config: latency.measure(
            config, bundle or untrained_bundle(config), microphone=microphone, seconds=seconds
        ),
        "replay": lambda config: replay.measure(bundle or untrained_bundle(config)),
        "machine": peak_flops.measure,
        "model": lambda config: autoencoder.measure(bundle or untrained_bundle(config)),
        "streams": lambda config: capacity.measure(bundle or untrained_bundle(config)),
        "frames": frames.measure,
        "store": store.measure,
        "network": network.measure,
        "uptime": uptime.measure,
        **further,
    }
    import torch

    threads = torch.get_num_threads()
    figures: dict[str, Any] = {}
    targets: list[Target] = []
    for name, section in sections.items():
        if only and name not in only:
            continue
        torch.set_num_threads(threads)  # an engine that ran before has limited torch to one
        result = section(config)
        figures[name] = result.figures
        targets += result.targets
        show("\n".join((name, *(f"  {line}" for line in result.lines))))
    figures["targets"] = [{**asdict(one), "met": one.met} for one in targets]
    if targets:
        show("\n".join(("targets", *(f"  {line}" for line in target_lines(targets)))))
    return figures
