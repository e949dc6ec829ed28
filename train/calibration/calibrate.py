"""Calibrates a model: its reference distributions and its thresholds, from recordings of normal sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.core.errors import DataError
from train.calibration.band_error import usual_band_error
from train.calibration.highest_scores import Place
from train.calibration.machine_facts import learn_machine, with_usual_sound
from train.calibration.normal_pool import NormalPool, errors_of, scores_by
from train.calibration.observations import PIECE_S, observe
from train.calibration.reference import fit_references, pieces_needed
from train.calibration.scored_recordings import score_recordings
from train.calibration.thresholds import with_thresholds
from train.data.feature_cache import Frames
from train.data.sessions import sessions_of_frames

if TYPE_CHECKING:
    import torch

MAX_S = 36_000.0  # duration of training sound, and of held-out sound, that reference distributions are fitted to


def calibrate_new(
    bundle: Bundle, training: Sequence[Frames], held_out: Sequence[Frames], device: torch.device | str
) -> Bundle:
    """Fits the reference distributions and thresholds of an autoencoder that has just been trained.

    Args:
        bundle: the model without reference distributions and thresholds.
        training: recordings that the autoencoder was trained on.
        held_out: other normal recordings.
        device: where the network computes.

    Returns:
        the complete bundle.

    Raises:
        DataError: if there is too little normal sound.
    """
    config = bundle.config
    held_out, training = (_sample(part, config) for part in (held_out, training))
    bundle, rhythm = learn_machine(bundle, [*training, *held_out])
    held = observe(bundle, held_out, device, trained=False, with_cuts=True)
    bundle = replace(bundle, usual_band_error=usual_band_error(bundle, held))
    if config.score.kind == "error":
        bundle = replace(bundle, references={})
        pool = _with_max_scores(bundle, held_out, device, scores_by(bundle, held))
        return with_thresholds(bundle, pool, len(held))
    observed = [*observe(bundle, training, device, trained=True, with_cuts=True), *held]
    bundle = with_usual_sound(bundle, observed)
    fitted = fit_references(observed, config, bundle.layout, rhythm)
    bundle = replace(bundle, references=fitted.references, rhythm=fitted.rhythm)
    bundle = with_sessions(bundle, [*training, *held_out])
    # Errors of training recordings are too low, and a single number cannot correct them: use held-out ones only.
    pool = replace(fitted.pool, errors=errors_of(held, config))
    return with_thresholds(bundle, _with_max_scores(bundle, held_out, device, pool), len(observed))


def recalibrate(
    bundle: Bundle, recordings: Sequence[Frames], device: torch.device | str, *, relearn: bool = False
) -> Bundle:
    """Returns the bundle with new thresholds.

    Args:
        bundle: a complete model.
        recordings: normal recordings that the autoencoder was not trained on.
        device: where the network computes.
        relearn: whether to fit new reference distributions to the recordings, too.

    Raises:
        DataError: if there is too little sound.
    """
    bundle = with_sessions(bundle, recordings)
    relearn = relearn and bundle.config.score.kind != "error"
    rhythm = None
    if relearn:
        bundle, rhythm = learn_machine(bundle, recordings)
    observed = observe(bundle, recordings, device, trained=False, with_cuts=True)
    if relearn:
        minutes = pieces_needed(bundle.config) * PIECE_S / 60
        if sum(len(o.pieces) for o in observed) < pieces_needed(bundle.config):
            raise DataError(
                f"New references need {minutes:.0f} minutes of normal sound, and there are "
                f"{sum(o.seconds for o in observed) / 60:.0f}: record more, or calibrate without --relearn."
            )
        bundle = with_usual_sound(bundle, observed)
        fitted = fit_references(observed, bundle.config, bundle.layout, rhythm)
        pool, usual = fitted.pool, usual_band_error(bundle, observed)
        bundle = replace(bundle, references=fitted.references, rhythm=fitted.rhythm, usual_band_error=usual)
    else:
        pool = scores_by(bundle, observed)
    return with_thresholds(bundle, _with_max_scores(bundle, recordings, device, pool), len(recordings))


def with_sessions(bundle: Bundle, recordings: Sequence[Frames]) -> Bundle:
    """The bundle with the facts of the sessions of its normal sound in its provenance."""
    sessions = sessions_of_frames(recordings, bundle.config.features.hop_s)
    return replace(bundle, provenance=bundle.provenance | {"sessions": sessions.facts()})


def _sample(recordings: Sequence[Frames], config: Config) -> Sequence[Frames]:
    """A random sample of about MAX_S of the recordings, because more sound does not improve the result."""
    order = np.random.default_rng(config.train.seed).permutation(len(recordings))
    seconds = np.cumsum([len(recordings[i].power) * config.features.hop_s for i in order])
    chosen = order[: 1 + int(np.searchsorted(seconds, MAX_S))]
    return [recordings[i] for i in sorted(chosen)]


def _with_max_scores(
    bundle: Bundle, recordings: Sequence[Frames], device: torch.device | str, pool: NormalPool
) -> NormalPool:
    """The pool; if `score.recording` is `max`, with the highest window scores as the scores of whole recordings."""
    if bundle.config.score.recording != "max":
        return pool
    scored = score_recordings(bundle, recordings, device)
    places = [Place(r.frames.path) for r in scored]
    seconds = np.array([r.seconds for r in scored])
    return replace(pool, wholes=np.array([r.score for r in scored]), whole_places=places, whole_s=seconds)
