"""Array types for annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]  # samples, mel frames, histories
DoubleArray = NDArray[np.float64]  # scores, distances and all statistics
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.int64]

# An array of any backend of `monitor.core.array_backend`: a numpy array, or a torch tensor.
Array = Any
