"""A new normal state has to be quiet even if it lasts, and nothing is judged by a model that has learnt it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.core.types import DoubleArray
from support.recordings import QUICK
from support.stored import stored_event
from train.calibration.observations import Observation, observe
from train.data.discovery import find_recordings
from train.data.feature_cache import FeatureCache, Frames
from train.improvement import candidate
from train.improvement.candidate import Candidate, Observed, alarms_if_lasting, learning_settings, of_anomaly
from train.improvement.material import EventClip


@pytest.fixture
def config(bundle: Bundle) -> Config:
    return load_config(Path("/dev/null"), overrides=[*QUICK, "alarm.cool_down_s=0"])


@pytest.fixture
def observed(bundle: Bundle, data: Path, tmp_path: Path) -> list[Observation]:
    """Six normal recordings of six seconds."""
    cache = FeatureCache(bundle.config.features, tmp_path / "cache")
    files = find_recordings(data).train_normal[:6]
    return observe(bundle, [cache.frames(file) for file in files], "cpu", trained=False)


def sound_scoring(bundle: Bundle, like: DoubleArray, wanted: float) -> DoubleArray:
    """Mean rows (d, mean_width) that all have about this score, which is higher than that of `like`."""
    middle = like.mean(axis=0)
    low, high = 0.0, 300.0
    away = like[0] - middle
    for _ in range(60):
        at = (low + high) / 2
        low, high = (at, high) if bundle.scorer()((middle + at * away)[None])[0] < wanted else (low, at)
    return np.repeat((middle + low * away)[None], 20, axis=0)


def test_sound_that_is_only_a_little_unusual_alarms_if_it_lasts(
    bundle: Bundle, config: Config, observed: list[Observation]
) -> None:
    limit, usual = bundle.thresholds["score"].value, float(np.quantile(bundle.normal_scores, 0.98))
    assert usual < 0.8 * limit
    a_little = sound_scoring(bundle, observed[0].decisions, usual + 0.1 * (limit - usual))
    assert alarms_if_lasting(bundle, config, a_little)
    only_sudden = config.model_copy(update={"alarm": config.alarm.model_copy(update={"lasting": False})})
    assert not alarms_if_lasting(bundle, only_sudden, a_little)
    assert alarms_if_lasting(bundle, only_sudden, sound_scoring(bundle, observed[0].decisions, 1.2 * limit))
    assert not alarms_if_lasting(bundle, config, sound_scoring(bundle, observed[0].decisions, 0.0))
    assert not alarms_if_lasting(bundle, config, np.empty((0, a_little.shape[1])))


def test_of_a_clip_only_the_anomaly_itself_counts(bundle: Bundle, config: Config, observed: list[Observation]) -> None:
    whole = observed[0]

    def rows(onset_s: float, end_s: float) -> int:
        clip = EventClip(stored_event(1), Path("a.flac"), whole.frames, onset_s, end_s)
        return len(of_anomaly(whole, clip, bundle.config))

    assert 0 < rows(3.0, 6.0) < rows(0.0, 6.0) == len(whole.decisions)
    assert rows(5.9, 6.0) == len(whole.decisions)  # too short for a mean of its own


def test_each_part_of_the_sound_is_judged_by_a_candidate_without_it(
    bundle: Bundle, observed: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [EventClip(stored_event(n), Path("a.flac"), observed[n].frames, 0.0, 6.0) for n in (4, 5)]
    made = Candidate(bundle, Observed(bundle, None, observed[:4], observed[4:], clips), 0.1)
    fitted: list[tuple[list[str], list[str]]] = []

    def remember(part: Observed, share: float) -> Bundle:
        fitted.append(([one.frames.path.name for one in part.known], [one.frames.path.name for one in part.learnt]))
        return bundle

    monkeypatch.setattr(candidate, "fitted", remember)  # what it is fitted to is what matters here
    judged: list[str] = []
    of_clips: list[int] = []
    for (_, left_out, numbers), (known, learnt) in zip(made.without_each_fold(), fitted, strict=False):
        names = {one.frames.path.name for one in left_out}
        assert not names & set(known)
        assert not {observed[4 + number].frames.path.name for number in numbers} & set(learnt)
        judged += names
        of_clips += numbers
    assert sorted(judged) == [one.frames.path.name for one in observed[:4]]
    assert sorted(of_clips) == [0, 1]


def test_a_model_without_reference_distributions_is_sent_to_calibrate(bundle: Bundle, config: Config) -> None:
    plain = bundle.config.model_copy(update={"score": bundle.config.score.model_copy(update={"kind": "error"})})
    with pytest.raises(DataError, match="monitor calibrate"):
        learning_settings(replace(bundle, config=plain), config)


def test_long_normal_sound_is_thinned_out_evenly() -> None:
    hour = [Frames(Path(f"{n:04d}.wav"), np.zeros((360_000, 1), np.float32), str(n)) for n in range(25)]
    chosen = candidate._spread(hour, 0.01)
    assert [one.path.stem for one in chosen] == [f"{n:04d}" for n in range(0, 25, 3)]
