"""Power mel frames that stay in a file until they are used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class FramesInFile:
    """Consecutive frames in a file, which numpy reads on demand as an array (frames, n_mels) of float32 powers.

    A derived class reads them in `__array__`.
    """

    path: Path
    start: int  # number of the first frame in the file
    shape: tuple[int, int]  # (frames, n_mels)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Self:
        """Some of the frames, which are not read yet.

        Raises:
            ValueError: if they are not consecutive.
        """
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("frames in a file are read one after another")
        return type(self)(self.path, self.start + start, (max(0, stop - start), self.shape[1]))
