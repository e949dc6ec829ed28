"""The demo of a week: what happens in its hours, how they sound, and what is counted of them."""

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.recording_time import recording_began
from train.demo import plant_week
from train.demo.plant_week import DAYS, Hour, cleaning, hour_sound, hours, write
from train.demo.week import Pass, Week, story

FIRST = datetime.date(2026, 11, 19)  # a Thursday
RATE = 8000


@pytest.fixture(scope="module")
def week() -> Week:
    return Week(Path("demo"), tuple(hours(FIRST)))


def anomaly(hour: Hour, minutes: float = 0.2) -> dict[str, str]:
    """What `monitor events --json` says of an anomaly that began in an hour."""
    return {"onset": (hour.began + datetime.timedelta(minutes=minutes)).astimezone(datetime.UTC).isoformat()}


def test_a_week_has_two_shifts_idle_nights_a_weekend_and_a_cleaning_crew(week: Week) -> None:
    assert len(week.hours) == 24 * DAYS
    found = Counter(hour.running for hour in week.hours)
    assert found == {"early shift": 40, "late shift": 40, "idle": 64, "off": 24}
    assert sum(hour.cleaning for hour in week.hours) == 5
    assert {hour.began.weekday() for hour in week.hours if hour.running == "off"} == {6}


def test_the_bearing_wears_out_over_the_last_two_days_which_are_workdays(week: Week) -> None:
    wear = [hour.wear for hour in week.hours]
    assert not any(wear[:120])
    assert wear[121:] == sorted(wear[121:])
    assert wear[121] > 0
    assert wear[-1] == pytest.approx(1, abs=0.05)
    assert {hour.began.weekday() for hour in week.hours if hour.wear} == {1, 2}


def test_the_hours_sound_differently_and_always_the_same(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant_week, "HOUR_S", 2.0)
    idle, early, late, off = (
        hour_sound(next(h for h in week.hours if h.running == name), RATE, 5)
        for name in ("idle", "early shift", "late shift", "off")
    )
    level = [float(np.sqrt(np.mean(one**2))) for one in (off, idle, early, late)]
    assert level == sorted(level)
    assert np.array_equal(early, hour_sound(next(h for h in week.hours if h.running == "early shift"), RATE, 5))


def test_the_cleaning_crew_is_heard_for_a_part_of_its_hour() -> None:
    sound = cleaning(60 * RATE, RATE, np.random.default_rng(1))
    assert not sound[: 11 * RATE].any()
    assert np.sqrt(np.mean(sound[20 * RATE : 35 * RATE] ** 2)) > 0.01
    assert np.abs(sound[45 * RATE :]).max() < 0.01


def test_recordings_have_the_time_of_their_hour(tmp_path: Path, week: Week) -> None:
    path, hour = tmp_path / "hour.wav", week.hours[30]
    write(path, np.zeros(RATE), RATE, hour.began)
    assert soundfile.info(path).frames == RATE
    assert recording_began(path, 1.0) == hour.began.timestamp()


def test_false_alarms_are_counted_by_hours_and_the_fault_only_where_there_are_none(week: Week) -> None:
    late = [hour for hour in week.hours if hour.running == "late shift" and not hour.cleaning]
    early = [hour for hour in week.hours if hour.running == "early shift"]
    friday, monday, tuesday, wednesday = late[7], late[15], late[23], early[-1]
    plain = Pass("plain", Path(), [anomaly(one) for one in (friday, friday, monday, tuesday, wednesday)])
    silent = Pass("silent", Path())
    printed = list(story(week, (plain, silent)))
    [counts] = [line for line in printed if line.startswith("plain")]
    assert counts.split()[1:6] == ["0", "1", "0", "0", "1"]
    assert "1 of 48" in counts
    [fault] = [line for line in printed if line.startswith("  plain")]
    assert "reported 37 hours after that, 11 hours before the end" in fault, "on Tuesday it is as on Monday"
    [nothing] = [line for line in printed if line.startswith("  silent")]
    assert "not reported" in nothing
