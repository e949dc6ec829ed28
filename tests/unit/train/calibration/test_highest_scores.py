"""The normal recordings that raise the limits are named, with the time at which they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.scoring.scorer import rolling_length
from support.builders import small_config
from train.calibration.highest_scores import NAMED, Place, of_recordings, of_stream

CONFIG = small_config("alarm.k=2", "alarm.n=3", "alarm.block_s=0.5")


def test_the_recordings_with_the_highest_scores_of_the_alarm_come_first_with_their_times() -> None:
    loud = np.ones(40)
    loud[[10, 12]] = 9.0  # two of three decisions, as the alarm needs
    single = np.ones(40)
    single[20] = 50.0  # a single one is none of its business
    found = of_stream(
        [
            (Place(Path("a/calm.wav")), np.ones(40)),
            (Place(Path("a/loud.wav")), loud),
            (Place(Path("b/one.wav")), single),
        ],
        CONFIG,
    )
    first_s = rolling_length(CONFIG.score, CONFIG.features) * CONFIG.features.hop_s
    assert found[0] == ("loud.wav", pytest.approx(first_s + 12 * 0.5, abs=0.06), 9.0)
    assert {name for name, _, _ in found} == {"calm.wav", "loud.wav", "one.wav"}
    assert found[1][2] == 1.0


def test_times_in_later_parts_of_a_long_recording_count_from_its_beginning() -> None:
    scores = np.array([1.0, 2.0, 2.0])
    (whole,) = of_stream([(Place(Path("long.wav")), np.concatenate((np.zeros(100), scores)))], CONFIG)
    (part,) = of_stream([(Place(Path("long.wav"), 50.0, 100), scores)], CONFIG)
    assert part == whole


def test_a_recording_is_named_once_and_one_without_a_score_not_at_all() -> None:
    places = [Place(Path("long.wav"), 10.0 * i) for i in range(9)] + [Place(Path(f"{i}.wav")) for i in range(9)]
    scores = [*np.arange(9.0), *np.arange(8.0), np.nan]
    found = of_recordings(zip(places, scores, strict=True))
    assert found == [("long.wav", 80.0, 8.0), ("7.wav", 0.0, 7.0), ("6.wav", 0.0, 6.0)]
    assert len(found) == NAMED
