"""`monitor bench`: what this machine manages, in sections. Each gives figures and a few lines for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from monitor.bench import capacity, frames, latency, peak_flops, replay
from monitor.bench.timing import Section
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config

Sections = Mapping[str, Callable[[Config], Section]]


def run_bench(
    config: Config,
    bundle: Bundle | None,
    *,
    microphone: bool,
    seconds: float,
    only: tuple[str, ...] = (),
    further: Sections,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The sections, one after another; returns their figures by name.

    Args:
        bundle: the model; None makes one of the default size, which takes as long.
        microphone: listen to the device of the settings instead of an invented one.
        seconds: how long to listen.
        only: the names of the sections to run; none means all.
        further: sections of the offline part of the program, by name.
    """
    sections: dict[str, Callable[[Config], Section]] = {
        "latency": lambda config: latency.measure(
            config, bundle or latency.untrained_bundle(config), microphone=microphone, seconds=seconds
        ),
        "replay": lambda config: replay.measure(bundle or latency.untrained_bundle(config)),
        "machine": peak_flops.measure,
        "streams": lambda config: capacity.measure(bundle or latency.untrained_bundle(config)),
        "frames": frames.measure,
        **further,
    }
    figures: dict[str, Any] = {}
    for name, section in sections.items():
        if only and name not in only:
            continue
        done = section(config)
        figures[name] = done.figures
        say("\n".join((name, *(f"  {text}" for text in done.lines))))
    return figures
