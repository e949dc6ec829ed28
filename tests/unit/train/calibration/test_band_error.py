"""The usual error of each band is that of normal sound, whether the rows of window statistics have it or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from support.builders import small_bundle, small_config
from support.oracle import normalized, reconstructed
from train.calibration import band_error
from train.calibration.band_error import usual_band_error
from train.calibration.observations import observe
from train.data.feature_cache import Frames


def recordings(lengths: list[int]) -> list[Frames]:
    random = np.random.default_rng(0)
    return [
        Frames(Path(f"{number}.wav"), random.random((length, 64)).astype(np.float32) ** 4, "")
        for number, length in enumerate(lengths)
    ]


@pytest.mark.parametrize("kind", ["fused", "error"])
def test_a_model_of_any_kind_knows_the_usual_error_of_each_band(kind: str) -> None:
    bundle, found = small_bundle(small_config(f"score.kind={kind}")), recordings([400, 400])
    usual = usual_band_error(bundle, observe(bundle, found, "cpu", trained=False))
    squares = []
    for frames in found:
        windows = sliding_window_view(normalized(bundle, frames.power), 20, axis=0).swapaxes(1, 2)
        difference = reconstructed(bundle, windows.reshape(len(windows), -1)).reshape(windows.shape) - windows
        squares.append(np.square(difference).mean(axis=(0, 1)))
    # With kind error also of the windows at both ends, which mirrored frames complete.
    np.testing.assert_allclose(usual, np.mean(squares, axis=0), rtol=0.02 if kind == "error" else 1e-5)


def test_of_long_recordings_only_the_beginning_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(band_error, "MAX_WINDOWS", 100)
    bundle, long = small_bundle(), recordings([400, 10, 300])
    short = [Frames(one.path, one.power[: 19 + 33], "") for one in long]
    observed = [observe(bundle, some, "cpu", trained=False) for some in (long, short)]
    ours, same = (usual_band_error(bundle, some) for some in observed)
    np.testing.assert_allclose(ours, same, rtol=1e-6)
