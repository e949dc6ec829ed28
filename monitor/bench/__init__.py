"""`monitor bench`: benchmarks on this computer, in sections. Each returns figures for JSON and lines to print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from typing import Any

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
    "section",
    "simulated_streams",
    "store",
    "stream_costs",
    "targets",
    "timing",
    "untrained",
    "uptime",
]

Sections = Mapping[str, Callable[[Config], Section]]


def section(module: str) -> Callable[[Config], Section]:
    """The function `measure` of a module, which is imported only when it is called: it may need torch."""

    def measure(config: Config) -> Section:
        measured: Section = import_module(module).measure(config)
        return measured

    return measure


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

    def of_latency(config: Config) -> Section:
        from monitor.bench import latency

        return latency.measure(config, bundle or untrained_bundle(config), microphone=microphone, seconds=seconds)

    def with_model(module: str) -> Callable[[Config], Section]:
        return lambda config: import_module(module).measure(bundle or untrained_bundle(config))

    sections: Sections = {
        "latency": of_latency,
        "replay": with_model("monitor.bench.replay"),
        "machine": section("monitor.bench.peak_flops"),
        "model": with_model("monitor.bench.autoencoder"),
        "streams": with_model("monitor.bench.capacity"),
        "frames": section("monitor.bench.frames"),
        "store": section("monitor.bench.store"),
        "network": section("monitor.bench.network"),
        "uptime": section("monitor.bench.uptime"),
        **further,
    }
    figures: dict[str, Any] = {}
    targets: list[Target] = []
    for name, measure in sections.items():
        if only and name not in only:
            continue
        if (torch := sys.modules.get("torch")) is not None:
            # An engine that ran before has limited threads that begin later to one.
            torch.set_num_threads(torch.get_num_threads())
        result = measure(config)
        figures[name] = result.figures
        targets += result.targets
        show("\n".join((name, *(f"  {line}" for line in result.lines))))
    figures["targets"] = [{**asdict(one), "met": one.met} for one in targets]
    if targets:
        show("\n".join(("targets", *(f"  {line}" for line in target_lines(targets)))))
    return figures
