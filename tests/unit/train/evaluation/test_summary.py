"""What training and calibration print about their limits."""

from __future__ import annotations

from dataclasses import replace

from support.builders import small_bundle
from train.evaluation.summary import limits_summary


def test_both_limits_are_printed_with_the_recordings_that_raise_them() -> None:
    bundle = small_bundle()
    set_by = {"score": [["a.wav", 7.5, 6.1], ["b\x1b.wav", 3605.0, 5.02]], "recording": [["c.wav", 0.0, 5.2]]}
    lines = limits_summary(replace(bundle, provenance=bundle.provenance | {"limits_set_by": set_by}))
    text = "\n".join(lines)
    assert "Limit of the alarm: 81.5 (1 false alarm a day)." in text
    assert "Limit of a recording as a whole: 70.12" in text
    assert "  6.1      a.wav at 0:07" in lines
    assert "  5.02     b?.wav at 1:00:05" in lines
    assert "  5.2      c.wav from 0:00" in lines


def test_a_model_of_an_older_version_has_its_limits_without_recordings() -> None:
    lines = limits_summary(small_bundle())
    assert any("Limit of the alarm: 81.5" in line for line in lines)
    assert not any("raises" in line for line in lines)


def test_how_many_sessions_the_limits_are_of_is_said_below_them() -> None:
    bundle = small_bundle()
    sessions = {"count": 1, "days": 1, "evidence": "dates in the names"}
    lines = limits_summary(replace(bundle, provenance=bundle.provenance | {"sessions": sessions}))
    assert any("do not expect its limits to hold on another day" in line for line in lines)


def test_limits_that_were_made_in_int8_say_so() -> None:
    line = "Both limits were made with the network computed in int8."
    assert line in limits_summary(replace(small_bundle(), precision="int8"))
    assert line not in limits_summary(small_bundle())
