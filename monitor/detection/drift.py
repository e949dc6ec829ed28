"""Drift: the reference distribution slowly follows a machine that changes. It is capped, and can be undone."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from monitor.bundle.bundle import Bundle
from monitor.config import schema
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError
from monitor.core.events import State
from monitor.core.types import DoubleArray
from monitor.detection.alarm import Alarm
from monitor.scoring.score_parts import parts_of

SURE_QUANTILE = 0.75  # scores up to this quantile of normal scores are certainly normal
CALM_LASTING_SUM = 0.25  # share of its limit above which the cumulative sum stops the learning
CALM_S = 60.0  # time without a warning after which the learning starts
REPORTED_STEP = 0.01  # change of the share of the cap after which there is a new event


class Drift:
    """The offsets of one stream's reference distributions from those of the model, learnt while it is monitored.

    The mean rows of certainly normal sound move the centres exponentially, with the half-life `drift.half_life_h`. The
    squared Mahalanobis distance of an offset never exceeds `drift.cap` times its geometric mean on normal sound, so a
    fault that grows slowly is followed only so far. Nothing is learnt during a warning or an anomaly, for CALM_S
    afterwards, or while the cumulative sum is above CALM_LASTING_SUM.

    Args:
        bundle: the model.
        settings: half-life and cap.
    """

    def __init__(self, bundle: Bundle, settings: schema.Drift) -> None:
        self._parts, self._references = parts_of(bundle.config.score), bundle.references
        self._layout = bundle.layout
        self._half_life_s, self._cap = settings.half_life_h * 3600, settings.cap
        scores = bundle.normal_scores
        self._sure = float(np.quantile(scores, SURE_QUANTILE)) if len(scores) else bundle.thresholds["score"].value / 2
        self._calm_s = 0.0
        self._reported = 0.0  # the share at the last event
        self.offsets: dict[str, DoubleArray] = {
            part.name: np.zeros(self._references[part.name].size) for part in self._parts
        }

    @property
    def share(self) -> float:
        """The size of the offset of the score part that has moved most, as a share of its cap: 0 to 1."""
        return max((math.sqrt(self._moved(part) / self._cap) for part in self.offsets), default=0.0)

    def learn(self, score: float, mean_row: DoubleArray, alarm: Alarm, seconds: float) -> bool:
        """Moves the offsets towards a mean row, if it is certainly normal.

        Args:
            score: score of the mean row.
            mean_row: (mean_width,) mean of window statistics.
            alarm: the alarm of the stream, after this score.
            seconds: time since the last call.

        Returns:
            whether the offsets have changed.
        """
        calm = alarm.state is State.NORMAL and alarm.lasting_sum < CALM_LASTING_SUM
        self._calm_s = self._calm_s + seconds if calm else 0.0
        if self._calm_s <= CALM_S or not score <= self._sure:
            return False
        pull = 1 - 2 ** (-seconds / self._half_life_s)
        shares = self._layout.mode_shares(mean_row)
        for part in self._parts:
            offset, columns = self.offsets[part.name], self._layout.columns(part)
            offset += pull * (self._references[part.name].offset(mean_row[columns], shares) - offset)
            if (moved := self._moved(part.name)) > self._cap:
                offset *= math.sqrt(self._cap / moved)
        return True

    def share_to_report(self) -> float | None:
        """The share of the cap if it has changed by REPORTED_STEP since the last report; otherwise None."""
        share = self.share
        if abs(share - self._reported) < REPORTED_STEP:
            return None
        self._reported = share
        return share

    def restore(self, offsets: Mapping[str, DoubleArray]) -> None:
        """Sets the offsets to stored ones, (p,) by the name of the score part.

        Raises:
            ValueError: if they have other shapes, or are not finite.
            KeyError: if a part is missing.
        """
        for part, offset in self.offsets.items():
            if offsets[part].shape != offset.shape or not np.isfinite(offsets[part]).all():
                raise ValueError(part)
            offset[:] = offsets[part]
        self._reported = self.share

    def _moved(self, part: str) -> float:
        """The squared Mahalanobis distance of the offset of a part, relative to its geometric mean on normal sound."""
        reference, offset = self._references[part], self.offsets[part]
        # Of several modes, the one that the offset is most unusual for.
        distances = offset @ reference.inverse_covariance @ offset
        return float(np.max(distances)) / math.exp(float(reference.log_distance[0, 0]))


@dataclass(frozen=True, slots=True)
class DriftFile:
    """The file that stores the drift of a stream between runs. It is beside the model, which does not change.

    Args:
        path: of the file.
        model_id: of the bundle that the drift belongs to.
    """

    path: Path
    model_id: str

    @classmethod
    def beside(cls, model: Path, bundle: Bundle, stream: str = "") -> DriftFile:
        """The drift file of a stream of a model; `stream` is its name if there are several."""
        name = f"{model.stem}.{stream}.drift" if stream else f"{model.stem}.drift"
        return cls(model.with_name(f"{name}{model.suffix}"), bundle.model_id)

    def save(self, offsets: Mapping[str, DoubleArray], share: float) -> None:
        """Writes the file atomically.

        Args:
            offsets: (p,) by the name of the score part.
            share: the share of the cap.

        Raises:
            MonitorError: if the file cannot be written.
        """
        facts = {"model": self.model_id, "time": time.time(), "share": share}
        write_atomically(self.path, save(dict(offsets), {"drift": json.dumps(facts)}))

    def load(self, drift: Drift) -> bool:
        """Restores a drift from the file.

        Returns:
            False if there is no file, or if it belongs to another version of the model.

        Raises:
            MonitorError: if the file is damaged.
        """
        if not self.path.exists():
            return False
        try:
            facts, offsets = self._read()
            if facts["model"] != self.model_id:
                return False
            drift.restore(offsets)
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            raise MonitorError(
                f"{self.path}: is not the drift of a model, or is damaged ({error}): remove it with "
                "monitor drift MODEL --undo."
            ) from None
        return True

    def undo(self) -> bool:
        """Renames the file to *.undone, so that it is not used any more. Returns False if there is no file.

        Raises:
            MonitorError: if the file cannot be renamed.
        """
        if not self.path.exists():
            return False
        try:
            self.path.replace(self.path.with_name(f"{self.path.name}.undone"))
        except OSError as error:
            raise MonitorError(f"{self.path}: cannot be renamed: {error.strerror}.") from None
        return True

    def describe(self) -> str:
        """A sentence for the user about how far the reference has drifted.

        Raises:
            MonitorError: if the file is damaged.
        """
        if not self.path.exists():
            return f"{self.path}: does not exist: the reference is as it was calibrated."
        try:
            facts, _ = self._read()
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(facts["time"])))
            unused = "" if facts["model"] == self.model_id else " Not used: it belongs to another version of the model."
            return f"{self.path}: {100 * float(facts['share']):.0f} % of the cap, last saved {when}.{unused}"
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            raise MonitorError(f"{self.path}: is not the drift of a model, or is damaged ({error}).") from None

    def _read(self) -> tuple[dict[str, Any], dict[str, DoubleArray]]:
        with safetensors.safe_open(self.path, framework="np") as stored:
            facts = json.loads((stored.metadata() or {})["drift"])
            return facts, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
