"""What is normal may slowly follow a machine that changes: by normal sound only, capped, and undone at will."""

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
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from monitor.config import schema as config
from monitor.detection.alarm import Alarm
from monitor.bundle.bundle import Bundle
from monitor.core.errors import MonitorError
from monitor.core.atomic_io import write_whole
from monitor.scoring.scorer import part_of
from monitor.outputs.sink import BackgroundSink
from monitor.core.snapshot import State

SURE = 0.75  # of normal scores are below the one up to which sound is surely normal
CALM = 0.25  # of the evidence that makes an anomaly: with more of it nothing is learnt
WAIT_S = 60.0  # without a warning before anything is learnt
SAVE_S = 600.0


class Drift:
    """How far what is normal of one stream has moved.

    Each surely normal sound pulls the centre towards itself, with a half-life; the move's squared Mahalanobis distance
    never exceeds `cap` times what is usual for normal sound, so a fault that comes slowly is followed so far and no
    further. Nothing is learnt while a warning or an anomaly stands, for a minute afterwards, or while evidence gathers.
    """

    def __init__(self, bundle: Bundle, settings: config.Drift) -> None:
        self._normals, self._n_mels = bundle.normals, bundle.config.features.n_mels
        self._half_life_s, self._cap = settings.half_life_h * 3600, settings.cap
        scores = bundle.normal_scores
        self._sure = float(torch.quantile(scores, SURE)) if len(scores) else bundle.thresholds["score"].value / 2
        self._calm_s = 0.0
        self.offsets = {part: torch.zeros_like(normal.centre) for part, normal in self._normals.items()}

    @property
    def share(self) -> float:
        """How much of the cap has been used, 0 to 1: of the part that moved most."""
        return max((math.sqrt(self._moved(part) / self._cap) for part in self.offsets), default=0.0)

    def learn(self, score: float, row: NDArray[np.float64], alarm: Alarm, seconds: float) -> bool:
        """Takes the score and the mean row (row_width,) of the last window, and how many seconds it stands for.

        Returns:
            whether it was learnt from.
        """
        normal = alarm.state is State.NORMAL and alarm.evidence < CALM
        self._calm_s = self._calm_s + seconds if normal else 0.0
        if self._calm_s <= WAIT_S or not score <= self._sure:
            return False
        pull = 1 - 2 ** (-seconds / self._half_life_s)
        mean = torch.from_numpy(row)
        for part, normal_part in self._normals.items():
            offset = self.offsets[part]
            offset += pull * (part_of(mean, part, self._n_mels) - normal_part.centre - offset)
            if (moved := self._moved(part)) > self._cap:
                offset *= math.sqrt(self._cap / moved)
        return True

    def _moved(self, part: str) -> float:
        """The squared distance of the move, over what is usual for normal sound."""
        normal, offset = self._normals[part], self.offsets[part]
        return float(offset @ normal.precision @ offset) / math.exp(float(normal.usual[0, 0]))


@dataclass(frozen=True, slots=True)
class DriftFile:
    """Where a stream's drift is kept from run to run: beside the model, never in it."""

    path: Path
    model_id: str

    @classmethod
    def beside(cls, model: Path, bundle: Bundle, stream: str = "") -> DriftFile:
        """The one of a model's stream."""
        name = f"{model.stem}.{stream}.drift" if stream else f"{model.stem}.drift"
        return cls(model.with_name(f"{name}{model.suffix}"), bundle.digest)

    def save(self, offsets: Mapping[str, Tensor], share: float) -> None:
        """Writes it whole or not at all.

        Raises:
            MonitorError: if it cannot be written.
        """
        facts = {"model": self.model_id, "time": time.time(), "share": share}
        write_whole(self.path, save({p: o.clone() for p, o in offsets.items()}, {"drift": json.dumps(facts)}))

    def load(self, drift: Drift) -> bool:
        """Takes up what was kept; False where there is nothing, or it belongs to another state of the model.

        Raises:
            MonitorError: if it is damaged.
        """
        if not self.path.exists():
            return False
        try:
            facts, offsets = _read(self.path)
            if facts["model"] != self.model_id:
                return False
            for part, offset in drift.offsets.items():
                if offsets[part].shape != offset.shape or not offsets[part].isfinite().all():
                    raise ValueError(part)
                offset.copy_(offsets[part])
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            raise MonitorError(
                f"{self.path}: is not what a model has drifted by, or is damaged ({error}): take it away with "
                "monitor drift MODEL --undo."
            ) from None
        return True

    def undo(self) -> bool:
        """Takes it away; what it was is kept beside it as *.undone. False where there was nothing."""
        if not self.path.exists():
            return False
        try:
            self.path.replace(self.path.with_name(f"{self.path.name}.undone"))
        except OSError as error:
            raise MonitorError(f"{self.path}: cannot be taken away: {error.strerror}.") from None
        return True

    def describe(self) -> str:
        """In a sentence, how far the model has drifted."""
        if not self.path.exists():
            return f"{self.path}: nothing there: what is normal is as it was calibrated."
        try:
            facts, _ = _read(self.path)
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(facts["time"])))
            ours = "" if facts["model"] == self.model_id else " It belongs to another state of the model: not used."
            return f"{self.path}: {100 * float(facts['share']):.0f} % of the cap, last learnt {when}.{ours}"
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            raise MonitorError(f"{self.path}: is not what a model has drifted by, or is damaged ({error}).") from None


class DriftKeeper(BackgroundSink):
    """A stream's drift, taken up from its file and kept there: every SAVE_S seconds of sound, and at the end."""

    def __init__(self, bundle: Bundle, settings: config.Drift, file: DriftFile) -> None:
        """Takes up what was kept.

        Raises:
            MonitorError: if that is damaged.
        """
        self.drift = Drift(bundle, settings)
        self._file, self._since_s = file, 0.0
        self._told = self.drift.share if file.load(self.drift) else 0.0
        super().__init__("drift", wait=False, size=2)

    def learn(self, score: float, row: NDArray[np.float64], alarm: Alarm, seconds: float) -> bool:
        """As `Drift.learn`; now and then what was learnt is written down."""
        learnt = self.drift.learn(score, row, alarm, seconds)
        self._since_s += seconds
        if self._since_s >= SAVE_S:
            self._since_s = 0.0
            self._save()
        return learnt

    @property
    def news(self) -> float | None:
        """How much of the cap has been used, where that has changed by a hundredth since it was last asked."""
        if abs(self.drift.share - self._told) < 0.01:
            return None
        self._told = self.drift.share
        return self._told

    def close(self) -> None:
        """Writes down what was learnt, and ends."""
        self._save()
        super().close()

    def _save(self) -> None:
        offsets, share = {part: offset.clone() for part, offset in self.drift.offsets.items()}, self.drift.share
        self._put(lambda: self._save_now(offsets, share))

    def _save_now(self, offsets: Mapping[str, Tensor], share: float) -> None:
        try:
            self._file.save(offsets, share)
        except MonitorError as error:
            self.error = error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safetensors.safe_open(path, framework="pt") as stored:
        facts = json.loads((stored.metadata() or {})["drift"])
        return facts, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
