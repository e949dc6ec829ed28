"""The report on a candidate says side by side what two models report, what is lost, and what the figures do not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from monitor.core.errors import MonitorError
from train.improvement.commissioning import has_changed, hides, knows_less
from train.improvement.judgement import ClipResult, FalseAlarms, Judgement
from train.improvement.report import CandidateReport, figures, load_report, notes, save_report, short_figures, table


def clip(event_id: str, before: float | None, after: float | None) -> ClipResult:
    return ClipResult(event_id, 1.7e9, before, after)


JUDGED = Judgement(
    (FalseAlarms(8, 4.0), FalseAlarms(0, 4.0)), False, 0, 1600, 5,
    faults=[clip("aa", 2.0, 4.0), clip("bb", 6.0, 8.0), clip("cc", None, None)],
    unjudged=[clip("dd", 1.0, 1.5)],
    learnt=[clip("ee", 3.0, None)],
    alarming_if_lasting=(1, 0),
)  # fmt: skip
REPORT = CandidateReport(
    "pump", "b" * 12, "a" * 12, "relearnt", False, "ann", 1.7e9, {"aa": "real fault"}, ["ee"], {"stored": 4.4}, 0, 0.1,
    (2.0, 2.5), (1, 2), 1.0, (9.0, None), 3600.0, JUDGED,
)  # fmt: skip


def shown(report: CandidateReport) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(table(report))
    return " ".join(captured.get().split())


def test_both_models_stand_side_by_side() -> None:
    text = shown(REPORT)
    assert "false alarms in 240 min 8 (48 a day, at most 86.6) 0 (0 a day, at most 18)" in text
    assert "confirmed faults reported 2 of 3 reported 2 of 3" in text
    assert "delay after their onset 4 s (median) 6 s (median)" in text
    assert "anomalies not judged 1 of 1 reported 1 of 1" in text
    assert "new but normal: alarms 1 of 1 0 of 1" in text
    assert "operating modes 1 2" in text


def test_a_fault_that_neither_reports_is_not_lost_and_one_that_only_the_candidate_misses_is() -> None:
    assert REPORT.refusal == ""
    lost = replace(REPORT, judgement=replace(JUDGED, faults=[*JUDGED.faults, clip("ff", 2.0, None)]))
    assert "1 confirmed fault would no longer be reported (event ff)" in lost.refusal
    assert figures(lost)["faults_lost"] == ["ff"]
    assert not figures(lost)["may_be_promoted"]
    assert "1 anomaly" in hides(lost)


def test_an_anomaly_that_nobody_has_judged_and_that_would_vanish_is_told_and_not_promoted_while_commissioning() -> None:
    lost = replace(REPORT, judgement=replace(JUDGED, unjudged=[clip("dd", 1.0, None)]))
    assert lost.refusal == ""  # whoever promotes it by hand has read it
    assert any("nobody has said what it was: dd" in note for note in notes(lost))
    assert "dd" in hides(lost)
    assert hides(REPORT) == ""


def test_what_makes_figures_too_good_or_is_missing_is_said() -> None:
    doubtful = replace(
        REPORT, retrained=True, held_back=3,
        judgement=replace(JUDGED, known_before=7, on_training=True, left_out=(2, 1), alarming_if_lasting=(1, 1),
                          without_sound={"": 1, "real fault": 2}),
    )  # fmt: skip
    said = " ".join(notes(doubtful))
    for part in (
        "held out from the training", "had learnt 7 of these", "sound of the training", "1 of 2 would alarm",
        "will still be reported", "3 stored pieces held back", "1 anomaly without a verdict left out",
        "2 anomalies (real fault) left out",
    ):  # fmt: skip
        assert part in said, part


def test_a_report_is_the_same_after_it_was_kept(tmp_path: Path) -> None:
    save_report(REPORT, tmp_path / "candidate.json")
    assert load_report(tmp_path / "candidate.json") == REPORT
    assert short_figures(REPORT)["upper"] == [pytest.approx(86.6, abs=0.1), pytest.approx(17.97, abs=0.01)]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_missing_or_damaged_report_is_one_sentence(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "candidate.json").write_bytes(content)
    with pytest.raises(MonitorError, match="monitor improve"):
        load_report(tmp_path / "candidate.json")


def test_a_model_is_not_replaced_by_one_that_knows_less_normal_sound() -> None:
    report = replace(REPORT, hours={"stored": 0.1, "given": 0.0, "trained": 0.1})
    assert knows_less(report, 1800.0) == (
        "Learnt again, but not promoted: there are 12 min of normal sound so far, and the model in force was made from "
        "30 min."
    )
    assert not knows_less(report, 700.0)


def test_half_an_hour_over_days_may_replace_more_sound_of_one_day() -> None:
    assert not knows_less(replace(REPORT, hours={"stored": 0.5, "given": 0.0, "trained": 0.0}), 7200.0)


def test_a_machine_that_no_longer_sounds_as_a_person_knew_it_is_said_and_not_learnt_without_a_person() -> None:
    assert has_changed(replace(REPORT, unlike=(2, 24))) == has_changed(replace(REPORT, unlike=(0, 0))) == ""
    changed = replace(REPORT, unlike=(14, 24))
    assert any("would report 14 of 24 pieces" in note for note in notes(changed))
    assert has_changed(changed).endswith('If it is well: monitor improve "pump", and again with --promote.')
    assert changed.refusal == "", "a person may promote it"
