"""Scores a piece of an archive from its first sample to its last, in constant memory, exactly as a replay does."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from monitor.audio.reader import read_blocks
from monitor.audio.remote_recording import RemoteRecording
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config, Features
from monitor.config.setting_types import Channel
from monitor.core.errors import MonitorError
from monitor.core.events import Event
from monitor.core.types import FloatArray
from monitor.detection.detector import Detector
from monitor.detection.recording import Recording, RecordingResult
from monitor.model.network import Compute, Network
from monitor.model.precision_choice import listening_precision
from monitor.scan.joining import Piece
from monitor.scan.seconds import SecondRows, Seconds
from monitor.streaming.hops import HopCutter
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch

BLOCK_S = 10.0  # of sound that are read and scored at once
_NAMESPACE = uuid.UUID("6f1c2b0e-6f0c-5c53-9d43-2f3c6f7f9a51")  # of the ids of events found in archives

Open = Callable[[str], Path | RemoteRecording]


class Unreadable(Exception):
    """A file of a piece cannot be read; the others may well be.

    Args:
        name: of the file.
        error: why.
    """

    def __init__(self, name: str, error: MonitorError) -> None:
        super().__init__(str(error))
        self.name, self.error = name, error


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found in a piece."""

    result: RecordingResult
    limit: float  # of the score of the whole piece; NaN if it is too short for one
    seconds: Seconds
    events: tuple[Event, ...]  # each as it was when it had ended


@dataclass(frozen=True, slots=True)
class _WithNetwork(Compute):
    """A computation with its network: to make that takes as long as to score several seconds of sound."""

    made: Network | None = None

    def network(self, weights: Mapping[str, NDArray[Any]], features: Features) -> Network:  # noqa: ARG002 - of `made`
        """The network that has been made of these weights."""
        assert self.made is not None
        return self.made


class PieceScorer:
    """Scores pieces one after another with one model.

    Every piece is a recording of its own: nothing is carried over from the one before. Scores, states and events are
    those of `monitor replay` with the same files, with `--gapless` where a piece has several.

    Args:
        bundle: the model.
        config: the settings in force.
        channel: that is scored; None: as in the training.
        open_file: returns the recording of a name, to be opened.
    """

    def __init__(self, bundle: Bundle, config: Config, channel: Channel | None, open_file: Open) -> None:
        self._bundle, self._config, self._open = bundle, config, open_file
        self._channel: Channel = bundle.config.features.channel if channel is None else channel
        compute = Compute.on("cpu", listening_precision(config.listening.precision, bundle.config, 1, "cpu"))
        network = compute.network(bundle.weights, bundle.config.features)
        self._compute = _WithNetwork(compute.backend, compute.device, compute.precision, made=network)
        self._rate = bundle.config.features.sample_rate

    def score(self, piece: Piece) -> Scored:
        """Scores a piece.

        Raises:
            Unreadable: if one of its files cannot be read to its end.
        """
        first = piece.files[0]
        name, began = Path(first.name).name, first.began
        # A new batch: in one that was reset, rolling sums begin elsewhere, and the last digit depends on that.
        batch = StreamBatch(self._bundle, compute=self._compute)
        rows = SecondRows(self._bundle, batch)
        detector = Detector(self._bundle, self._config, batch, 0, rows, keep_recording_scores=True)
        detector.begin(Recording(name, piece.seconds, None if math.isnan(began) else began))
        cutter, count = HopCutter(self._bundle.config.features.hop_length), 0
        for number, file in enumerate(piece.files):
            if number:
                detector.rename(Path(file.name).name)
            for samples in self._samples(file.name):
                count += len(samples)
                rows.samples(samples, self._rate)
                hops = cutter.push(samples)
                if len(hops):
                    _decide(detector, rows, batch.push(hops[None], (0,)).portions()[0])
        if count:
            _decide(detector, rows, batch.flush(0, cutter.remainder))
            detector.end(count / self._rate)
        [result] = detector.results or [RecordingResult(name, math.nan, 0.0, 0)]
        limit = self._bundle.recording_limit(result.seconds)
        return Scored(result, limit, rows.finish(), _ended(rows.events, piece.name))

    def _samples(self, name: str) -> Iterator[FloatArray]:
        try:
            yield from read_blocks(self._open(name), self._rate, self._channel, block_s=BLOCK_S)
        except MonitorError as error:
            raise Unreadable(name, error) from None


def _decide(detector: Detector, rows: SecondRows, portion: Portion) -> None:
    """Passes a portion to the detector, divided at its decisions, so that the state of each second is known."""
    frames, count = portion.frames, len(portion.score)
    start = 0
    while start < count or len(frames):
        stop = min(count, start + max(1, detector.until_decision))
        part = slice(start, stop)
        rows.portion(portion.means[part])
        detector.push(
            Portion(
                frames, portion.mean_square[: len(frames)], portion.rows[part], portion.means[part],
                portion.error[part], portion.rolling_error[part], portion.score[part],
            )
        )  # fmt: skip
        frames, start = frames[:0], stop
        detector.decide()


def _ended(events: Sequence[Event], piece: str) -> tuple[Event, ...]:
    """The last report of each event, with an id that is the same whenever the same piece is scored again."""
    last = {event.id: event for event in events}
    return tuple(
        replace(event, id=str(uuid.uuid5(_NAMESPACE, f"{event.model_id} {piece} {event.kind} {event.start_s:.3f}")))
        for event in last.values()
    )
