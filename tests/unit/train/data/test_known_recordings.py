"""A model knows which recordings it was trained on, whatever their names are now."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from train.data.feature_cache import Frames
from train.data.known_recordings import known_recordings, stored_contents


def recordings(*contents: int) -> list[Frames]:
    power = np.ones((30, 64), np.float32)
    return [Frames(Path(f"{n}.wav"), power, hashlib.sha256(str(n).encode()).hexdigest()) for n in contents]


def test_recordings_trained_on_are_recognised_by_their_contents() -> None:
    stored = stored_contents(recordings(*range(1000)))
    found = known_recordings(recordings(5000, 3, 999, 1000), stored)
    assert [frames.path.name for frames in found] == ["3.wav", "999.wav"]
    assert known_recordings(recordings(*range(1000, 3000)), stored) == []


def test_the_digests_of_a_hundred_thousand_recordings_need_less_than_a_megabyte() -> None:
    path, power = Path("x"), np.ones((1, 1), np.float32)
    assert len(stored_contents(Frames(path, power, f"{n:064x}"[::-1]) for n in range(100_000))) < 1e6


@pytest.mark.parametrize("contents", [None, "", "no base64", 3, ["x"]])
def test_of_a_model_that_stores_none_nothing_is_known(contents: object) -> None:
    assert known_recordings(recordings(1), contents) == []
