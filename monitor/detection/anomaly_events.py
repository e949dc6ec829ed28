"""The events of a stream's anomalies: when, how unusual, and in which bands."""

from __future__ import annotations

from collections.abc import Callable

from monitor.bundle.bundle import Bundle
from monitor.core.events import Band, Event
from monitor.core.types import FloatArray
from monitor.detection.anomaly import Anomaly
from monitor.scoring.attribution import contributing_ranges
from monitor.streaming.stream_batch import StreamBatch


class AnomalyEvents:
    """Makes the events of the anomalies of one stream. An anomaly stays one of the model that reported it.

    Args:
        bundle: the model.
        batch: the batch that scores the stream.
        number: number of the stream in the batch.
        band_hz: (n_mels,) centre of each band.
    """

    def __init__(self, bundle: Bundle, batch: StreamBatch, number: int, band_hz: FloatArray) -> None:
        self._bundle, self._batch, self._number, self._band_hz = bundle, batch, number, band_hz
        # The ongoing anomaly if another model reported it: its id, the model's id, and the bands that it found.
        self._inherited: tuple[str, str, tuple[Band, ...]] = "", "", ()

    def use_model(self, bundle: Bundle, batch: StreamBatch, number: int, ongoing: Anomaly | None) -> None:
        """Goes on with another model; arguments as for the class, and the ongoing anomaly."""
        if ongoing is not None:
            self._inherited = ongoing.id, self._model_of(ongoing), self._bands_of(ongoing)
        self._bundle, self._batch, self._number = bundle, batch, number

    def event(
        self,
        anomaly: Anomaly,
        *,
        seconds: Callable[[int], float],
        wall_time: Callable[[float], float],
        recording: str,
        threshold: float,
        cut_off: bool,
    ) -> Event:
        """The event of an anomaly as it is now.

        Args:
            anomaly: the anomaly.
            seconds: returns the position in the recording of a row of scores.
            wall_time: returns the Unix time of a position.
            recording: its name.
            threshold: the threshold in force.
            cut_off: whether it ends because the sound does.
        """
        start_s = seconds(anomaly.start)
        return Event(
            "anomaly",
            start_s,
            None if anomaly.end is None else seconds(anomaly.end),
            wall_time(start_s),
            recording,
            anomaly.peak,
            anomaly.mean,
            threshold,
            reported_s=seconds(anomaly.reported),
            cause=anomaly.cause,
            bands=self._bands_of(anomaly),
            model_id=self._model_of(anomaly),
            reminders=anomaly.reminders,
            cut_off=cut_off,
            id=anomaly.id,
        )

    def _model_of(self, anomaly: Anomaly) -> str:
        """The id of the model that has reported an anomaly, or is about to."""
        inherited, model_id, _ = self._inherited
        return model_id if anomaly.id == inherited else self._bundle.model_id

    def _bands_of(self, anomaly: Anomaly) -> tuple[Band, ...]:
        """The frequency ranges that contribute most to an anomaly."""
        inherited, _, bands = self._inherited
        if anomaly.id == inherited:
            return bands
        if not anomaly.decisions:
            return ()
        return contributing_ranges(*self._batch.shares(anomaly.mean_row, self._number), self._band_hz)
