"""Saves the drift of a stream at regular intervals, and when the stream ends."""

from __future__ import annotations

from monitor.core.events import ScoreRows
from monitor.detection.drift import Drift, DriftFile
from monitor.outputs.background import BackgroundSink

SAVE_S = 600.0  # seconds of sound between two saves


class DriftSaver(BackgroundSink):
    """Saves a stream's drift to its file every SAVE_S of sound, and when the sink is closed."""

    def __init__(self, drift: Drift, file: DriftFile) -> None:
        self._drift, self._file, self._since_s = drift, file, 0.0
        super().__init__(str(file.path), wait=False, size=2, amount=lambda _: "what was learnt")

    def scores(self, rows: ScoreRows) -> None:
        """Saves the drift if SAVE_S of sound have been scored since the last save."""
        self._since_s += len(rows.score) * rows.hop_s
        if self._since_s >= SAVE_S:
            self._since_s = 0.0
            self._save()

    def close(self) -> None:
        """Saves the drift, and ends the thread."""
        self._save()
        super().close()

    def _save(self) -> None:
        offsets, share = {part: offset.copy() for part, offset in self._drift.offsets.items()}, self._drift.share
        self._put(lambda: self._file.save(offsets, share), 0)  # a newer one replaces it, so nothing is lost
