"""A picture shows the scores that the stream had, and is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import MonitorError
from monitor.core.types import FloatArray
from monitor.outputs.plots import LowerPlot, draw, drawable
from monitor.outputs.rescoring import Rescored, contributions_of, rescore
from monitor.streaming.score_batch import ScoreBatch
from support.builders import small_bundle, small_config

CONFIG = small_config()


def frames(count: int, seed: int = 0) -> FloatArray:
    """Power mel frames (t, n_mels) of noise."""
    return np.random.default_rng(seed).exponential(1e-4, (count, CONFIG.features.n_mels)).astype(np.float32)


def test_the_scores_in_a_picture_are_those_of_the_stream() -> None:
    bundle, power = small_bundle(CONFIG), frames(1200)
    batch = ScoreBatch(bundle)
    parts = [batch.push(power[None, i : i + 37]).portions()[0] for i in range(0, len(power), 37)]
    live = np.concatenate([*(part.score for part in parts), batch.flush().portions()[0].score])
    rescored = rescore(bundle, power)
    assert len(rescored.recorded) == len(rescored.reconstructed) == len(rescored.score) == len(power)
    np.testing.assert_allclose(rescored.score, live, rtol=1e-4)
    late = rescore(bundle, power[400:]).score
    np.testing.assert_allclose(late[60:], live[460:], rtol=1e-4, err_msg="after the run-up it does not matter where")


@pytest.mark.parametrize("overrides", [(), ("features.scale=power", "features.standardize=false")])
def test_what_was_recorded_is_shown_in_decibels_or_in_power_as_the_model_sees_it(overrides: tuple[str, ...]) -> None:
    config = small_config(*overrides)
    power = frames(60)
    expected = power if overrides else 10 * np.log10(power)
    np.testing.assert_allclose(rescore(small_bundle(config), power).recorded, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["fused", "error"])
def test_what_bands_add_to_a_score_adds_up_to_it(kind: str) -> None:
    bundle = small_bundle(small_config(f"score.kind={kind}"))
    rescored = rescore(bundle, frames(200))
    contributions = contributions_of(bundle, rescored.means[150])
    assert contributions.shape == (64,)
    assert np.abs(contributions).sum() == pytest.approx(rescored.score[150], rel=1e-4)


def test_sound_that_is_too_short_for_a_window_has_neither_scores_nor_a_reconstruction() -> None:
    rescored = rescore(small_bundle(CONFIG), frames(9))
    assert [len(one) for one in (rescored.recorded, rescored.reconstructed, rescored.score)] == [9, 0, 0]
    assert len(rescored.error) == 0


def drawn(rescored: Rescored, path: Path) -> None:
    bundle = small_bundle(CONFIG)
    lower = LowerPlot("score", rescored.score, 80.0)
    draw(bundle, rescored, np.zeros(64, np.float32), 80.0, lower, "größe $x^$", path)


@pytest.mark.parametrize("count", [10, 3000])
def test_short_and_long_sound_can_be_drawn(tmp_path: Path, count: int) -> None:
    drawn(rescore(small_bundle(CONFIG), frames(count)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MonitorError, match="cannot be written") as caught:
        drawn(rescore(small_bundle(CONFIG), frames(30)), tmp_path / "file" / "a.png")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_a_name_with_characters_that_the_font_does_not_have_is_drawn_without_a_warning(tmp_path: Path) -> None:
    rescored, lower = rescore(small_bundle(CONFIG), frames(60)), LowerPlot("score", np.ones(60), 2.0)
    assert drawable("ü 工\U0001f6e0 \udcff.wav") == "ü ?? ?.wav"
    draw(
        small_bundle(CONFIG), rescored, np.ones(64, np.float32), 1.0, lower, "工場\U0001f6e0\udcff.wav",
        tmp_path / "a.png", notes=("工場",),
    )  # fmt: skip
    assert (tmp_path / "a.png").exists()
