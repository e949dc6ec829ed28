"""Runs an engine until its sources end or somebody ends it, and shows it meanwhile."""

from __future__ import annotations

import contextlib
import gc
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.dashboard.app import show
from monitor.detection.drift import DriftFile, DriftKeeper
from monitor.runtime.engine import ACCELERATED, Engine
from monitor.model.autoencoder import choose_device
from monitor.runtime.outputs import Outputs
from monitor.outputs.sink import Sink
from monitor.core.snapshot import FloatArray
from monitor.sources.source import Source, WavReplay
from monitor.runtime.monitored_stream import Station
from monitor.core.text import counted, printable

SWITCH_S = 0.0001  # so that the sound need not wait while the dashboard is drawn, 5 ms with Python's own value

ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ending:
    """Whether it is over: by the key q, by SIGTERM, or because the time is up."""

    def __init__(self, engine: Engine, duration_s: float | None = None, *, with_first_error: bool = False) -> None:
        self._engine, self._with_first_error = engine, with_first_error
        self._due = math.inf if duration_s is None else time.monotonic() + duration_s
        self.wanted = False

    def quit(self) -> None:
        """The key q."""
        self.wanted = True

    def scale_threshold(self, factor: float, number: int) -> None:
        """The keys + and -, for the stream of this number."""
        self._engine.stations[number].scale_threshold(factor)

    def reached(self) -> bool:
        """Whether there is nothing more to show."""
        failed = self._with_first_error and any(station.error for station in self._engine.stations)
        return self.wanted or failed or self._engine.finished or time.monotonic() >= self._due


def model_name(path: Path, bundle: Bundle) -> str:
    """A model's name for the eye: its folder, or its own where that says more, and the day it was trained."""
    name = path.resolve().parent.name if path.stem == "model" else path.stem
    return f"{name}, {str(bundle.provenance.get('date', ''))[:10]}"


def replay_files(
    bundle: Bundle,
    config: Config,
    files: Sequence[Path],
    *,
    model: Path,
    speed: float,
    gapless: bool,
    outputs: Outputs,
) -> int:
    """Replays recordings and prints what came of them; returns the number of anomalies.

    Raises:
        MonitorError: if a recording cannot be read, or a file not be written.
    """
    features = bundle.config.features
    source = WavReplay(
        files, features.sample_rate, features.channel, speed=speed, gapless=gapless, buffer_s=config.audio.buffer_s
    )
    sinks = [*outputs.sinks(wait=True), *outputs.pictures_of(bundle, wait=True)]
    station = station_for(bundle, config, source, model=model, sinks=sinks)
    engine = listen([station], config, headless=outputs.headless)
    print_results(engine)
    if engine.error is not None:
        raise engine.error
    return engine.anomalies


def station_for(
    bundle: Bundle,
    config: Config,
    source: Source,
    *,
    model: Path,
    name: str = "",
    sinks: Sequence[Sink] = (),
    tap: Callable[[FloatArray], None] = lambda _: None,
) -> Station:
    """A station for a source and a model, of whose stream `name` the drift is kept beside the model.

    Raises:
        MonitorError: if what is kept of the drift is damaged.
    """
    file = DriftFile.beside(model, bundle, name)
    drift = DriftKeeper(bundle, config.drift, file) if config.drift.enabled else None
    shown = model_name(model, bundle)
    return Station(bundle, source, config, model_name=shown, name=name, sinks=sinks, tap=tap, drift=drift)


def listen(
    stations: Sequence[Station],
    config: Config,
    *,
    headless: bool,
    duration_s: float | None = None,
    with_first_error: bool = False,
) -> Engine:
    """Listens until all sources end, somebody ends it, or `duration_s` are over; shows it in the terminal.

    Args:
        stations: what listens to what.
        config: of it the groups dashboard and train.device.
        headless: lines of text in place of the dashboard.
        with_first_error: a stream that fails ends all of them.

    Returns:
        the engine, ended; its `error` says what ended a stream early.

    Raises:
        KeyboardInterrupt: after everything was ended in order.
    """
    engine = Engine(stations, choose_device(config.train.device), config.listening.precision)
    ending = Ending(engine, duration_s, with_first_error=with_first_error)
    in_time = all(station.source.speed <= ACCELERATED for station in stations)
    with _terminated_by(ending), prompt() if in_time else contextlib.nullcontext():
        engine.start()
        try:
            dashboard = config.dashboard
            show(
                lambda: engine.latest,
                ending,
                ending.reached,
                fps=dashboard.fps,
                ascii=dashboard.ascii,
                colour=dashboard.colour,
                console=Console(force_terminal=False) if headless else None,
                log_every_s=dashboard.log_every_s,
            )
        finally:
            engine.stop()
    return engine


@contextlib.contextmanager
def prompt() -> Iterator[None]:
    """While it lasts, a score comes as soon as it can, where there is one window at a time to compute.

    One thread computes, because a second would only wait and burn power; and it need not wait for the drawing. What has
    been made so far stays, so the garbage collector need not look at it again: that would take a tenth of a second.
    """
    threads, interval = torch.get_num_threads(), sys.getswitchinterval()
    torch.set_num_threads(1)
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        torch.set_num_threads(threads)
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def _terminated_by(ending: Ending) -> Iterator[None]:
    """While it lasts, SIGTERM or a terminal that is closed end the monitoring in order."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        ending.quit()

    before = {number: signal.signal(number, end) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_results(engine: Engine) -> None:
    """What each recording came to, of each stream where there are several."""
    named = len(engine.stations) > 1
    thresholds = [station.bundle.thresholds["recording"].value for station in engine.stations]
    table = Table(box=None, pad_edge=False, header_style="dim")
    if named:
        table.add_column("stream", overflow="fold")
    table.add_column("recording", overflow="fold")
    of = "" if named else f"(of {thresholds[0]:.4g})"
    for heading in ("seconds", "score", of, "anomalies"):
        table.add_column(heading, justify="right")
    for station, threshold in zip(engine.stations, thresholds, strict=True):
        for result in station.results:
            verdict = "too short" if math.isnan(result.score) else "above" if result.score >= threshold else "below"
            score = "-" if math.isnan(result.score) else f"{result.score:.4g}"
            count = Text(str(result.anomalies), style="red" if result.anomalies else "")
            stream = [Text(station.name)] if named else []
            against = f"{verdict} {threshold:.4g}" if named else verdict
            table.add_row(*stream, Text(printable(result.name)), f"{result.seconds:.1f}", score, against, count)
    console = Console(file=sys.stdout, highlight=False)
    console.print(table)
    found = [station for station in engine.stations if station.anomalies]
    if found:
        where = ", ".join(f"{station.name} ({station.anomalies})" for station in found)
        where = f"in {where}" if named else f"the last in {printable(found[0].events[-1].source)}"
        console.print(f"{counted(engine.anomalies, 'anomaly', 'anomalies')}, {where}.", markup=False)
