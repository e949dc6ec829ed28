"""ModelStream: scores sound piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.api.result import Result, joined
from monitor.audio.resampling import Resampler, require_channel
from monitor.audio.sample_arrays import mono_samples, require_rate
from monitor.bundle.bundle import Bundle
from monitor.config.schema import Config
from monitor.config.setting_types import MAX_CHANNELS, Channel
from monitor.core.errors import DataError
from monitor.core.events import Event, ScoreRows
from monitor.core.thread_pool import ThreadPool
from monitor.core.types import FloatArray
from monitor.detection.detector import Detector
from monitor.detection.recording import Recording
from monitor.streaming.hops import HopCutter
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch


class _EventCollector:
    """A listener of a detector that keeps the events only."""

    wants_frames, wants_scores = False, False

    def __init__(self) -> None:
        self.events: list[Event] = []

    def frames(self, first: int, power: FloatArray) -> None:
        """Ignores frames."""

    def event(self, event: Event) -> None:
        """Keeps an event."""
        self.events.append(event)

    def scores(self, rows: ScoreRows) -> None:
        """Ignores scores."""


class ModelStream:
    """Scores sound piece by piece; `Model.stream` creates one.

    The results do not depend on how the sound is divided into pieces. A window is scored as soon as its last sample has
    been pushed. The alarm decides every `alarm.block_s`.

    Args:
        bundle: the model.
        config: the settings in force.
        sample_rate: in Hz.
        channel: number of a channel, or "mix" for the mean of all channels.
        pool: threads that share the computation.

    Raises:
        DataError: if the sample rate is not valid, or the channel cannot be one.
    """

    def __init__(
        self, bundle: Bundle, config: Config, sample_rate: int, channel: Channel, pool: ThreadPool | None = None
    ) -> None:
        features = bundle.config.features
        self.sample_rate = require_rate(sample_rate)
        try:
            require_channel(channel, MAX_CHANNELS)
        except DataError as error:
            raise DataError(f"{error}.") from None
        self._channel, self._hop_s, self._n_mels = channel, features.hop_s, features.n_mels
        self._resampler = Resampler(self.sample_rate, features.sample_rate)
        self._rate, self._samples = features.sample_rate, 0
        self._cutter = HopCutter(features.hop_length)
        self._batch, self._collector = StreamBatch(bundle, pool=pool), _EventCollector()
        self._detector = Detector(
            bundle, config, self._batch, 0, self._collector, speed=1.0, keep_recording_scores=True
        )
        self._detector.begin(Recording("samples"))
        self._windows = 0
        self._open = True

    @property
    def recording_score(self) -> float:
        """The score of the whole stream as one recording; NaN before `flush`."""
        return self._detector.results[-1].score if self._detector.results else float("nan")

    def push(self, samples: NDArray[Any]) -> Result:
        """Scores the next samples.

        Args:
            samples: (n,) or (n, channels), floats with full scale 1 or integers.

        Returns:
            the results for the windows that these samples complete.

        Raises:
            DataError: if the samples are not valid, or the stream has been flushed.
        """
        self._require_open()
        mono = mono_samples(samples, self._channel)
        return self._score(self._resampler.push(mono)) if len(mono) else self._no_windows()

    def flush(self) -> Result:
        """Ends the stream, and its ongoing events; returns the results for the last windows.

        Raises:
            DataError: if the stream has been flushed.
        """
        self._require_open()
        self._open = False
        results = [self._score(self._resampler.push(np.zeros(0, np.float32), last=True))]
        if self._samples:
            results.append(self._evaluate(self._batch.flush(0, self._cutter.remainder)))
            self._detector.end(self._samples / self._rate)
            results.append(self._no_windows())  # with the events that have ended
        return joined(results)

    def _require_open(self) -> None:
        if not self._open:
            raise DataError("the stream has been flushed: create another one.")

    def _score(self, samples: FloatArray) -> Result:
        """Scores samples (n,) at the model's sample rate."""
        self._samples += len(samples)
        hops = self._cutter.push(samples)
        if not len(hops):
            return self._no_windows()
        return self._evaluate(self._batch.push(hops[None], (0,)).portions()[0])

    def _evaluate(self, portion: Portion) -> Result:
        """Passes a portion to the detector, divided at its decisions to get the state after each window."""
        detector, states = self._detector, [np.zeros(0, "U9")]
        frames, no_frames = portion.frames, portion.frames[:0]
        start, count = 0, len(portion.score)
        while start < count or len(frames):
            stop = min(count, start + detector.until_decision)
            before = detector.state
            part = slice(start, stop)
            detector.push(
                Portion(
                    frames, portion.mean_square[: len(frames)], portion.rows[part], portion.means[part],
                    portion.error[part], portion.rolling_error[part], portion.score[part],
                )
            )  # fmt: skip
            detector.decide()
            # Only the last window of the part can be a decision; the state of the others is that of before.
            states.append(np.array([before] * (stop - start - 1) + [detector.state] * (stop > start), "U9"))
            frames, start = no_frames, stop
        first, self._windows = self._windows, self._windows + count
        return Result(
            time_s=self._hop_s * np.arange(first, first + count, dtype=np.float64),
            error=portion.error,
            score=portion.score,
            threshold=detector.threshold,
            state=np.concatenate(states),
            contribution=self._batch.contributions(portion.means, portion.score, 0),
            band_hz=detector.band_hz,
            events=self._new_events(),
        )

    def _no_windows(self) -> Result:
        """A result without windows, but with the events since the last result."""
        return Result(
            np.zeros(0), np.zeros(0, np.float32), np.zeros(0), self._detector.threshold, np.zeros(0, "U9"),
            np.zeros((0, self._n_mels), np.float32), self._detector.band_hz, self._new_events(),
        )  # fmt: skip

    def _new_events(self) -> tuple[Event, ...]:
        events, self._collector.events = tuple(self._collector.events), []
        return events
