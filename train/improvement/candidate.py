"""Makes the next model of a stream: reference distributions and limits learnt again, from all its normal sound.

What people called new but normal is rare: some clips among hours of sound. Cross-validation would take them for
anomalies, and raise the limits until no fault is above them. So the reference distributions are fitted to them as well,
but the limits are found without them. How much they weigh is what is needed so that they no longer alarm, and no more:
the more they weigh, the less is heard of a fault that sounds like them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import with_model_id
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import DoubleArray, IndexArray
from monitor.detection.alarm import Alarm
from monitor.detection.alarm_rules import rows_per_decision
from monitor.detection.cusum import Limits
from monitor.model.precision_choice import calibration_precision
from monitor.scoring.scorer import rolling_length
from train.calibration.band_error import usual_band_error
from train.calibration.calibrate import with_sessions
from train.calibration.cross_validation import FOLDS
from train.calibration.machine_facts import learn_machine, with_usual_sound
from train.calibration.mode_finder import LEAST_S
from train.calibration.observations import Observation, observe
from train.calibration.reference import NETWORK_S, fit_references
from train.calibration.rhythm_finder import FoundRhythm
from train.calibration.thresholds import TOO_LITTLE_S, with_thresholds
from train.data.feature_cache import Frames
from train.data.known_recordings import stored_contents
from train.data.sessions import blocked_folds, recording_sessions
from train.improvement.clip_replay import delay_of_report
from train.improvement.material import EventClip, Material

if TYPE_CHECKING:
    import torch

# Shares of the sound that references are fitted to that the new clips may have; the first one that suffices is taken.
SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7)
LEARNT_KEY = "learnt"  # in the provenance: the digests of the recordings that references were fitted to
# Seconds of sound that a mode needs which the model in force does not have: a reference distribution that is fitted to
# less, of one night, takes the next night for an anomaly.
NEW_MODE_S = NETWORK_S
LASTING_S = 1200.0  # a new normal state must not alarm even if it lasts so long
MAX_S = 36_000.0  # of normal sound that is learnt from, spread over all there is: more makes hardly a difference


@dataclass(frozen=True, slots=True)
class Observed:
    """The window statistics of all normal sound, by which candidates are fitted."""

    bundle: Bundle  # with the modes and the rhythm of the machine, but without its reference distributions
    rhythm: FoundRhythm | None
    known: list[Observation]  # normal sound
    learnt: list[Observation]  # the clips that are new, but normal
    clips: list[EventClip]  # the same clips


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate, and by what it can be judged."""

    bundle: Bundle
    observed: Observed
    share: float  # of the sound that the references are fitted to, that the new clips have

    def without_each_fold(self) -> Iterator[tuple[Bundle, list[Observation], list[int]]]:
        """Yields candidates that are made in the same way, but each without a fold of the sound, and of the clips.

        A fold is a session, such as a day, or a block of consecutive recordings. Clips are divided one by one: their
        kind is known from the others.

        Yields:
            the candidate, the normal sound that it has not learnt, and the numbers of the clips that it has not.
        """
        known, learnt = self.observed.known, self.observed.learnt
        trained = [one for one in known if one.trained]
        # Names of another kind would hide the dates of the others, so each has folds of its own.
        folds = np.concatenate((_folds(trained), _folds(known[len(trained) :])))
        for fold in range(int(folds.max()) + 1):
            clips = [number for number in range(len(learnt)) if number % (int(folds.max()) + 1) == fold]
            part = replace(
                self.observed,
                known=[one for one, of in zip(known, folds, strict=True) if of != fold],
                learnt=[one for number, one in enumerate(learnt) if number not in clips],
            )
            left_out = [one for one, of in zip(known, folds, strict=True) if of == fold]
            if left_out and part.known:
                yield fitted(part, self.share), left_out, clips


