"""A spectrogram shows a sound where it is, and differences by their sign."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monitor.features.mel import band_centres
from monitor.features.normalization import Normalization
from monitor.web.event.event_analysis import mel_frames
from monitor.web.event.spectrogram_image import COLUMNS, LESS, MORE, difference, heat
from support.builders import small_config

FEATURES = small_config().features


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def test_a_tone_is_brightest_in_the_row_of_its_band() -> None:
    hz, rate = 2000.0, FEATURES.sample_rate
    sound = np.sin(2 * np.pi * hz * np.arange(rate) / rate).astype(np.float32)
    frames = Normalization(FEATURES).scaled(mel_frames(sound, FEATURES))
    picture = pixels(heat(frames, float(frames.min()), float(frames.max())))
    assert picture.shape == (FEATURES.n_mels, len(frames), 4)
    brightness = picture[..., :3].sum(axis=2, dtype=int).mean(axis=1)
    row = FEATURES.n_mels - 1 - int(brightness.argmax())  # the lowest frequency is at the bottom
    assert abs(band_centres(FEATURES)[row] - hz) < 120


def test_more_and_less_have_different_colours_and_none_is_transparent() -> None:
    frames = np.zeros((4, 2), np.float32)
    frames[1, 0], frames[2, 1] = 6.0, -99.0
    picture = pixels(difference(frames, 6.0))
    assert tuple(picture[1, 1]) == (*MORE, 255)
    assert tuple(picture[0, 2]) == (*LESS, 255)
    assert picture[0, 0, 3] == 0


def test_a_long_clip_makes_no_larger_picture() -> None:
    assert pixels(heat(np.zeros((9000, 4), np.float32), 0, 1)).shape[1] == COLUMNS
