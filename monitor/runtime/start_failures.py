"""Streams that cannot be started: the others are monitored, and these are shown as lost, with the reason."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.core.errors import MonitorError
from monitor.core.events import State
from monitor.core.snapshot import Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FailedStream:
    """A stream whose model, recordings or settings cannot be used."""

    name: str
    model: Path
    source: str
    error: MonitorError

    @property
    def messages(self) -> tuple[str, ...]:
        """The messages of the error, each with the name of the stream if it has one."""
        return tuple(f"{self.name}: {message}" if self.name else message for message in self.error.messages)

    def snapshot(self) -> Snapshot:
        """The state of the stream: it is lost and has ended, and nothing is known of it."""
        empty = np.empty(0, np.float32)
        return Snapshot(
            state=State.LOST, source=self.source, model=str(self.model), score_kind="fused", threshold=math.nan,
            threshold_note="", error_threshold=math.nan, error=math.nan, score=math.nan, share_of_limit=math.nan,
            level_dbfs=-math.inf, peak_dbfs=-math.inf, position_s=0.0, duration_s=None, uptime_s=0.0, speed=1.0,
            load=0.0, lost_s=0.0, slot_s=0.1, first_slot=0, error_history=empty, score_history=empty,
            share_history=empty, lasting_history=empty, spectrogram=np.empty((0, 2), np.float32),
            band_hz=np.array([100.0, 1000.0], np.float32), band_contribution=np.zeros(2, np.float32), finished=True,
            stream=self.name, failure=" ".join(self.error.messages),
        )  # fmt: skip


class StartFailures:
    """Collects the streams that cannot be started.

    Args:
        tolerate: whether the others are started. Otherwise, and if none is left, `check` raises the errors.
    """

    def __init__(self, *, tolerate: bool = False) -> None:
        self.streams: list[FailedStream] = []
        self._tolerate, self._logged = tolerate, 0

    @property
    def error(self) -> MonitorError | None:
        """The errors of all these streams as one of the first one's class; None if there are none."""
        if not self.streams:
            return None
        return type(self.streams[0].error)(*(text for stream in self.streams for text in stream.messages))

    @contextlib.contextmanager
    def collected(self, name: str, model: Path, source: str) -> Iterator[None]:
        """A context in which an error means that this stream cannot be started. The error is not raised."""
        try:
            yield
        except MonitorError as error:
            self.streams.append(FailedStream(name, model, source, error))

    def check(self, left: Sized) -> None:
        """Logs what failed since the last call.

        Args:
            left: the streams that can be started.

        Raises:
            MonitorError: if failures are not tolerated, or no stream is left.
        """
        error = self.error
        if error is not None and not (self._tolerate and len(left)):
            raise error
        for stream in self.streams[self._logged :]:
            for message in stream.messages:
                log.error("%s This stream is not monitored.", message)
        self._logged = len(self.streams)
