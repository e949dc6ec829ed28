"""Arrays of mel frames that were made with other settings than those of the model do not pass without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.config.schema import Features
from support.builders import frames_of, noise, small_bundle, small_config, write_sound
from support.logs import logged
from train.data.feature_cache import FeatureCache, Frames
from train.data.frame_scale import FrameScale, compare_scale, scale_facts


def arrays(cache: FeatureCache, folder: Path, *overrides: str, count: int = 4, gain: float = 1.0) -> list[Frames]:
    """Recordings of four seconds as arrays, made with some settings of the features changed."""
    folder.mkdir()
    for number in range(count):
        power = frames_of(small_config(*overrides), gain * noise(64_000, seed=number)[None])[0]
        np.save(folder / f"{number}.npy", power)
    return [cache.frames(path) for path in sorted(folder.iterdir())]


def warnings_of(trained: list[Frames], tested: list[Frames]) -> list[str]:
    facts = scale_facts(trained, Features())
    bundle = replace(small_bundle(), provenance={"frames": facts})
    with logged("train") as messages:
        compare_scale(bundle, tested)
    return messages


def test_arrays_of_another_transform_are_warned_of_with_what_differs(cache: FeatureCache, tmp_path: Path) -> None:
    trained = arrays(cache, tmp_path / "ours")
    tested = arrays(cache, tmp_path / "theirs", "features.n_fft=1024", "features.hop_length=512")
    assumed, warning = warnings_of(trained, tested)
    assert "n_fft 512 and hop_length 160 are assumed" in assumed
    assert "they are 6.4 dB louder on average, and they have 126 frames each, not 401" in warning
    assert "train with these settings" in warning


def test_arrays_as_those_trained_on_are_not_warned_of_but_what_is_assumed_is_said(
    cache: FeatureCache, tmp_path: Path
) -> None:
    [assumed] = warnings_of(arrays(cache, tmp_path / "a"), arrays(cache, tmp_path / "b", gain=1.2))
    assert "are assumed" in assumed


def test_recordings_that_differ_in_loudness_by_themselves_allow_for_that(cache: FeatureCache, tmp_path: Path) -> None:
    trained = arrays(cache, tmp_path / "quiet", gain=0.1) + arrays(cache, tmp_path / "loud", gain=3.0)
    assert len(warnings_of(trained, arrays(cache, tmp_path / "tested", gain=1.5))) == 1


def test_arrays_for_a_model_of_sound_are_compared_too_and_the_other_way_round(
    cache: FeatureCache, tmp_path: Path
) -> None:
    sound = [cache.frames(write_sound(tmp_path / f"{n}.wav", noise(64_000, seed=n))) for n in range(3)]
    theirs = arrays(cache, tmp_path / "theirs", "features.n_fft=1024")
    assert "6.4 dB louder" in warnings_of(sound, theirs)[-1]
    assert "6.4 dB quieter" in warnings_of(theirs, sound)[-1]
    assert warnings_of(sound, sound) == []


def test_arrays_beside_sound_of_another_scale_are_warned_of_in_training(cache: FeatureCache, tmp_path: Path) -> None:
    sound = [cache.frames(write_sound(tmp_path / f"{n}.wav", noise(64_000, seed=n))) for n in range(3)]
    with logged("train") as messages:
        facts = scale_facts([*sound, *arrays(cache, tmp_path / "theirs", "features.n_fft=1024")], Features())
    assert "may have been made with other settings than the sound beside them" in messages[-1]
    assert facts["assumed"] == {"sample_rate": 16000, "n_fft": 512, "hop_length": 160, "fmin": 0.0, "fmax": 7000.0}
    assert facts["arrays"] == 4


@pytest.mark.parametrize("facts", [None, "x", {}, {"level_db": "x", "spread_db": 1, "fewest": 1, "most": 1}])
def test_a_model_that_does_not_say_what_it_was_trained_on_is_not_compared(
    cache: FeatureCache, tmp_path: Path, facts: object
) -> None:
    with logged("train") as messages:
        compare_scale(replace(small_bundle(), provenance={"frames": facts}), arrays(cache, tmp_path / "a"))
    assert len(messages) == 1


def test_silence_and_one_recording_have_a_scale(tmp_path: Path) -> None:
    scale = FrameScale.of([Frames(Path("a"), np.zeros((30, 64), np.float32), "0" * 64)])
    assert scale.level_db == pytest.approx(-120)
    assert (scale.spread_db, scale.fewest, scale.most) == (0.0, 30, 30)
