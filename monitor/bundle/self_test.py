"""The self-test of a bundle: the reconstruction errors of a fixed test sound, a chirp.

They are stored in the bundle and computed again when it is loaded, to detect libraries that compute differently.
"""

from __future__ import annotations

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features
from monitor.core.thread_pool import single_threaded_blas
from monitor.core.types import FloatArray
from monitor.features.mel import MelTransform, centred_frames
from monitor.features.windows import windows_of
from monitor.model.folded_inference import folded_layers, reconstruct

# Relative to the largest error. The rounding of other processors and GPUs makes a smaller difference, a library that
# computes differently a larger one.
TOLERANCE = 1e-2
AT_ONCE = 256  # windows that are reconstructed at once, so that large windows do not need much memory


@single_threaded_blas()  # threads would wait for each other longer than they compute
def chirp_error(bundle: Bundle) -> FloatArray:
    """The reconstruction error of each window of the chirp: (T,)."""
    features = bundle.config.features
    frames = centred_frames(chirp(features)[None], MelTransform(features))
    windows = windows_of(bundle.normalization()(frames), features.window_frames)[0]
    layers = folded_layers(bundle.weights)
    return np.concatenate(
        [
            np.square(reconstruct(layers, some) - some).mean(axis=1)
            for some in map(np.ascontiguousarray, (windows[i : i + AT_ONCE] for i in range(0, len(windows), AT_ONCE)))
        ]
    )


def chirp_frames(features: Features) -> int:
    """The number of frames of the chirp."""
    return 1 + chirp_samples(features) // features.hop_length


def chirp_samples(features: Features) -> int:
    """The number of samples of the chirp: one second, or more if the windows are long."""
    needed = (40 * features.n_fft + 2 * features.window_frames * features.hop_length) / features.sample_rate
    return int(max(1.0, needed) * features.sample_rate)


def chirp(features: Features) -> FloatArray:
    """The test sound: a tone that rises to 0.45 · sample_rate, and noise in all bands: (n,).

    The noise is computed by elementary arithmetic, because random generators can differ between library versions.
    """
    rate, count = features.sample_rate, chirp_samples(features)
    seconds = max(1.0, (40 * features.n_fft + 2 * features.window_frames * features.hop_length) / rate)
    t = np.arange(count) / rate
    phase = 2 * np.pi * (50 * t + (0.45 * rate - 50) / (2 * seconds) * np.square(t))
    scrambled = np.sin(t * rate * 12.9898) * 43758.5453
    noise = (scrambled - np.trunc(scrambled)) * 0.02
    return (0.02 * np.sin(phase) + noise).astype(np.float32)
