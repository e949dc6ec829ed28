"""The outputs recorded in tests/golden: of whole commands, and of streams that are fed like those of a microphone.

`support.record_golden` records them, and integration/test_golden.py compares with them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.schema import LEGACY_SCORE
from monitor.bundle.threshold import THRESHOLDS, Threshold
from monitor.cli.main import run
from monitor.config.schema import Config, Features, Score
from monitor.core.errors import EXIT_OK
from monitor.runtime.builder import build_engine
from monitor.scoring.gaussian import Reference
from support.golden_inputs import CHUNKS, KINDS, RATE, full_size_references, full_size_weights, sound
from support.listening import HandFedSource, RememberingSink, plan

GOLDEN = Path(__file__).parents[1] / "golden"
SCORES, FACTS = GOLDEN / "scores.npz", GOLDEN / "facts.json"
MODELS = (*KINDS, "toyadmos")

# By name: the model, the number of its streams, and whether there is a gap in the sound.
LIVE = {
    "one": ("fused", 1, False),
    "one_gap": ("fused", 1, True),
    "three_gap": ("fused", 3, True),
    "error_gap": ("error", 1, True),
}
EVENT_FACTS = ("kind", "start_s", "end_s", "threshold", "cause")
_ON_PROCESSOR = ("--set", "train.device=cpu", "--set", "listening.precision=float32")
_RING, _BURST = 20_000, 10_000  # samples: capacity of the ring; of a burst, which is written three times
_BURST_AT = 40  # number of the chunk before which the burst is written


def model_file(name: str) -> Path:
    """Path of a recorded model."""
    return GOLDEN / f"{name}.safetensors"


def command(*arguments: object) -> None:
    """Runs a command, which must succeed."""
    words = [*map(str, arguments), *_ON_PROCESSOR]
    assert run(words) == EXIT_OK, " ".join(words)


def replayed(*arguments: object) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Runs `monitor replay`.

    Returns:
        Error and score of each window (n, 2), by the name of the stream, or of the recording if there is one stream;
        and the events.
    """
    scores, events = Path("scores.csv"), Path("events.jsonl")
    events.unlink(missing_ok=True)
    command("replay", *arguments, "--speed", "max", "--headless", "--scores", scores, "--events", events)
    found: dict[str, list[tuple[float, float]]] = {}
    with scores.open(newline="") as file:
        for row in csv.DictReader(file):
            name = row.get("stream") or row["source"]
            found.setdefault(name, []).append((float(row["error"]), float(row["score"] or "nan")))
    kept = [event_facts(json.loads(line)) for line in events.read_text().splitlines()]
    return {name: np.array(rows) for name, rows in found.items()}, kept


def event_facts(event: dict[str, Any]) -> dict[str, Any]:
    """Returns the facts of an event that are compared; peak and mean are only final when it has ended."""
    known = EVENT_FACTS if event["end_s"] is None else (*EVENT_FACTS, "peak", "mean")
    return {name: event[name] for name in known}


def evaluated(model: Path, data: Path) -> dict[str, Any]:
    """Runs `monitor evaluate`, and returns the AUC and the score of each recording."""
    command("evaluate", model, data, "--json", "figures.json")
    figures = json.loads(Path("figures.json").read_text())
    return {"auc": figures["auc"], "scores": {file["path"]: file["score"] for file in figures["files"]}}


def calibrated(model: Path, data: Path) -> dict[str, float]:
    """Runs `monitor calibrate`, and returns the thresholds."""
    command("calibrate", model, data / "test_normal", "--force", "--out", "calibrated.safetensors")
    return {name: one.value for name, one in load_bundle(Path("calibrated.safetensors")).thresholds.items()}


def full_size_bundle() -> Bundle:
    """An untrained model of the default size."""
    values = dict(zip(THRESHOLDS, (30.0, 9.0, 20.0, 5.0), strict=True))
    return Bundle(
        # The defaults of the time when the scores were recorded.
        Config(features=Features(fmax=None), score=Score.model_validate(LEGACY_SCORE)),
        full_size_weights(),
        mean=np.full(64, -50, np.float32),
        deviation=np.full(64, 8, np.float32),
        usual_band_error=np.ones(64, np.float32),
        references={
            part: Reference(facts["centre"], facts["inverse_covariance"], facts["usual"])
            for part, facts in full_size_references().items()
        },
        thresholds={
            name: Threshold(value=value, method="normal", recordings=10, seconds=60.0, expected=1.0)
            for name, value in values.items()
        },
        normal_scores=np.linspace(0, 25, 200),
    )


@dataclass(frozen=True)
class LiveOutput:
    """The output of one stream that was fed like that of a microphone."""

    rows: np.ndarray  # (n, 3): number of the window, error, score
    events: list[list[Any]]  # kind, start, end, lost samples


def scored_live(bundle: Bundle, streams: int, *, gap: bool) -> list[LiveOutput]:
    """Scores sound that arrives in chunks of irregular length, every second stream with a fault.

    Args:
        gap: whether more samples arrive at once than the ring can hold.
    """
    sounds = [sound(14.0, 500 + i, fault_from_s=9.0 if i % 2 else None) for i in range(streams)]
    sources = [HandFedSource(rate=RATE, live=False, capacity=_RING, name="mic") for _ in sounds]
    sinks = [RememberingSink() for _ in sounds]
    plans = [
        plan(bundle, source, name=f"s{i}", sinks=[sink])
        for i, (source, sink) in enumerate(zip(sources, sinks, strict=True))
    ]
    engine = build_engine(plans, device="cpu", precision="float32")
    at = number = 0
    while at < len(sounds[0]):
        size = CHUNKS[number % len(CHUNKS)]
        for source, samples in zip(sources, sounds, strict=True):
            for _ in range(3 if gap and number == _BURST_AT else 0):
                source.write(samples[at : at + _BURST])
            source.write(samples[at : at + size])
        for _ in range(4):
            engine.take_turns()
        at, number = at + size, number + 1
    for source in sources:
        source.end()
    while not all(stream.ended for stream in engine.streams):
        engine.take_turns()
    return [LiveOutput(_numbered(sink), _interruptions(sink)) for sink in sinks]


def _numbered(sink: RememberingSink) -> np.ndarray:
    return np.concatenate(
        [
            np.stack((rows.first + np.arange(len(rows.error)), rows.error, rows.score), axis=1, dtype=np.float64)
            for rows in sink.rows
        ]
    )


def _interruptions(sink: RememberingSink) -> list[list[Any]]:
    return [[event.kind, event.start_s, event.end_s, event.lost_samples] for event in sink.events]


def recorded_facts() -> dict[str, Any]:
    """The recorded facts other than arrays."""
    facts: dict[str, Any] = json.loads(FACTS.read_text())
    return facts


def names_of(found: Sequence[str], prefix: str) -> list[str]:
    """Returns the names that begin with a prefix, without the prefix."""
    return [name.removeprefix(f"{prefix}/") for name in found if name.startswith(f"{prefix}/")]
