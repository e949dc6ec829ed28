"""Sound is written as 16-bit integers: exactly where it came as such, and clipped where it is beyond full scale."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitor.audio.writer import as_int16

ALL_16_BIT = np.arange(-32768, 32768).astype(np.int16)


def test_sound_of_16_bit_is_written_as_it_came() -> None:
    assert np.array_equal(as_int16(ALL_16_BIT.astype(np.float32) / 32768), ALL_16_BIT)


@given(arrays(np.float32, 20, elements=st.floats(-1e6, 1e6, width=32)))
def test_sound_beyond_full_scale_is_clipped_and_never_wraps_around(samples: np.ndarray) -> None:
    written = as_int16(samples)
    assert np.all(np.sign(written) * np.sign(samples) >= 0)
    assert np.all(np.abs(written - np.clip(samples * 32768.0, -32768, 32767)) <= 0.5)
