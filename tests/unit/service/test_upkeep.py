"""What is due is done beside the monitoring, at its time, once, and what fails is said and tried again."""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from monitor.config.loader import load_config
from monitor.service import low_priority
from monitor.service.commissioning import Commissioning
from monitor.service.nightly import next_time
from monitor.service.upkeep import TICK_S, Surroundings, Upkeep
from support.listening import wait_until

HOUR, DAY = 3600.0, 86_400.0
NOON = datetime.datetime(2026, 11, 20, 12).timestamp()
QUIET = "print('nothing')"


@pytest.fixture(autouse=True)
def _usual_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a low one, commands would not be finished in any time on a busy machine."""
    monkeypatch.setattr(low_priority, "NICENESS", 0)


def says(*, promoted: bool = True, proven: bool = False, text: str = "Limit 3 -> 2.") -> str:
    """A program that says what a night has come to."""
    return f"print({json.dumps({'promoted': promoted, 'proven': proven, 'sentences': [text]})!r})"


class House:
    """Upkeep of streams in a folder, whose commands are programs that the test gives, and whose time it sets."""

    def __init__(self, *overrides: str, streams: Sequence[str] = ("press",), now: float = NOON) -> None:
        self.now, self.learns, self.tests, self.unjudged = now, says(), QUIET, False
        self.cleans = ""  # a program that deletes models; empty: there are none
        self.clock_set = 0.0  # seconds by which the clock was set, which did not pass
        self.shown: dict[str, str] = {}
        self.noted: list[tuple[str, str, str]] = []
        self.cleaned: list[float] = []
        self.improved: list[tuple[float, str]] = []
        self.tested: list[float] = []
        self.upkeep = Upkeep(
            Path(),
            Surroundings(
                improve=self._improve, selftest=self._test, unjudged=lambda _: self.unjudged,
                show=self.shown.__setitem__, note=lambda *what: self.noted.append(what),
                clean=self._clean, program=(sys.executable, "-c"),
            ),
            clock=lambda: self.now,
            steady=lambda: self.now - self.clock_set,
        )  # fmt: skip
        for name in streams:
            Path(f"{name}.safetensors").touch()
        self.models = {name: Path(f"{name}.safetensors") for name in streams}
        self.use(*overrides)

    def use(self, *overrides: str) -> None:
        """Other settings."""
        self.upkeep.use(load_config(Path(os.devnull), overrides=overrides), self.models)

    def _improve(self, name: str) -> list[str]:
        self.improved.append((self.now, name))
        return [self.learns]

    def _test(self) -> list[str]:
        self.tested.append(self.now)
        return [self.tests]

    def _clean(self) -> list[str]:
        self.cleaned.append(self.now)
        return [self.cleans] if self.cleans else []

    def pass_to(self, day: int, clock: str) -> None:
        """The time passes to this day of November, in steps of half an hour."""
        until = datetime.datetime.fromisoformat(f"2026-11-{day:02}T{clock}").timestamp()
        self.upkeep.tick()
        while self.now < until:
            self.now = min(until, self.now + HOUR / 2)
            self.upkeep.tick()

    @property
    def times(self) -> list[str]:
        """The times at which a stream has learnt."""
        return [f"{datetime.datetime.fromtimestamp(when):%d %H:%M}" for when, _ in self.improved]


def test_a_stream_learns_after_an_hour_and_then_each_night_until_its_days_are_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    house = House("commissioning.days=3")
    house.pass_to(22, "12:00")
    assert house.times == ["20 13:00", "21 03:00", "22 03:00"]
    assert house.shown["press"] == "commissioning: day 3 of 3"
    house.pass_to(25, "12:00")
    assert house.times == ["20 13:00", "21 03:00", "22 03:00", "23 03:00"]
    assert house.shown["press"] == ""
    assert "press: commissioning: day 1 of 3: Limit 3 -> 2." in caplog.text
    assert house.noted[0] == ("commissioning", "press", "Limit 3 -> 2.")
    assert house.noted[-1][2].startswith("The commissioning has ended: its 3 days are over. The last time: Limit")


def test_it_ends_by_itself_once_the_budget_is_certain() -> None:
    house = House("commissioning.days=30")
    house.pass_to(21, "04:00")
    house.learns = says(proven=True, promoted=False, text="At most 0.8 a day.")
    house.pass_to(23, "12:00")
    assert house.times == ["20 13:00", "21 03:00", "22 03:00"]
    assert "the budget of false alarms is certain to be kept" in house.noted[-1][2]
    assert "At most 0.8 a day." in house.noted[-1][2]


def test_a_restart_goes_on_and_makes_up_a_missed_night() -> None:
    House("commissioning.days=3").pass_to(20, "14:00")
    again = House("commissioning.days=3", now=NOON + 20 * HOUR)  # 8 o'clock of the next morning
    again.upkeep.tick()
    assert again.times == ["21 08:00"]
    again.pass_to(22, "04:00")
    assert again.times == ["21 08:00", "22 03:00"]


def test_a_monitor_that_is_restarted_every_few_minutes_learns_at_the_same_times_as_any_other() -> None:
    times: list[str] = []
    for moment in range(0, 26 * 12):
        house = House("commissioning.days=1", "selftest.every_days=1", now=NOON + moment * 300)
        house.upkeep.tick()
        times += house.times + [f"test {datetime.datetime.fromtimestamp(when):%d %H:%M}" for when in house.tested]
    assert times == ["20 13:00", "21 03:00", "test 21 03:00"]
    assert house.shown["press"] == ""


@pytest.mark.parametrize("sure", [False, True])
def test_one_that_has_ended_begins_again_only_with_another_model_or_more_days(sure: bool) -> None:
    house = House("commissioning.days=1")
    house.learns = says(proven=sure)
    house.pass_to(22, "12:00")
    again = House("commissioning.days=1", now=house.now)
    again.pass_to(23, "12:00")
    assert again.times == []
    again.use("commissioning.days=9")
    again.pass_to(24, "12:00")
    assert bool(again.times) is not sure, "more days are of no use where the budget is certain"
    Path("press.safetensors").write_bytes(b"another model")
    again.use("commissioning.days=9")
    again.improved.clear()
    again.pass_to(24, "14:00")
    assert again.times == ["24 13:00"]


def test_nothing_is_learnt_while_an_anomaly_lasts_that_nobody_has_judged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house = House("commissioning.days=3")
    house.unjudged = True
    house.pass_to(21, "12:00")
    assert house.times == []
    assert caplog.text.count("nothing is learnt until the anomaly is over, or judged") == 1
    house.unjudged = False
    house.pass_to(21, "13:00")
    assert house.times == ["21 12:30"]


def test_a_night_that_fails_is_said_in_a_sentence_and_the_next_one_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House("commissioning.days=3", streams=("press", "fan"))
    house.learns = "import sys; print('Traceback', file=sys.stderr); sys.exit('press: too little normal sound.')"
    house.pass_to(20, "13:00")
    assert "press: commissioning: day 1 of 3: It could not learn: press: too little normal sound." in caplog.text
    assert "Traceback" not in caplog.text
    house.learns = says()
    house.pass_to(21, "04:00")
    assert [name for _, name in house.improved] == ["press", "fan"] * 2


@pytest.mark.parametrize("seconds", [-20 * DAY, 20 * DAY])
def test_a_clock_that_is_set_takes_no_day_of_commissioning_and_adds_none(seconds: float) -> None:
    house = House("commissioning.days=3")
    house.pass_to(21, "12:00")
    house.clock_set = seconds
    house.now += seconds
    house.upkeep.tick()
    assert house.shown["press"] == "commissioning: day 2 of 3"
    nights = len(house.improved)
    for _ in range(3 * 48):
        house.now += HOUR / 2
        house.upkeep.tick()
    assert len(house.improved) == nights + 2
    assert house.noted[-1][2].startswith("The commissioning has ended: its 3 days are over.")


def test_a_clock_that_is_set_back_while_nothing_runs_does_not_prolong_the_commissioning() -> None:
    House("commissioning.days=3", now=NOON + 900 * DAY).upkeep.tick()
    house = House("commissioning.days=3")
    house.pass_to(24, "12:00")
    assert house.times == ["20 13:00", "21 03:00", "22 03:00", "23 03:00"]
    assert house.shown["press"] == ""


def test_learning_that_brought_the_computer_down_begins_again_after_an_hour_not_at_once() -> None:
    house = House("commissioning.days=3")
    house.learns = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
    house.now += 2 * HOUR
    with pytest.MonkeyPatch.context() as patched:  # what a killed program leaves: it notes nothing more
        patched.setattr(house.upkeep, "_command", lambda *_: None)
        house.upkeep.tick()
    again = House("commissioning.days=3", now=house.now + 60)
    again.upkeep.tick()
    assert again.times == []
    again.pass_to(20, "16:00")
    assert again.times == ["20 15:01"]


def test_learning_that_is_ended_with_the_program_is_made_up_at_the_next_start() -> None:
    house = House("commissioning.days=3", now=NOON)
    house.learns = "import pathlib, time; pathlib.Path('began').touch(); time.sleep(600)"
    house.upkeep.tick()
    house.now += 2 * HOUR
    house.upkeep.start()
    wait_until(lambda: Path("began").exists(), "the learning")
    house.upkeep.close()
    assert house.noted == []
    again = House("commissioning.days=3", now=house.now + 60)
    again.upkeep.tick()
    assert again.times == ["20 14:01"]


def test_a_command_that_the_system_ends_with_the_service_is_no_night() -> None:
    house = House("commissioning.days=3", "selftest.every_days=0.01")
    house.learns = house.tests = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    house.pass_to(20, "13:00")
    assert (len(house.improved), len(house.tested)) == (1, 1)
    house.pass_to(20, "14:00")
    assert (len(house.improved), len(house.tested)) == (2, 2), "an hour later again"
    assert house.noted == []


@pytest.mark.parametrize("garbage", ["{'sentences': 5}", "[1]", "\\x1b[2J\\0", ""])
def test_a_command_that_prints_garbage_is_noted_once(garbage: str, caplog: pytest.LogCaptureFixture) -> None:
    house = House("commissioning.days=3")
    house.learns = f"print({garbage!r}.replace(chr(39), chr(34)))"
    house.pass_to(20, "14:00")
    assert house.noted == [("commissioning", "press", "Nothing was said about it.")]
    assert "Upkeep failed" not in caplog.text


def test_upkeep_looks_again_when_something_is_due_and_seldom_otherwise() -> None:
    house = House("commissioning.days=3")
    assert house.upkeep.tick() == TICK_S
    house.now += HOUR - 1
    assert house.upkeep.tick() == pytest.approx(1.0)
    house.unjudged = True
    house.now += HOUR
    assert house.upkeep.tick() == TICK_S, "put off"
    house.use()
    house.now += 9 * DAY
    assert house.upkeep.tick() == TICK_S, "switched off"


def test_without_days_nothing_is_learnt() -> None:
    house = House()
    house.pass_to(22, "12:00")
    assert not house.improved
    assert not house.tested


def test_a_self_test_is_made_at_night_every_so_many_days_also_after_restarts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house = House("selftest.every_days=2")
    house.pass_to(22, "12:00")
    house = House("selftest.every_days=2", now=house.now)
    house.tests = "raise SystemExit(5)"
    house.pass_to(26, "12:00")
    days = [datetime.datetime.fromtimestamp(when).isoformat()[5:16] for when in house.tested]
    assert days == ["11-23T03:00", "11-25T03:00"]
    assert "faults harder to detect than at first" in caplog.text


def test_a_damaged_file_is_kept_apart_and_said(caplog: pytest.LogCaptureFixture) -> None:
    Path("commissioning.json").write_text("{")
    assert Commissioning(Path()).stream("press") is None
    assert "commissioning.json: is damaged" in caplog.text
    assert Path("commissioning.json.damaged").read_text() == "{"


# Times of day


def test_a_time_of_day_keeps_to_the_clock_on_the_wall_when_it_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for day, month in ((28, 3), (29, 3), (24, 10), (25, 10)):  # clocks change on the second and the last
            before = datetime.datetime(2026, month, day, 0, 30).timestamp()
            found = datetime.datetime.fromtimestamp(next_time(before, "03:30"))
            assert (found.day, found.hour, found.minute) == (day, 3, 30)
        skipped = next_time(datetime.datetime(2026, 3, 29, 0, 30).timestamp(), "02:30")
        assert datetime.datetime.fromtimestamp(skipped).isoformat() == "2026-03-29T03:30:00"
        evening = datetime.datetime(2026, 3, 1, 22).timestamp()
        assert datetime.datetime.fromtimestamp(next_time(evening, "03:00")).isoformat() == "2026-03-02T03:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_models_that_nobody_needs_are_deleted_once_a_day_whatever_the_time_of_day(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    house = House()
    house.cleans = "print('{\"deleted\": [1, 2]}')"
    house.pass_to(22, "14:00")
    assert [f"{datetime.datetime.fromtimestamp(when):%d %H:%M}" for when in house.cleaned] == [
        "20 13:00", "21 13:00", "22 13:00",
    ]  # fmt: skip
    assert caplog.text.count("any more: 2 models.") == 3
    house.cleans = "raise SystemExit('The object store is away.')"
    house.pass_to(23, "14:00")
    assert "tried again tomorrow: The object store is away." in caplog.text
