"""Channel selection and resampling, shared by microphones, replays and training."""

from __future__ import annotations

import numpy as np
import soxr

from monitor.config.setting_types import Channel
from monitor.core.arguments import is_whole_number
from monitor.core.errors import DataError
from monitor.core.text import counted, shortened
from monitor.core.types import FloatArray


def require_channel(channel: Channel, channels: int) -> None:
    """Checks that a channel exists.

    Args:
        channel: number of a channel, or "mix", which always exists.
        channels: number of channels.

    Raises:
        DataError: if the channel does not exist, or is neither a number from 0 on nor "mix".
    """
    if channel == "mix":
        return
    if not is_whole_number(channel) or channel < 0:
        raise DataError(f"a channel is a number, counted from 0, or `mix`, not {shortened(repr(channel))}")
    if channel >= channels:
        raise DataError(
            f"there is no channel {channel}, only {counted(channels, 'channel')} (counted from 0): "
            "choose another one with features.channel, or `mix`"
        )


def select_channel(block: FloatArray, channel: Channel) -> FloatArray:
    """One channel of samples (n, channels), or the mean of all for "mix": (n,), a view if possible."""
    if channel == "mix":
        return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    return block[:, channel]


class Resampler:
    """Resamples a stream. The output does not depend on how the input is divided into blocks."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        same = source_rate == target_rate
        self._stream = None if same else soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")

    @property
    def passes_on(self) -> bool:
        """Whether both rates are the same, so that samples are returned as they are."""
        return self._stream is None

    def push(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        """Resamples the next samples (n,); returns those that are ready (m,), with `last` all that remain."""
        if self._stream is None:
            return samples
        resampled: FloatArray = self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32), last=last)
        return resampled
