"""The table of a suite: its figures, what got worse, and that it fits into a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from train.evaluation.alarm_simulation import SimulatedStreams
from train.evaluation.suite_figures import FIGURES, Scores, SetResult, SuiteResult
from train.evaluation.suite_table import WIDTH, SuiteReport

RIVALS = ("mahalanobis", "spectrum", "error", "plain Mahalanobis", "nearest neighbour")


def scores(auc: float, *, fpr: float = 0.1, spectrum: float | None = None) -> Scores:
    """The figures of one training, with all that there is."""
    own = {figure.key: 0.5 for figure in FIGURES} | {
        "auc": auc, "fpr": fpr, "false_alarms_per_day": 193.4, "missed": 0.027, "median_delay_s": 32.04,
    }  # fmt: skip
    rivals = {name: {"auc": auc - 0.1, "pauc": 0.6, "auc_of_any_window": 0.7} for name in RIVALS}
    rivals["spectrum"]["auc"] = auc - 0.1 if spectrum is None else spectrum
    return {"fused": own, **rivals}


def suite(*sets: SetResult) -> SuiteResult:
    return SuiteResult(list(sets), SimulatedStreams())


def printed(report: SuiteReport) -> str:
    """The text that goes to a file or a pipe."""
    file = io.StringIO()
    report.print(Console(file=file))
    return file.getvalue()


FAN = SetResult("fan", "fused", {0: scores(0.90), 1: scores(0.96)})
PUMP = SetResult("a pump with a long name [of two]", "fused", {0: scores(0.98), 1: scores(1.0)})


def test_each_set_has_a_row_for_each_score_with_mean_and_spread() -> None:
    lines = printed(SuiteReport(suite(FAN, PUMP))).splitlines()
    fan = lines.index(next(line for line in lines if line.strip() == "fan"))
    assert lines[fan + 1].split() == [
        "fused", ".930±.030", ".500±.000", ".500±.000", ".10±.00", ".50±.00", "193±0", "0.5±0.0", "2.7±0.0", "32.0±0.0",
    ]  # fmt: skip
    assert [line.split("  ")[1] for line in lines[fan + 2 : fan + 7]] == list(RIVALS)
    mean = next(number for number, line in enumerate(lines) if line.startswith("mean of the sets"))
    assert lines[mean + 1].split()[:2] == ["fused", ".960±.020"]
    assert any("half the distance between the lowest and the highest of 2 seeds" in line for line in lines)


def test_the_table_fits_into_120_columns_and_has_no_escapes_in_a_pipe() -> None:
    text = printed(SuiteReport(suite(FAN, PUMP, SetResult("x", "", {}, "a reason\x1b[31m " * 20)), suite(FAN, PUMP)))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\x1b" not in text
    assert "…" not in text


def test_a_narrow_terminal_shows_every_figure_whole() -> None:
    file = io.StringIO()
    SuiteReport(suite(FAN, PUMP)).print(Console(file=file, force_terminal=True, width=80, color_system=None))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for figure in (".930", "±.030", "193", "32.0"):
        assert figure in text.split()


def test_a_set_that_failed_is_named_with_the_reason() -> None:
    report = SuiteReport(suite(FAN, SetResult("motors", "", {}, "there is no such folder.")))
    assert "motors (failed)" in printed(report)
    assert "Failed: motors: there is no such folder." in printed(report)
    assert "Failed: motors: there is no such folder." in report.markdown("machines")


def test_a_set_whose_spectrum_alone_is_as_good_is_named() -> None:
    as_good = SetResult("slider", "fused", {0: scores(0.9, spectrum=0.896), 1: scores(0.9, spectrum=0.896)})
    text = printed(SuiteReport(suite(FAN, as_good)))
    assert "The autoencoder adds nothing on slider: the spectrum alone is as good." in text


def test_a_change_that_helps_one_set_and_harms_another_is_said() -> None:
    fan = SetResult("fan", "fused", {0: scores(0.97), 1: scores(0.98)})
    pump = SetResult(PUMP.name, "fused", {0: scores(0.99, fpr=0.4), 1: scores(1.0, fpr=0.3)})
    report = SuiteReport(suite(fan, pump), before=suite(FAN, PUMP))
    text = " ".join(printed(report).split())
    assert "Better, of the model's own score: fan (AUC +.045)." in text
    assert f"Worse, of the model's own score: {PUMP.name} (FPR +.25)." in text
    assert "+.25!" in text
    assert "AUC +.045" in report.markdown("machines")


def test_the_models_score_is_compared_with_the_models_score_of_then_whatever_its_kind() -> None:
    renamed = {"loud": scores(0.97)["fused"], **{k: v for k, v in scores(0.97).items() if k != "fused"}}
    text = printed(SuiteReport(suite(SetResult("fan", "loud", {0: renamed})), before=suite(FAN)))
    assert "fan (AUC +.040)" in text


def test_what_cannot_be_compared_is_said() -> None:
    before = SuiteResult([FAN], SimulatedStreams(hours=1))
    text = printed(SuiteReport(suite(FAN, PUMP), before))
    assert "Other streams were simulated then" in text
    assert f"Without figures in one of the suites: {PUMP.name}." in text
    assert "nothing." in text


def test_markdown_has_a_row_for_each_score_of_each_set() -> None:
    text = SuiteReport(suite(FAN, PUMP)).markdown("my_machines")
    assert text.startswith("# my\\_machines\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert "| fan | fused | .930±.030 |" in text
    assert "| a pump with a long name \\[of two\\] | spectrum |" in text
