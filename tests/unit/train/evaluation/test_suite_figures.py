"""The figures of a suite: means and spreads over seeds, and what counts as better or worse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.core.errors import ConfigError
from train.evaluation.alarm_simulation import SimulatedStreams
from train.evaluation.suite_figures import (
    FIGURES,
    Scores,
    SetResult,
    SuiteResult,
    Value,
    change,
    read_result,
    scores_of,
)

OF = {figure.key: figure for figure in FIGURES}


def scores(auc: float | None, **own: float) -> Scores:
    """The figures of one training: a score and one rival."""
    return {"fused": {"auc": auc, **own}, "spectrum": {"auc": auc}}


def suite(*sets: SetResult) -> SuiteResult:
    return SuiteResult(list(sets), SimulatedStreams())


def test_the_spread_is_half_the_distance_between_the_lowest_and_the_highest_seed() -> None:
    fan = SetResult("fan", "fused", {0: scores(0.90), 1: scores(0.96), 2: scores(0.93)})
    value = fan.value("fused", OF["auc"])
    assert value
    assert (value.mean, value.spread) == (pytest.approx(0.93), pytest.approx(0.03))
    assert Value.over([0.9]) == Value(0.9, None)
    assert Value.over([None, None]) is None


def test_the_mean_of_the_sets_leaves_out_sets_that_do_not_have_a_figure() -> None:
    fan = SetResult("fan", "fused", {0: scores(0.8, fpr=0.1), 1: scores(0.9, fpr=0.1)})
    pump = SetResult("pump", "fused", {0: scores(1.0, fpr=0.3), 1: scores(0.9, fpr=0.5)})
    no_faults = SetResult("compressor", "fused", {0: scores(None, fpr=0.5), 1: scores(None, fpr=0.5)})
    failed = SetResult("motors", "", {}, "no recordings")
    result = suite(fan, pump, no_faults, failed)
    auc, fpr = result.mean("fused", OF["auc"]), result.mean("fused", OF["fpr"])
    assert auc
    assert fpr
    # Of the seeds: .9 and .9.
    assert (auc.mean, auc.spread) == (pytest.approx(0.9), pytest.approx(0.0))
    assert (fpr.mean, fpr.spread) == (pytest.approx(1 / 3), pytest.approx(1 / 30))
    assert result.mean("fused", OF["median_delay_s"]) is None


@pytest.mark.parametrize(
    ("key", "before", "after", "judgement"),
    [
        ("auc", Value(0.90, 0.01), Value(0.92, 0.005), 1),
        ("auc", Value(0.92, 0.01), Value(0.90, 0.005), -1),
        ("auc", Value(0.90, 0.01), Value(0.892, 0.002), 0),  # within the spread of then
        ("auc", Value(0.90, 0.002), Value(0.892, 0.01), 0),  # within the spread of now
        ("auc", Value(0.90), Value(0.8998), 0),  # not to be seen
        ("fpr", Value(0.1, 0.01), Value(0.3, 0.02), -1),
        ("tpr", Value(0.1, 0.01), Value(0.3, 0.02), 1),
        ("missed", Value(0.020, 0.001), Value(0.027, 0.001), -1),
        ("median_delay_s", Value(30.0, 1.0), Value(20.0, 1.0), 1),
        ("false_alarms_per_day", Value(1.0, 0.5), Value(41.0, 10.0), -1),
    ],
)
def test_a_change_counts_if_it_is_larger_than_the_spread_of_then_and_of_now(
    key: str, before: Value, after: Value, judgement: int
) -> None:
    found = change(OF[key], before, after)
    assert found
    assert found.judgement == judgement


def test_without_a_figure_on_one_side_there_is_no_change() -> None:
    assert change(OF["auc"], None, Value(0.9)) is None
    assert change(OF["auc"], Value(0.9), None) is None


def test_figures_that_need_recordings_that_are_missing_are_left_open() -> None:
    found = scores_of({"score": "fused", "auc": None, "pauc": None, "fpr": 0.2, "tpr": None})
    assert list(found) == ["fused"]
    assert {key for key, value in found["fused"].items() if value is not None} == {"fpr"}


def test_where_no_fault_could_be_judged_nothing_is_missed() -> None:
    streams = {"false_alarms_per_day": 1.0, "false_alarms_per_day_upper": 3.0}
    faults = {"faults": 0, "missed": 0, "median_delay_s": None}
    found = scores_of(
        {"score": "fused", "auc": 0.9, "pauc": 0.8, "fpr": 0.2, "tpr": 0.9, "streams": streams | {"faults": faults}}
    )
    assert found["fused"]["missed"] is None


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    result = suite(SetResult("fan", "fused", {0: scores(0.8, fpr=0.1)}), SetResult("motors", "", {}, "no recordings"))
    (tmp_path / "suite.json").write_text(json.dumps(result.as_json()))
    assert read_result(tmp_path / "suite.json") == result
    stored = json.loads((tmp_path / "suite.json").read_text())
    assert stored["sets"][0]["mean"]["fused"]["auc"] == {"mean": 0.8, "spread": None}
    assert stored["mean_of_sets"]["fused"]["fpr"]["mean"] == 0.1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not the suite.json"),
        ("[]", "is not the suite.json"),
        ('{"format": 1, "sets": 5}', "is not the suite.json"),
        ('{"auc": 0.9}', "is not the suite.json"),
        ('{"format": 99}', "another version"),
    ],
)
def test_a_file_that_is_no_result_of_a_suite_is_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_result(tmp_path / "x.json")


def test_a_missing_result_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.json: cannot be read: No such file"):
        read_result(tmp_path / "x.json")
