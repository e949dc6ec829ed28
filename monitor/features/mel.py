"""Power mel spectrograms, numerically equal to those of `librosa.feature.melspectrogram`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from monitor.config.schema import Features
from monitor.core.array_backend import NUMPY, ArrayBackend, as_real_pairs, sliding_segments
from monitor.core.errors import ConfigError
from monitor.core.thread_pool import ThreadPool
from monitor.core.types import Array, DoubleArray, FloatArray

SAMPLES_AT_ONCE = 2**17  # windowed samples that a processor transforms at once: more would not fit into its cache
# The same if several threads share the frames. With fewer they often wait for each other: Python runs on only one of
# them at a time, between the steps.
SHARED_SAMPLES_AT_ONCE = 2**18
FRAMES_A_THREAD = 256  # for so many one more thread takes part: for fewer it would take as long to begin
GPU_FRAMES_AT_ONCE = 2**16  # fewer would not keep a GPU busy
FEWEST_BANDS = 4  # that the settings allow
BAND_GROUPS = 4  # of neighbouring mel bands, each with a matrix product of its own


class MelTransform:
    """Computes power mel frames: Hann window, |FFT|², Slaney mel filters. There is no padding at the ends.

    Frame t is computed from the n_fft samples that start at sample t · hop_length.

    Args:
        features: settings of the spectrum and the mel bands.
        backend: where to compute.
    """

    def __init__(self, features: Features, backend: ArrayBackend = NUMPY) -> None:
        self.n_fft, self.hop_length, self.n_mels = features.n_fft, features.hop_length, features.n_mels
        self._xp = backend.xp
        self._in_host_memory = backend.in_host_memory
        self._window = backend.upload(hann_window(features.n_fft))
        # The filters are applied to the squares of the interleaved real and imaginary parts, without first adding these
        # up to the power; so every bin has two rows with the same weight. Most weights of the whole matrix are zero, as
        # each band covers few bins: the bands are computed in groups, each with only the bins that it needs. Spectra
        # are divided by n_fft (see `_transform`), which the weights make up for.
        filters = np.repeat(mel_filters(features, features.n_fft // 2 + 1), 2, axis=0)
        filters *= np.float32(features.n_fft) ** 2
        self._groups: list[tuple[slice, Array]] = []
        size = -(-self.n_mels // BAND_GROUPS)
        for first in range(0, self.n_mels, size):
            bands = slice(first, first + size)
            used = np.flatnonzero(filters[:, bands].any(axis=1)).tolist() or [0]
            bins = slice(used[0], used[-1] + 1)
            self._groups.append((bins, backend.upload(np.ascontiguousarray(filters[bins, bands]))))

    def __call__(self, samples: Array, pool: ThreadPool | None = None, out: Array | None = None) -> Array:
        """Computes the frames of N signals of equal length.

        Args:
            samples: (N, n) float32.
            pool: threads that share the computation.
            out: array for the result; None allocates one.

        Returns:
            power mel frames (N, t, n_mels) with t = 1 + (n - n_fft) // hop_length, or 0 if n < n_fft.
        """
        streams, count = len(samples), max(0, (samples.shape[1] - self.n_fft) // self.hop_length + 1)
        frames = _empty_like(samples, (streams, count, self.n_mels)) if out is None else out
        if not streams * count:
            return frames
        segments = sliding_segments(samples, self.n_fft, self.hop_length)
        threads = 1 if pool is None else min(pool.count, -(-streams * count // FRAMES_A_THREAD))
        most = self._most_at_once(threads)
        if streams == 1 or count > most:
            streams_at_once, frames_at_once = 1, _even_size(count, most, threads)
        else:
            streams_at_once, frames_at_once = _even_size(streams, most // count, threads), count
        parts = [
            (slice(first, first + streams_at_once), slice(start, start + frames_at_once))
            for first in range(0, streams, streams_at_once)
            for start in range(0, count, frames_at_once)
        ]
        size = streams_at_once * frames_at_once
        if pool is None or threads == 1:
            self._transform(segments, frames, parts, size)
        else:
            count_per_thread = -(-len(parts) // threads)
            shares = [parts[first : first + count_per_thread] for first in range(0, len(parts), count_per_thread)]
            pool.map(lambda share: self._transform(segments, frames, share, size), shares)
        return frames

    def _most_at_once(self, threads: int) -> int:
        """The number of frames that a thread computes at once, at most."""
        if not self._in_host_memory:
            return GPU_FRAMES_AT_ONCE
        return max(1, (SAMPLES_AT_ONCE if threads == 1 else SHARED_SAMPLES_AT_ONCE) // self.n_fft)

    def _transform(self, segments: Array, frames: Array, parts: Sequence[tuple[slice, slice]], size: int) -> None:
        """Computes the frames of some parts of the segments, one part after the other.

        Args:
            segments: (N, t, n_fft) samples.
            frames: (N, t, n_mels), written.
            parts: indices into both arrays: signals and frames.
            size: the number of segments in the largest part.
        """
        xp = self._xp
        # Work arrays, reused for each part: allocating them anew would take longer.
        windowed = _empty_like(frames, (size, self.n_fft))
        spectra = _empty_like(frames, (size, self.n_fft // 2 + 1), xp.complex64)
        power = _empty_like(frames, (size, self.n_mels))
        for part in parts:
            part_segments, part_frames = segments[part], frames[part]
            used = part_segments.shape[0] * part_segments.shape[1]
            xp.multiply(part_segments, self._window, out=windowed[:used].reshape(part_segments.shape))
            # The norm is a float32 factor, so numpy transforms in float32: without one its factor is the integer 1, and
            # it converts all samples to float64 and all spectra back.
            xp.fft.rfft(windowed[:used], norm="forward", out=spectra[:used])
            squares = as_real_pairs(spectra[:used])
            xp.multiply(squares, squares, out=squares)
            first = 0
            for bins, weights in self._groups:
                bands = slice(first, first + weights.shape[1])
                xp.matmul(squares[:, bins], weights, out=power[:used, bands])
                first = bands.stop
            part_frames[...] = power[:used].reshape(part_frames.shape)


def _even_size(total: int, most: int, threads: int) -> int:
    """The size of parts, at most `most`, such that all parts are about as large, and each thread has as many."""
    parts = -(-total // (threads * most)) * threads
    return -(-total // parts)


def centred_frames(samples: Array, transform: MelTransform) -> Array:
    """Computes all frames of whole recordings, padded with n_fft / 2 zeros at each end (librosa's `center=True`).

    Frame t is centred on sample t · hop_length.

    Args:
        samples: (N, n) float32, in host memory.
        transform: on the numpy backend.

    Returns:
        power mel frames (N, 1 + n // hop_length, n_mels), or (N, 0, n_mels) if n is 0.
    """
    padding = [(0, 0), (transform.n_fft // 2, transform.n_fft // 2 if samples.shape[1] else 0)]
    return transform(np.pad(samples, padding))


def hann_window(size: int) -> FloatArray:
    """The periodic Hann window (size,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def mel_filters(features: Features, bins: int, *, equal_area: bool = True) -> FloatArray:
    """Triangular filters on Slaney's mel scale, equal to those of `librosa.filters.mel`.

    Args:
        features: settings of the mel bands.
        bins: number of bins of a spectrum from 0 Hz to half the sample rate.
        equal_area: whether all filters have the same area; otherwise all have the height 1.

    Returns:
        weights (bins, n_mels).
    """
    edges = _band_edges(features, features.n_mels)
    frequencies = np.linspace(0, features.sample_rate / 2, bins)[:, None]
    rising = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies) / np.diff(edges)[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if equal_area:
        filters *= 2.0 / (edges[2:] - edges[:-2])
    return filters.astype(np.float32)


def _band_edges(features: Features, n_mels: int) -> DoubleArray:
    """The edges (n_mels + 2,) in Hz of bands between fmin and fmax: band i is from edge i to edge i + 2."""
    return _mel_to_hz(np.linspace(_hz_to_mel(features.fmin), _hz_to_mel(features.f_top), n_mels + 2))


def require_filled_bands(features: Features) -> None:
    """Checks that each mel band has a bin of the spectrum within it: a band without one is 0 whatever the sound is.

    Raises:
        ConfigError: if there are empty bands.
    """
    if not (empty := _empty_bands(features, features.n_mels)):
        return
    works = (n for n in range(features.n_mels - 1, FEWEST_BANDS - 1, -1) if not _empty_bands(features, n))
    most = next(works, None)
    advice = "no n_mels works: take a larger n_fft" if most is None else f"the highest n_mels that works is {most}"
    step = features.sample_rate / features.n_fft
    raise ConfigError(
        f"features.n_mels is {features.n_mels}, but {empty} of these bands would stay empty: they are narrower than "
        f"the step of {step:.4g} Hz from one frequency of the spectrum to the next. With n_fft {features.n_fft}, and "
        f"bands from {features.fmin:g} to {features.f_top:g} Hz, {advice}."
    )


def _empty_bands(features: Features, n_mels: int) -> int:
    """The number of bands without a bin of the spectrum between their edges."""
    edges, step = _band_edges(features, n_mels), features.sample_rate / features.n_fft
    first_above = (np.floor(edges[:-2] / step) + 1) * step
    return int((first_above >= edges[2:]).sum())


# Slaney's mel scale (Auditory Toolbox, 1998): linear up to 1 kHz, which is 15 mel; logarithmic above, with 27 mel for
# each factor of 6.4.
_HZ_PER_MEL, _KNEE_HZ, _KNEE_MEL, _LOG_STEP = 200 / 3, 1000.0, 15.0, np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    return hz / _HZ_PER_MEL if hz < _KNEE_HZ else _KNEE_MEL + float(np.log(hz / _KNEE_HZ)) / _LOG_STEP


def _mel_to_hz(mel: DoubleArray) -> DoubleArray:
    above: DoubleArray = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, above)


@functools.cache
def band_centres(features: Features) -> FloatArray:
    """The centre frequency of each mel band in Hz: (n_mels,). The array is cached: do not change it."""
    bins = 4097
    centres: FloatArray = mel_filters(features, bins).argmax(axis=0).astype(np.float32)
    centres *= features.sample_rate / 2 / (bins - 1)
    return centres


def _empty_like(array: Array, shape: tuple[int, ...], dtype: object = None) -> Array:
    """An uninitialized array of the given shape, by the same library and on the same device as `array`."""
    if isinstance(array, np.ndarray):
        return np.empty(shape, dtype or array.dtype)
    return array.new_empty(shape, dtype=dtype or array.dtype)
