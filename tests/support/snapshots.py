"""Snapshots, the screens drawn from them, and a terminal for the viewer, without sound and models."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from monitor.core.events import Band, Event, State
from monitor.core.snapshot import Snapshot
from monitor.dashboard.layout import Screen, Streams, render
from monitor.dashboard.render.theme import MONO
from monitor.dashboard.render.view import View
from monitor.dashboard.viewer import Viewer
from monitor.dashboard.widgets.stream_order import STATES, Ranking

SIZES = [(80, 24), (100, 30), (120, 36), (160, 48), (200, 60), (60, 40), (40, 10), (100, 15), (12, 4), (1, 1)]
KINDS = ["fused", "error"]  # kinds of scores whose screens differ
SLOTS, BANDS = 600, 64
START = 1_760_000_000.0  # Unix time
NOW = START + 60  # wall-clock time of every screen drawn here
HISS = (Band(2100.0, 2800.0, 0.6, "new"), Band(310.0, 420.0, 0.2, "missing"))
PAST = (
    Event("gap", 10.0, 10.4, START, "mic", lost_samples=6400),
    Event("anomaly", 20.0, 32.3, START + 10, "mic", peak=311.0, threshold=110.0),
    Event("lost", 40.0, 45.5, START + 30, "mic"),
)
ONGOING = Event("anomaly", 492.0, None, START + 50, "mic", peak=391.0, threshold=110.0, cause="sudden", bands=HISS)
LOST = Event("lost", 492.0, None, START + 50, "mic")


def snapshot(state: State = State.NORMAL, kind: str = "fused", **changes: object) -> Snapshot:
    """A minute of a machine that is normal, or has been in `state` for the last eight seconds."""
    t = np.arange(SLOTS)
    score = (50 + 8 * np.sin(t / 70)).astype(np.float32)
    error = (0.3 + 0.03 * np.sin(t / 90)).astype(np.float32)
    levels = (-60 + 20 * np.sin(t[:, None] / 30 + np.arange(BANDS) / 9)).astype(np.float32)
    contribution = np.full(BANDS, 50 / BANDS, np.float32)
    events = list(PAST)
    if state in (State.WARNING, State.ANOMALY):
        score[-80:], error[-80:], contribution[40:44] = 300, 0.7, 65
    if state is State.ANOMALY:
        events.append(ONGOING)
    if state is State.LOST:
        score[-80:] = error[-80:] = levels[-80:] = np.nan
        events.append(LOST)
    if state is State.LISTENING:
        score[:], error[:], levels[:-5], contribution[:], events = np.nan, np.nan, np.nan, np.nan, []
    if kind == "error":
        score = error
    threshold = 110.0 if kind != "error" else 0.45
    share = score / np.float32(threshold)
    made = Snapshot(
        state=state,
        source="microphone: USB Audio – Gerät (hw:1,0)",
        model="pump-3",
        score_kind=kind,
        threshold=threshold,
        threshold_note="from 40 held-out recordings, 1 false alarm a day",
        error_threshold=0.45,
        error=float(error[-1]),
        score=float(score[-1]),
        share_of_limit=float(share[-1]),
        level_dbfs=-31.4,
        peak_dbfs=-12.5,
        position_s=500.0,
        duration_s=None,
        uptime_s=501.0,
        speed=1.0,
        load=0.04,
        lost_s=5.9,
        slot_s=0.1,
        first_slot=4401,
        error_history=error,
        score_history=score,
        share_history=share,
        lasting_history=np.where(np.isnan(score), score, np.float32(0.1)),
        spectrogram=levels,
        band_hz=np.geomspace(40, 7600, BANDS).astype(np.float32),
        band_contribution=contribution,
        events=tuple(events),
        anomalies=sum(event.kind == "anomaly" for event in events),
        algorithmic_delay_s=0.106,
        processing_s=0.0038,
        processing_p99_s=0.0349,
        precision="float32",
        limits_precision="float32",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def stream(name: str, state: State = State.NORMAL, share: float = 0.5, **changes: object) -> Snapshot:
    """A named stream that has been at `share` of its limit for a minute."""
    history = np.full(SLOTS, share, np.float32)
    events = ()
    if state is State.ANOMALY:
        events = (Event("anomaly", 492.0, None, NOW - 42, "mic", peak=391.0, threshold=110.0, stream=name),)
    made = snapshot(state, stream=name, share_history=history, share_of_limit=share, score=110 * share, events=events)
    return replace(made, **changes)  # type: ignore[arg-type]


def streams_in_every_state(count: int) -> tuple[Snapshot, ...]:
    """`count` streams: numbers 2 to 8 are in different states, the worst last, and the others are normal."""
    states = dict(enumerate(reversed(STATES), start=2))
    return tuple(
        stream(f"machine {number}", states.get(number, State.NORMAL), 0.3 + 0.01 * (number % 7))
        for number in range(count)
    )


def contributions(**bands: float) -> np.ndarray:
    """Contribution of each band to the score: 0.5, or other values given as in b40=9.0."""
    made = np.full(BANDS, 0.5, np.float32)
    for band, value in bands.items():
        made[int(band[1:])] = value
    return made


def drawn(shown: Snapshot | Streams, width: int = 80, height: int = 24, **view: object) -> list[str]:
    """The rows of the screen as text."""
    lines = Screen(shown, View(**{"now": NOW, **view})).lines(width, height, MONO)  # type: ignore[arg-type]
    return ["".join(segment.text for segment in line) for line in lines]


def table_drawn(
    snapshots: tuple[Snapshot, ...], width: int = 80, height: int = 24, chosen: int | None = None, **view: object
) -> list[str]:
    """The rows of the table of these streams as text."""
    return drawn(Streams(snapshots, tuple(Ranking().order(snapshots)), chosen), width, height, **view)


def printed(shown: Snapshot, width: int = 80, height: int = 24, view: View | None = None, **console: object) -> str:
    """Returns the text that a terminal receives, including control sequences."""
    options = {"color_system": "truecolor", "no_color": False, "force_terminal": True, **console}
    out = io.StringIO()
    screen = Console(file=out, width=width, height=height, **options)  # type: ignore[arg-type]
    screen.print(render(shown, view or View(now=NOW)), end="")
    return out.getvalue()


def terminal(out: io.StringIO | io.TextIOWrapper, width: int = 80, height: int = 24) -> Console:
    """A console that writes to `out` as to a terminal."""
    return Console(file=out, force_terminal=True, width=width, height=height, _environ={"TERM": "xterm"})


class RecordedControls:
    """Controls that record the actions of keys."""

    def __init__(self) -> None:
        self.ended = False
        self.scaled: list[tuple[float, str]] = []  # factor, name of the stream

    @property
    def factor(self) -> float:
        """The product of all factors."""
        return float(np.prod([factor for factor, _ in self.scaled]))

    def end(self) -> None:
        self.ended = True

    def scale_threshold(self, factor: float, name: str) -> None:
        self.scaled.append((factor, name))


def countdown(calls: int) -> Callable[[], bool]:
    """Returns a function that is false for the first `calls` calls, then true."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def press(keys: Sequence[str], *snapshots: Snapshot, folder: Path = Path()) -> tuple[str, RecordedControls]:
    """Presses keys; returns the text that a terminal receives after the last one, and the controls of the viewer."""
    out, controls = io.StringIO(), RecordedControls()
    left: Iterator[str] = iter(keys)

    def wait(seconds: float) -> str:
        if key := next(left, ""):
            out.seek(0)
            out.truncate()
        else:
            time.sleep(seconds)
        return key

    console = terminal(out, 100, 30)
    viewer = Viewer(lambda: snapshots, controls, countdown(len(keys) + 1), console, View(), folder)
    failure = viewer.run(wait, 20.0)
    if failure is not None:
        raise failure
    return out.getvalue(), controls
