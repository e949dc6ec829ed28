"""From samples to mel frames to windows, as streams. The only definition of either.

Every array has a leading stream axis N: streams pushed together advance together. Any cutting of the input into
pushes gives the same frames and windows.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torchaudio.functional as AF
from torch import Tensor

from monitor.config.schema import Features
from monitor.core.thread_pool import Processors

CHUNK = 512  # frames transformed at once on each thread: what stays in the processor's cache
GPU_CHUNK = 2**16  # and on a GPU, which has no work by fewer
GROUPS = 4  # of bands


class FrameStream:
    """Samples to power mel frames, numerically `librosa.feature.melspectrogram` with its centring.

    A stream begins with n_fft / 2 zeros and is flushed with as many, so n samples give 1 + n // hop_length frames;
    frame t is centred on sample t · hop_length.

    Args:
        processors: share the frames of what is pushed at once.
    """

    def __init__(
        self,
        features: Features,
        streams: int = 1,
        device: torch.device | str = "cpu",
        processors: Processors | None = None,
    ) -> None:
        self._features = features
        self._streams = streams
        self._processors = processors
        self._window = torch.hann_window(features.n_fft, device=device)
        self._filters = PairFilters(features, device)
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard: the next sample is the first of its stream."""
        self._carry = torch.zeros(self._streams, self._features.n_fft // 2, device=self._window.device)
        self._heard = 0

    def push(self, samples: Tensor) -> Tensor:
        """Samples (N, n) in, the frames that are complete out: (N, t, n_mels), power, float32."""
        self._heard += samples.shape[1]
        buffer = torch.cat((self._carry, samples), dim=1)
        n_fft, hop = self._features.n_fft, self._features.hop_length
        count = max(0, (buffer.shape[1] - n_fft) // hop + 1)
        self._carry = buffer[:, count * hop :].clone()
        return power_frames(buffer, self._window, self._filters, hop, self._processors)

    def flush(self) -> Tensor:
        """The last frames of the streams (N, t, n_mels); afterwards new streams begin."""
        ending = torch.zeros_like(self._window[: self._features.n_fft // 2]).expand(self._streams, -1)
        frames = self.push(ending) if self._heard else ending.new_empty(self._streams, 0, self._features.n_mels)
        self.reset()
        return frames


def power_frames(
    sound: Tensor, window: Tensor, filters: PairFilters, hop: int, processors: Processors | None = None
) -> Tensor:
    """The power mel frame of every whole stretch of n_fft samples, one each hop.

    Args:
        sound: (N, n). window: (n_fft,).

    Returns:
        (N, t, n_mels), where t is 1 + (n - n_fft) // hop, or 0 if n < n_fft.
    """
    streams, n_fft = len(sound), len(window)
    count = max(0, (sound.shape[1] - n_fft) // hop + 1)
    frames = sound.new_empty(streams, count, filters.n_mels)
    if not count:
        return frames
    overlapping = sound.unfold(1, n_fft, hop)
    chunk = GPU_CHUNK if sound.is_cuda else CHUNK if processors else CHUNK * torch.get_num_threads()
    streams_at_once, frames_at_once = max(1, min(streams, chunk // count)), min(count, chunk)
    parts = [
        (slice(first, first + streams_at_once), slice(start, start + frames_at_once))
        for first in range(0, streams, streams_at_once)
        for start in range(0, count, frames_at_once)
    ]

    def transform(some: Sequence[tuple[slice, slice]]) -> None:
        # Written anew for each part: memory that the system has to give and clear each time would take longer.
        windowed = sound.new_empty(streams_at_once * frames_at_once, n_fft)
        spectra = torch.empty(len(windowed), n_fft // 2 + 1, dtype=torch.complex64, device=sound.device)
        for part in some:
            stretches, found = overlapping[part], frames[part]
            used = stretches.shape[0] * stretches.shape[1]
            torch.mul(stretches, window, out=windowed[:used].view(stretches.shape))
            torch.fft.rfft(windowed[:used], out=spectra[:used])
            found.copy_(filters(torch.view_as_real(spectra[:used]).square_().flatten(-2)).view(found.shape))

    if processors is None or len(parts) == 1:
        transform(parts)
    else:
        share = -(-len(parts) // processors.count)
        processors.each(transform, (parts[first : first + share] for first in range(0, len(parts), share)))
    return frames


class PairFilters:
    """The mel filters for the squares of real and imaginary parts as they lie beside each other.

    Each of the two is weighted like the power that they add up to, so neither is copied out of its pair. The bands are
    taken in groups, each with the bins that it needs: low bands are narrow, and most of the whole product is zeros.
    """

    def __init__(self, features: Features, device: torch.device | str = "cpu") -> None:
        filters = mel_filters(features, features.n_fft // 2 + 1).repeat_interleave(2, dim=0)
        self.n_mels = features.n_mels
        self._groups: list[tuple[slice, Tensor]] = []  # which squares, and the weight of each in each band
        size = -(-self.n_mels // GROUPS)
        for first in range(0, self.n_mels, size):
            bands = slice(first, first + size)
            used = filters[:, bands].any(dim=1).nonzero()[:, 0].tolist() or [0]
            numbers = slice(used[0], used[-1] + 1)
            self._groups.append((numbers, filters[numbers, bands].contiguous().to(device)))

    def __call__(self, squares: Tensor) -> Tensor:
        """Squares (n, n_fft + 2) to frames (n, n_mels)."""
        return torch.cat([squares[:, numbers] @ weights for numbers, weights in self._groups], dim=1)


class WindowStream:
    """Frames to windows: the window of frame t is frames t - W/2 … t + W/2 - 1, flattened frame by frame.

    At the ends the missing frames are the first W/2 reversed, or the last W/2 reversed, so T frames give T windows
    (none if T < W/2: there is nothing to mirror). This is the article's padding.
    """

    def __init__(self, window_frames: int, n_mels: int, streams: int = 1, device: torch.device | str = "cpu") -> None:
        self._size, self._half = window_frames, window_frames // 2
        self._empty = torch.empty(streams, 0, n_mels, device=device)
        self.reset()

    def reset(self) -> None:
        """Forgets the frames seen: the next one is the first of its stream."""
        self._carry = self._empty
        self._begun = False

    def push(self, frames: Tensor) -> Tensor:
        """Frames (N, t, n_mels) in, the windows that are complete out: (N, k, W · n_mels).

        The windows overlap in memory, a view without copies; they are for reading only.
        """
        buffer = torch.cat((self._carry, frames), dim=1)
        if not self._begun and buffer.shape[1] >= self._half:
            buffer = torch.cat((buffer[:, : self._half].flip(1), buffer), dim=1)
            self._begun = True
        count = max(0, buffer.shape[1] - self._size + 1) if self._begun else 0
        self._carry = buffer[:, count:].clone()
        return overlapping_windows(buffer, self._size)[:, :count]

    def flush(self) -> Tensor:
        """The last windows of the streams (N, k, W · n_mels); afterwards new streams begin."""
        mirrored = self._carry[:, -self._half :].flip(1) if self._begun else self._empty
        windows = self.push(mirrored[:, : self._half - 1])
        self.reset()
        return windows


def overlapping_windows(frames: Tensor, window_frames: int) -> Tensor:
    """Every run of `window_frames` frames of (N, T, n_mels) as a view (N, T - W + 1, W · n_mels), without a copy.

    Frames lie one after another in memory, so a window is a contiguous run of numbers that starts n_mels later
    than the one before.
    """
    frames = frames.contiguous()
    streams, total, n_mels = frames.shape
    count = max(0, total - window_frames + 1)
    strides = (frames.stride(0), n_mels, 1)
    return frames.as_strided((streams, count, window_frames * n_mels), strides, frames.storage_offset())


class Scale:
    """What the model sees of a frame: power as it is, or in dB, then standardised by band.

    The decibels are absolute (10·log10 of the power, no less than `floor`), never relative to the loudest sound
    of a recording, so that a stream needs no future.
    """

    def __init__(self, features: Features, mean: Tensor | None = None, deviation: Tensor | None = None) -> None:
        self._log, self._floor, self._remove_level = features.scale == "log", features.floor, features.remove_level
        self.mean = torch.zeros(features.n_mels) if mean is None else mean
        self.deviation = torch.ones(features.n_mels) if deviation is None else deviation

    def to(self, device: torch.device | str) -> Scale:
        """Moves the mean and the deviation to a device."""
        self.mean, self.deviation = self.mean.to(device), self.deviation.to(device)
        return self

    def __call__(self, power: Tensor) -> Tensor:
        """Power mel frames (…, n_mels) as the model sees them, the same shape."""
        scaled: Tensor = (self.unstandardized(power) - self.mean) / self.deviation
        return scaled

    def unstandardized(self, power: Tensor) -> Tensor:
        """The frames before the standardisation: dB, or power."""
        if not self._log:
            return power
        decibels: Tensor = 10 * torch.log10(power.clamp_min(self._floor))
        return decibels - decibels.mean(dim=-1, keepdim=True) if self._remove_level else decibels


def mel_filters(features: Features, bins: int, norm: str | None = "slaney") -> Tensor:
    """The Slaney mel filters (bins, n_mels), each of the same area, or with `norm=None` of the same height, 1."""
    filters: Tensor = AF.melscale_fbanks(
        bins, features.fmin, features.f_top, features.n_mels, features.sample_rate, norm=norm, mel_scale="slaney"
    )
    return filters


@functools.cache
def band_centres(features: Features) -> Tensor:
    """The centre of each mel band in Hz: (n_mels,), for reading only."""
    return mel_filters(features, 4097).argmax(dim=0) * (features.sample_rate / 2 / 4096)


class FrameLevel:
    """The level of power mel frames in dBFS: of the RMS of the sound that they are made of, between fmin and fmax.

    Filters of the same height add up to 1 everywhere between the first and the last centre, so weighted back to that
    height the bands add up to the power of the spectrum. That, one-sided and with a Hann window, is n_fft² · 3 / 16
    times the mean square of the sound (Parseval).
    """

    def __init__(self, features: Features) -> None:
        bins = features.n_fft // 2 + 1
        area = mel_filters(features, bins).sum(dim=0)
        height = mel_filters(features, bins, norm=None).sum(dim=0)
        self._weights = torch.where(area > 0, height / area, 0.0) / (features.n_fft**2 * 3 / 16)

    def mean_square(self, power: Tensor) -> Tensor:
        """Frames (…, n_mels) to mean squares (…), 1e-20 for silence."""
        return (power.cpu() @ self._weights).clamp_min(1e-20)

    def __call__(self, power: Tensor) -> Tensor:
        """Frames (…, n_mels) to levels (…) in dBFS; -200 for silence."""
        return 10 * torch.log10(self.mean_square(power))