def make_candidate(parent: Bundle, config: Config, material: Material, device: torch.device | str) -> Candidate:
    """Learns reference distributions, operating modes and limits again; the network stays the same.

    Args:
        parent: the model whose network it is.
        config: the settings in force for the stream.
        material: what is known of the stream.
        device: where the network computes.

    Raises:
        DataError: if there is too little normal sound, or nothing to learn.
    """
    precision = calibration_precision(config.listening.precision, parent.precision)
    bundle = replace(parent, config=learning_settings(parent, config), precision=precision)
    return choose(observe_material(bundle, material, device), config, material.faults)


def learning_settings(parent: Bundle, config: Config) -> Config:
    """The settings that a candidate is made with: those of its parent, with the calibration and alarm in force.

    Raises:
        DataError: if the model has no reference distributions to learn again.
    """
    score = parent.config.score
    if score.kind == "error" or score.recording == "max":
        raise DataError(
            "This model has no reference distribution to learn again (score.kind is error, or score.recording is max): "
            "use `monitor calibrate`."
        )
    train = parent.provenance.get("train") or {}
    own = config.train.model_copy(update={key: train[key] for key in train if key not in ("device", "memory_gb")})
    in_force = {"calibration": config.calibration, "alarm": config.alarm, "train": own}
    return parent.config.model_copy(update=in_force)


def observe_material(bundle: Bundle, material: Material, device: torch.device | str) -> Observed:
    """Finds the modes and the rhythm of the machine, and computes the window statistics of its normal sound.

    Args:
        bundle: has the settings and the network.
        material: what is known of the stream.
        device: where the network computes.

    Raises:
        DataError: if there is too little of it.
    """
    hop_s = bundle.config.features.hop_s
    trained, heard = _spread(material.trained, hop_s), _spread(material.heard, hop_s)
    seconds = sum(len(one.power) for one in (*heard, *trained)) * hop_s
    if seconds < TOO_LITTLE_S:
        raise DataError(
            f"To learn again, {TOO_LITTLE_S / 60:.0f} minutes of normal sound are needed, and there are "
            f"{seconds / 60:.1f}: let `monitor live` gather more, or give recordings with --normal FOLDER."
        )
    clips = [clip.frames for clip in material.learnt]
    bundle = with_sessions(bundle, [*trained, *heard])
    # A mode that is known from a few clips only would have too little sound for a reference distribution of its own.
    least_s = LEAST_S if bundle.modes is not None else NEW_MODE_S
    bundle, rhythm = learn_machine(bundle, [*trained, *heard], least_mode_s=least_s)
    known = [
        *observe(bundle, trained, device, trained=True, with_cuts=True),
        *observe(bundle, heard, device, trained=False, with_cuts=True),
    ]
    return Observed(bundle, rhythm, known, observe(bundle, clips, device, trained=False), material.learnt)


def choose(observed: Observed, config: Config, faults: Sequence[EventClip] = ()) -> Candidate:
    """The candidate in which the new clips weigh just so much that such sound does not alarm, or else alarms least.

    With several clips, each half of them has to be quiet by a candidate that has learnt the other half only: what will
    be heard tomorrow is not the same. A weight with which fewer confirmed faults are reported is not taken.

    Args:
        observed: the sound.
        config: the settings in force.
        faults: clips of confirmed faults.
    """
    found: list[tuple[int, int, float, Bundle]] = []
    for share in SHARES if observed.learnt else SHARES[:1]:
        bundle = fitted(observed, share)
        missed = sum(delay_of_report(bundle, config, clip.path, clip.onset_s) is None for clip in faults)
        found.append((missed, _alarming(observed, bundle, config, share), share, bundle))
        # More weight makes no fault audible again.
        if not found[-1][1] or missed > found[0][0]:
            break
    _, _, share, bundle = min(found, key=lambda one: one[:3])
    contents = stored_contents(one.frames for one in (*observed.known, *observed.learnt))
    bundle = replace(bundle, provenance=bundle.provenance | {LEARNT_KEY: contents})
    return Candidate(with_model_id(bundle), observed, share)


