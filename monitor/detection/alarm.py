"""From anomaly scores to a state: sudden anomalies by k of n decisions, lasting anomalies by a cumulative sum."""

from __future__ import annotations

from monitor.config import schema
from monitor.core.events import State
from monitor.core.types import DoubleArray
from monitor.detection.alarm_machine import STATES, MeanRowAt
from monitor.detection.alarms import Alarms
from monitor.detection.anomaly import Anomaly
from monitor.detection.cusum import Limits


class Alarm:
    """Decides the state of one stream, and finds its anomalies: a view of one of `monitor.detection.alarms.Alarms`.

    There is a decision every `block_s`. The state becomes ANOMALY when the scores of k of the last n decisions are
    above the threshold (sudden), or when the cumulative sum is above its limit (lasting). It is WARNING when one of
    these scores is above the threshold, or the sum is above CUSUM_RELEASE times its limit. An anomaly ends when the
    score has been below `release_ratio` times the threshold, and the sum below CUSUM_RELEASE times its limit, for
    `release_s`, but not before `hold_s` after it began; the next one begins `cool_down_s` later at the earliest. NaN
    scores, as of a machine that is off, restart the alarm; there are no decisions for `run_up_s` after them.

    Args:
        settings: times, k, n and ratios.
        limits: threshold, limit of the cumulative sum, and normal scores.
        hop_s: seconds from one score to the next.
        window_rows: number of windows that a score averages over.
        place: alarms, and the number of a stream in them, which is restarted; None: this alarm is on its own.
    """

    trace: DoubleArray  # of the last push, as in `Pushed`
    decided: list[tuple[int, int]]

    def __init__(
        self,
        settings: schema.Alarm,
        limits: Limits,
        hop_s: float,
        window_rows: int,
        place: tuple[Alarms, int] | None = None,
    ) -> None:
        self._alarms, self._number = place or (Alarms(1, hop_s, window_rows), 0)
        self._alarms.begin(self._number, settings, limits)

    def move(self, alarms: Alarms, number: int) -> None:
        """Goes on as stream `number` of other alarms."""
        alarms.take_over(number, self._alarms, self._number)
        self._alarms, self._number = alarms, number

    def reset(self) -> None:
        """Restarts: the next score is row 0 of another stream."""
        self._alarms.reset(self._number)

    @property
    def state(self) -> State:
        """The state of the machine."""
        return STATES[int(self._alarms.record["state"][self._number])]

    @property
    def anomaly(self) -> Anomaly | None:
        """The ongoing anomaly."""
        return self._alarms.ongoing(self._number)

    @property
    def threshold(self) -> float:
        """The threshold of the score in force."""
        return float(self._alarms.record["threshold"][self._number])

    @property
    def lasting_sum(self) -> float:
        """The cumulative sum for lasting anomalies, as a share of its limit; 0 if these are not detected."""
        record = self._alarms.record[self._number]
        return float(record["sum"] / record["limit"])  # 0 of infinity

    @property
    def share_of_limit(self) -> float:
        """How near the alarm is: the larger share of its limit, of the scores for sudden anomalies and of the sum.

        The share of scores is that of the k-th largest of the last n decisions, so the alarm begins above exactly 1.
        NaN where the alarm makes no decisions.
        """
        return self._alarms.machine(self._number).share_of_limit

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._alarms.limits(self._number)

    @property
    def per_decision(self) -> int:
        """The number of scores from one decision to the next."""
        return self._alarms.rules(self._number).per_decision

    @property
    def until_decision(self) -> int:
        """The number of scores up to and including the next decision; before the first score, those per decision."""
        return self._alarms.until_decision(self._number)

    def change(self, settings: schema.Alarm, limits: Limits) -> None:
        """Goes on with other settings and limits, from the next decision on; arguments as for the class.

        Nothing is forgotten: the scores of the last decisions are compared with the new threshold, and an ongoing
        anomaly goes on or ends by the new settings.
        """
        self._alarms.change(self._number, settings, limits)

    def change_model(self, settings: schema.Alarm, limits: Limits) -> None:
        """Goes on with the scores of another model, from the next decision on; arguments as for `change`.

        What was found with the model before counts on, as a share of its limits: an ongoing anomaly goes on, and ends
        by the scores of the new model.
        """
        self._alarms.change_model(self._number, settings, limits)

    def scale(self, factor: float) -> None:
        """Multiplies the threshold and the limit of the cumulative sum by a factor."""
        self._alarms.scale(self._number, factor)

    def push(self, scores: DoubleArray, mean_row_at: MeanRowAt | None = None) -> list[Anomaly]:
        """Processes the next scores.

        Args:
            scores: (k,), NaN if there is no score.
            mean_row_at: returns the mean row of a score by its index in `scores`; it is called for decisions only.

        Returns:
            the anomalies that began, were reported again, or ended, in this order of time. Each is a copy as of its
            report.
        """
        pushed = self._alarms.push(self._number, scores, mean_row_at)
        self.trace, self.decided = pushed.trace, pushed.decided
        return pushed.reported

    def finish(self) -> Anomaly | None:
        """Ends the ongoing anomaly, if there is one, and returns it. The state does not change until `reset`."""
        return self._alarms.finish(self._number)
