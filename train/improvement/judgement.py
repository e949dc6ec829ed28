"""Judges a candidate on what is known of a stream, beside the model in force: what each of them would report.

Normal sound: the alarm of the program runs over the scores of all stored pieces one after another, as if they were one
stream. Each piece is scored by a candidate that was made in the same way without it and its session, so that nothing is
judged by what it was learnt from. The model in force stays as it is; how much of the sound it had learnt is said.

Anomalies: each clip goes through the program's own stream and detector, as in a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.types import DoubleArray
from monitor.detection.alarm import Alarm
from monitor.detection.alarm_rules import rows_per_decision
from monitor.detection.cusum import Limits
from monitor.scoring.scorer import rolling_length
from train.calibration.cross_validation import FOLDS
from train.calibration.observations import Observation, observe
from train.calibration.tail_model import DAY_S, upper_rate
from train.data.feature_cache import Frames
from train.data.known_recordings import known_recordings
from train.improvement.candidate import LEARNT_KEY, Candidate, alarms_if_lasting, of_anomaly
from train.improvement.clip_replay import delay_of_report
from train.improvement.material import EventClip, Material

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """The alarms in normal sound."""

    alarms: int
    hours: float

    @property
    def per_day(self) -> float:
        """The rate."""
        return self.alarms / self.hours * 24 if self.hours else float("nan")

    @property
    def upper(self) -> float:
        """The upper 95 % confidence bound of the rate."""
        return upper_rate(self.alarms, self.hours * 3600) if self.hours else float("inf")


@dataclass(frozen=True, slots=True)
class ClipResult:
    """What two models say to a clip. A delay is in seconds from the anomaly's onset to its report; None: no report."""

    event_id: str
    onset: float  # Unix time
    before: float | None
    after: float | None

    @property
    def lost(self) -> bool:
        """Whether it was reported, and no longer is."""
        return self.before is not None and self.after is None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The model in force and a candidate, side by side.

    Attributes:
        normal: false alarms of both in all normal sound; of the candidate by cross-validation.
        on_training: whether that sound is what the network was trained on, because there is no other.
        known_before: how many recordings of it the model in force had learnt.
        recordings: number of recordings of it.
        folds: number of folds of the cross-validation.
        faults, unjudged, learnt, no_fault: clips with this verdict, or none.
        alarming_if_lasting: number of the learnt clips that alarm if such sound lasts, before and after.
        left_out: of the learnt clips, how many there are in folds with others left, and how many of these alarm by a
            candidate that has learnt the others only.
        without_sound: number of faults, learnt and unjudged anomalies without a clip, by verdict.
    """

    normal: tuple[FalseAlarms, FalseAlarms]
    on_training: bool
    known_before: int
    recordings: int
    folds: int
    faults: list[ClipResult] = field(default_factory=list)
    unjudged: list[ClipResult] = field(default_factory=list)
    learnt: list[ClipResult] = field(default_factory=list)
    no_fault: list[ClipResult] = field(default_factory=list)
    alarming_if_lasting: tuple[int, int] = (0, 0)
    left_out: tuple[int, int] = (0, 0)
    without_sound: dict[str, int] = field(default_factory=dict)

    @property
    def faults_lost(self) -> list[ClipResult]:
        """Confirmed faults that are no longer reported."""
        return [one for one in self.faults if one.lost]

    @property
    def unjudged_lost(self) -> list[ClipResult]:
        """Anomalies without a verdict that are no longer reported."""
        return [one for one in self.unjudged if one.lost]


def judge(
    parent: Bundle,
    candidate: Candidate,
    config: Config,
    material: Material,
    device: torch.device | str,
    advance: Callable[[float], None] = lambda _: None,
) -> Judgement:
    """Judges a candidate beside the model in force.

    Args:
        parent: the model in force.
        candidate: the candidate.
        config: the settings in force.
        material: what is known of the stream.
        device: where the network computes for normal sound.
        advance: is called with the completed share.
    """
    bundle, observed = candidate.bundle, candidate.observed
    parent = replace(parent, precision=bundle.precision)  # so that it can be judged where the parent's is not installed
    judged = [one for one in observed.known if not one.trained] or observed.known
    on_training = bool(judged) and judged[0].trained
    frames = [one.frames for one in judged]
    by_parent = judged if _same_rows(parent, bundle) else observe(parent, frames, device, trained=False)
    clips_by_parent = (
        observed.learnt
        if _same_rows(parent, bundle)
        else observe(parent, [clip.frames for clip in material.learnt], device, trained=False)
    )
    before = _false_alarms([(parent, by_parent)], config)
    parts: list[tuple[Bundle, list[Observation]]] = []
    clips_left_out = alarming = 0
    for number, (fold, left_out, clips) in enumerate(candidate.without_each_fold()):
        advance((number + 1) / (FOLDS + 1))
        parts.append((fold, [one for one in left_out if one.trained == on_training]))
        if len(clips) < len(observed.learnt):
            clips_left_out += len(clips)
            alarming += _alarming(fold, config, observed.learnt, observed.clips, clips)
    every = range(len(observed.learnt))
    lasting = (
        _alarming(parent, config, clips_by_parent, observed.clips, every),
        _alarming(bundle, config, observed.learnt, observed.clips, every),
    )
    groups = ("faults", "unjudged", "learnt", "no_fault")
    results = {name: [_compared(one, parent, bundle, config) for one in getattr(material, name)] for name in groups}
    advance(1.0)
    missing = [event.verdict for event in material.without_sound]
    return Judgement(
        (before, _false_alarms(parts, config)), on_training, _known_before(parent, frames), len(frames), len(parts),
        **results, alarming_if_lasting=lasting, left_out=(clips_left_out, alarming),
        without_sound={verdict: missing.count(verdict) for verdict in sorted(set(missing))},
    )  # fmt: skip


def _compared(clip: EventClip, parent: Bundle, bundle: Bundle, config: Config) -> ClipResult:
    before, after = (delay_of_report(one, config, clip.path, clip.onset_s) for one in (parent, bundle))
    return ClipResult(clip.event.id, clip.event.onset, before, after)


def _alarming(
    bundle: Bundle,
    config: Config,
    observed: Sequence[Observation],
    clips: Sequence[EventClip],
    numbers: Iterable[int],
) -> int:
    """How many of the clips with these numbers alarm if their sound lasts."""
    return sum(
        alarms_if_lasting(bundle, config, of_anomaly(observed[number], clips[number], bundle.config))
        for number in numbers
    )


def _false_alarms(parts: Sequence[tuple[Bundle, Sequence[Observation]]], config: Config) -> FalseAlarms:
    """The alarms in recordings, which are joined to one stream for each model; `parts` has models with recordings."""
    alarms, seconds = 0, 0.0
    for bundle, observed in parts:
        features = bundle.config.features
        step = rows_per_decision(config.alarm, features.hop_s)
        alarm = Alarm(
            config.alarm, Limits.of(bundle, config.alarm), features.hop_s, rolling_length(bundle.config.score, features)
        )
        scorer = bundle.scorer()
        for one in sorted(observed, key=lambda one: str(one.frames.path)):
            scores: DoubleArray = np.asarray(scorer(one.decisions), np.float64)
            begun = alarm.push(np.repeat(scores, step))
            alarms += sum(anomaly.end is None and not anomaly.reminders for anomaly in begun)
            seconds += len(scores) * step * features.hop_s
    return FalseAlarms(alarms, seconds / DAY_S * 24)


def _same_rows(parent: Bundle, bundle: Bundle) -> bool:
    """Whether two models certainly compute the same window statistics: the same network, and no modes or rhythm."""
    of_machine = (parent.modes, parent.rhythm, bundle.modes, bundle.rhythm)
    if any(one is not None for one in of_machine):
        return False
    if parent.layout != bundle.layout:
        return False
    return all(np.array_equal(values, bundle.weights[name]) for name, values in parent.weights.items())


def _known_before(parent: Bundle, frames: Sequence[Frames]) -> int:
    """How many of the recordings the model in force has learnt."""
    known = [one for key in ("contents", LEARNT_KEY) for one in known_recordings(frames, parent.provenance.get(key))]
    return len({one.digest for one in known})
