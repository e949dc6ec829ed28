"""What a channel receives: an object that programs can rely on, and a text that people understand."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from monitor.config.plant import EventKind
from monitor.core.events import Band
from monitor.notify.message import Composer
from monitor.notify.wording import digest_sentence, sentence, title
from support.clip_folders import access_to
from support.outbox import NOON, Outbox
from support.stored import stored_event

BEGAN = {"onset": NOON, "reported": NOON + 2, "ended": None}


def text(stage: str = "began", **changes: Any) -> str:
    """The text of a message."""
    return sentence(stored_event(**{**BEGAN, **changes}), stage, datetime.UTC)


def test_an_anomaly_is_told_with_machine_time_strength_frequencies_and_what_to_do() -> None:
    assert text() == (
        "pump on hall-3 has sounded unusual since 12:00:00 on 2025-11-27: up to 355 % of its limit; sudden; new sound "
        "at 2.1-2.8 kHz; missing sound at 310-420 Hz. Listen to the machine. More: monitor events 019ac4f0-0000-7000"
    )


def test_what_is_over_is_told_in_the_past_with_its_length() -> None:
    assert text("ended", ended=NOON + 754.0, bands=(), cause="", peak_share=None) == (
        "It is over: pump on hall-3 sounded unusual for 13 min from 12:00:00 on 2025-11-27. More: monitor events "
        "019ac4f0-0000-7000"
    )


def test_what_the_end_of_the_monitoring_cut_off_is_not_told_to_be_over() -> None:
    told = text("ended", ended=NOON + 754.0, cut_off=True)
    assert told.startswith(
        "pump on hall-3 sounded unusual for 13 min from 12:00:00 on 2025-11-27, until the monitoring"
    )


@pytest.mark.parametrize("stage", ["reminder 3", "escalated"])
def test_reminders_say_how_to_end_them(stage: str) -> None:
    assert text(stage).endswith(
        "More: monitor events 019ac4f0-0000-7000; to end the reminders: monitor acknowledge 019ac4f0-0000-7000"
    )


@pytest.mark.parametrize("kind", EventKind.__args__)  # type: ignore[attr-defined]
def test_every_kind_has_a_text_without_riddles(kind: str) -> None:
    for ended in (None, NOON + 30.0):
        told = text(kind=kind, ended=ended, bands=(), cause="", peak_share=None)
        assert "event" not in told.split("More:")[0]
        assert told.startswith("pump on hall-3 ")
        assert "12:00:00 on 2025-11-27" in told
        assert "None" not in told
        assert "nan" not in told


def test_missing_samples_are_told_where_their_number_says_something() -> None:
    assert "in part: the computer is too busy since 12:00:00 on 2025-11-27: 800 samples not heard." in text(
        kind="overloaded", lost_samples=800, bands=(), cause="", peak_share=None
    )
    assert "800" not in text(kind="no signal", lost_samples=800)


def test_a_share_that_is_no_number_is_left_out() -> None:
    assert "%" not in text(peak_share=float("nan"))


def test_names_cannot_break_lines_or_control_a_terminal() -> None:
    assert "\n" not in text(stream="a\nb\x1b[2J")
    assert "\n" not in title(stored_event(stream="a\nb"), "began")


def test_titles_are_short() -> None:
    event = stored_event()
    assert [title(event, stage) for stage in ("began", "reminder 2", "escalated", "ended")] == [
        "pump: anomaly", "Reminder: pump: anomaly", "Not acknowledged: pump: anomaly", "Ended: pump: anomaly"
    ]  # fmt: skip


def test_many_events_are_counted_by_kind_with_the_first_streams() -> None:
    listed = [(stored_event(stream=f"press {n % 20}"), "began") for n in range(100)]
    told = digest_sentence(250, listed)
    assert told.startswith(
        "250 messages at once, instead of one by one: anomaly began (100); 20 streams: press 0, press 1"
    )
    assert told.endswith("and 12 more. The first 100 are listed. More: monitor events")


def test_the_object_has_the_fields_of_the_manual() -> None:
    box = Outbox()
    box.begin(bands=(Band(200.0, 300.0, 0.5, "new"),), cause="sudden")
    box.wait()
    [content] = box.phone.contents
    from monitor.guide import page

    shown = json.loads(page("notify").split("```json\n")[1].split("```")[0])
    assert _shape(content) == _shape(shown)
    assert content["version"] == shown["version"] == 1


def test_a_digest_has_the_fields_of_the_manual() -> None:
    box = Outbox()
    for number in range(5):
        box.begin(f"press {number}")
    box.wait()
    [content] = box.phone.contents
    assert list(content) == ["version", "delivery", "stage", "host", "count", "events", "text"]
    assert list(content["events"][0]) == ["delivery", "stage", "host", "stream", "event", "text"]


def _shape(value: Any) -> Any:
    """The names in an object, in their order."""
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    return [_shape(value[0])] if isinstance(value, list) and value else None


def test_times_are_utc_and_what_is_unknown_is_null() -> None:
    event = stored_event(ended=None, peak_share=float("nan"), mean_share=float("inf"), source="")
    entry = Composer("hall")._entry("id", "began", event)["event"]
    assert entry["onset"] == "2025-11-27T13:50:00.000Z"
    assert [entry[name] for name in ("ended", "peak_share", "mean_share", "source", "clip")] == [None] * 5
    json.dumps(entry, allow_nan=False)


def test_files_are_attached_if_they_are_there_and_only_the_first_time(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    composer, event = Composer("hall", access_to(tmp_path)), stored_event(picture="a.png", clip="a.flac")
    assert composer._single("id", "began", event, with_files=True).files == (tmp_path / "a.png",)
    assert composer._single("id", "began", event, with_files=False).files == ()
    assert composer._entry("id", "began", event)["event"]["clip"] == str(tmp_path / "a.flac")