def _alarming(observed: Observed, bundle: Bundle, config: Config, share: float) -> int:
    """How many of the new clips alarm if they last, by a candidate that has learnt the other half if there are several.

    Args:
        observed: the sound.
        bundle: the candidate that has learnt all of it.
        config: the settings in force.
        share: that the new clips have.
    """
    judged = list(zip(observed.learnt, observed.clips, strict=True))
    parts = [(bundle, judged)]
    if len(judged) > 1:
        halves = (judged[::2], judged[1::2])
        learnt = ([one for one, _ in half] for half in reversed(halves))
        parts = [
            (fitted(replace(observed, learnt=other), share), half) for other, half in zip(learnt, halves, strict=True)
        ]
    return sum(
        alarms_if_lasting(model, config, of_anomaly(one, clip, model.config))
        for model, half in parts
        for one, clip in half
    )


def fitted(observed: Observed, share: float) -> Bundle:
    """The complete model that is fitted to normal sound.

    Args:
        observed: the sound.
        share: least share of the sound, from 0 on and below 1, that the new clips have.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # its matrices are small: threads would only wait for each other
        return _fitted(observed, share)


def _fitted(observed: Observed, share: float) -> Bundle:
    bundle, known = observed.bundle, observed.known
    pieces, new = (sum(len(one.pieces) for one in some) for some in (known, observed.learnt))
    times = max(1, round(share / (1 - share) * pieces / new)) if new else 0
    bundle = with_usual_sound(bundle, [*known, *observed.learnt])
    found = fit_references(known, bundle.config, bundle.layout, observed.rhythm, also=times * observed.learnt)
    untrained = [one for one in known if not one.trained]
    usual = usual_band_error(bundle, untrained or known)
    bundle = replace(bundle, references=found.references, rhythm=found.rhythm, usual_band_error=usual)
    return with_thresholds(bundle, found.pool, len(known))


def of_anomaly(observation: Observation, clip: EventClip, config: Config) -> DoubleArray:
    """The mean rows (d, mean_width) of a clip at the decisions of the alarm from the anomaly's onset to its end."""
    step_s = rows_per_decision(config.alarm, config.features.hop_s) * config.features.hop_s
    began = np.arange(len(observation.decisions)) * step_s
    within = (began >= clip.onset_s) & (began + config.score.window_s <= max(clip.end_s, clip.onset_s + step_s))
    chosen: DoubleArray = observation.decisions[within] if within.any() else observation.decisions
    return chosen


def alarms_if_lasting(bundle: Bundle, config: Config, means: DoubleArray) -> bool:
    """Whether there would be an alarm if sound with these mean rows (d, mean_width) lasted for LASTING_S."""
    if not len(means):
        return False
    features, scores = bundle.config.features, bundle.scorer()(means)
    step = rows_per_decision(config.alarm, features.hop_s)
    alarm = Alarm(
        config.alarm, Limits.of(bundle, config.alarm), features.hop_s, rolling_length(bundle.config.score, features)
    )
    times = int(np.ceil(LASTING_S / (len(scores) * step * features.hop_s)))
    return bool(alarm.push(np.repeat(np.tile(np.asarray(scores, np.float64), times), step)))


def _folds(observed: Sequence[Observation]) -> IndexArray:
    """The number of the fold (n,) of each recording."""
    seconds = [one.seconds for one in observed]
    if not seconds:
        return np.empty(0, np.int64)
    return blocked_folds(recording_sessions([one.frames.path for one in observed], seconds), seconds, FOLDS)


def _spread(recordings: Sequence[Frames], hop_s: float) -> list[Frames]:
    """So many of the recordings, evenly spread, that they last no longer than MAX_S."""
    seconds = sum(len(one.power) for one in recordings) * hop_s
    every = max(1, int(np.ceil(seconds / MAX_S)))
    return list(recordings[::every])
