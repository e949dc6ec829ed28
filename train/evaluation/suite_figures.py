"""The figures of a suite by set, score and seed; their means and spreads, and how they have changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from monitor.core.errors import ConfigError
from train.evaluation.alarm_simulation import SimulatedStreams
from train.evaluation.baselines import network_adds_nothing


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the table."""

    key: str
    heading: str
    digits: int  # after the decimal point
    higher_is_better: bool
    own_only: bool = False  # whether it is a figure of the model's limits, which other scores do not have
    percent: bool = False


FIGURES = (
    Figure("auc", "AUC", 3, higher_is_better=True),
    Figure("pauc", "pAUC", 3, higher_is_better=True),
    Figure("auc_of_any_window", "any window", 3, higher_is_better=True),
    Figure("fpr", "FPR", 2, higher_is_better=False, own_only=True),
    Figure("tpr", "TPR", 2, higher_is_better=True, own_only=True),
    Figure("false_alarms_per_day", "alarms a day", 1, higher_is_better=False, own_only=True),
    Figure("false_alarms_per_day_upper", "at most", 1, higher_is_better=False, own_only=True),
    Figure("missed", "missed %", 1, higher_is_better=False, own_only=True, percent=True),
    Figure("median_delay_s", "delay s", 1, higher_is_better=False, own_only=True),
)
FORMAT = 1  # of suite.json

# Of one training: short name of each score (its `score.kind`, or that of a baseline) -> key of a figure -> its value,
# None where it needs recordings that the set does not have. The model's own score comes first.
Scores = dict[str, dict[str, float | None]]
ValueOf = Callable[[str, Figure], "Value | None"]  # the value of a figure of a score


def scores_of(result: Mapping[str, Any]) -> Scores:
    """The figures of one training.

    Args:
        result: of `train.commands.evaluate.evaluate`; comparison and alarm simulation may be missing.
    """
    streams = result.get("streams", {})
    faults = streams.get("faults", {})
    own = result["score"]
    scores: Scores = {own: {}}
    for row in result.get("compared", ()):
        scores.setdefault(row["kind"], {}).update({key: row[key] for key in ("auc", "pauc", "auc_of_any_window")})
    # Whole recordings are scored as `score.recording` says, which the comparison does not heed.
    scores[own] |= {key: result[key] for key in ("auc", "pauc", "fpr", "tpr")}
    scores[own] |= {key: streams.get(key) for key in ("false_alarms_per_day", "false_alarms_per_day_upper")}
    scores[own] |= {
        "missed": faults["missed"] / faults["faults"] if faults.get("faults") else None,
        "median_delay_s": faults.get("median_delay_s"),
    }
    return scores


@dataclass(frozen=True, slots=True)
class Value:
    """A figure over several seeds."""

    mean: float
    spread: float | None = None  # half the distance between the lowest and the highest; None: there is only one

    @classmethod
    def over(cls, values: Iterable[float | None]) -> Self | None:
        """Mean and spread of values; None if there are none. Values that are None do not count."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return cls(sum(known) / len(known), (max(known) - min(known)) / 2 if len(known) > 1 else None)


@dataclass(frozen=True, slots=True)
class SetResult:
    """The figures of a data set."""

    name: str
    score: str  # short name of the model's own score; "" if nothing could be evaluated
    runs: dict[int, Scores]  # by seed
    error: str = ""  # why some of its trainings failed

    def value(self, score: str, figure: Figure) -> Value | None:
        """A figure of one score over all seeds; None where it cannot be had."""
        return Value.over(run.get(score, {}).get(figure.key) for run in self.runs.values())

    def scores(self) -> list[str]:
        """The short names of all scores, the model's own first."""
        return list(dict.fromkeys(score for run in self.runs.values() for score in run))

    def network_adds_nothing(self) -> bool:
        """As `train.evaluation.baselines.network_adds_nothing`, on the mean AUC over all seeds."""
        auc = {score: self.value(score, FIGURES[0]) for score in self.scores()}
        rows = [{"kind": score, "auc": value.mean} for score, value in auc.items() if value]
        return network_adds_nothing(rows, self.score)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The figures of a suite."""

    sets: list[SetResult]
    streams: SimulatedStreams  # extent of the alarm simulation
    code: str = ""  # digest of the program that computed the figures

    @property
    def seeds(self) -> list[int]:
        """All seeds, in order."""
        return sorted({seed for one in self.sets for seed in one.runs})

    def scores(self) -> list[str]:
        """The short names of all scores."""
        return list(dict.fromkeys(score for one in self.sets for score in one.scores()))

    def mean(self, score: str, figure: Figure) -> Value | None:
        """The mean of a figure over the sets that have it; its spread is that of this mean over the seeds."""
        sets = [one for one in self.sets if one.value(score, figure)]
        mean = Value.over(value.mean for one in sets if (value := one.value(score, figure)))
        if mean is None:
            return None
        by_seed = [[one.runs.get(seed, {}).get(score, {}).get(figure.key) for one in sets] for seed in self.seeds]
        # A seed that is missing in one of the sets has the mean of fewer sets, which is another figure.
        whole = [Value.over(values) for values in by_seed if None not in values]
        over_seeds = Value.over(value.mean for value in whole if value)
        return Value(mean.mean, over_seeds.spread if over_seeds else None)

    def of(self, sets: list[SetResult]) -> SuiteResult:
        """The same with some of the sets."""
        return replace(self, sets=sets)

    def as_json(self) -> dict[str, Any]:
        """The content of suite.json: all figures of each training, and their means and spreads."""
        stored = asdict(self)
        for one, content in zip(self.sets, stored["sets"], strict=True):
            content["mean"] = _values(one.scores(), one.value)
        return {"format": FORMAT, **stored, "mean_of_sets": _values(self.scores(), self.mean)}


def _values(scores: Iterable[str], value: ValueOf) -> dict[str, dict[str, Any]]:
    """The values of all figures of all scores, for JSON."""
    return {
        score: {figure.key: asdict(found) if (found := value(score, figure)) else None for figure in FIGURES}
        for score in scores
    }


def read_result(file: Path) -> SuiteResult:
    """Reads a suite.json.

    Raises:
        ConfigError: if it cannot be read, or is none.
    """
    try:
        content = json.loads(file.read_bytes())
        if content["format"] != FORMAT:
            raise ConfigError(f"{file}: was written by another version of this program: run that suite again.")
        return TypeAdapter(SuiteResult).validate_python(content)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError):  # ValidationError is a ValueError
        raise ConfigError(f"{file}: is not the suite.json that an earlier `monitor evaluate --suite` wrote.") from None


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure differs from that of an earlier suite."""

    figure: Figure
    before: Value
    after: Value

    @property
    def difference(self) -> float:
        """The difference of the means; above zero if the figure is higher now."""
        return self.after.mean - self.before.mean

    @property
    def judgement(self) -> int:
        """1: better by more than the spread over seeds, of then or now; -1: worse by more; 0: neither."""
        shown = round(self.difference * (100 if self.figure.percent else 1), self.figure.digits)
        if shown == 0 or abs(self.difference) <= max(self.before.spread or 0.0, self.after.spread or 0.0):
            return 0
        return 1 if (self.difference > 0) == self.figure.higher_is_better else -1


def change(figure: Figure, before: Value | None, after: Value | None) -> Change | None:
    """The change of a figure; None if there was none before, or is none now."""
    return Change(figure, before, after) if before and after else None
