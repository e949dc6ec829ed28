"""A picture of each anomaly is there when it should be, shows what it was, and never makes the engine wait."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.core.errors import MonitorError
from monitor.core.events import Band, Event
from monitor.core.types import FloatArray
from monitor.outputs import plots
from monitor.outputs.event_plots import BEFORE_S, SHOWN_S, EventPlots
from monitor.outputs.rescoring import Rescored
from support.builders import small_bundle, small_config
from support.listening import DEADLINE_S

CONFIG = small_config()
HOP_S = CONFIG.features.hop_s
START = 1_760_000_000.0
NAME = f"anomaly-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(START))}-pump"


def frames(seconds: float, seed: int = 0) -> FloatArray:
    """Power mel frames (t, n_mels) of noise."""
    rng = np.random.default_rng(seed)
    return rng.exponential(1e-4, (round(seconds / HOP_S), CONFIG.features.n_mels)).astype(np.float32)


def anomaly(start_s: float, end_s: float | None = None, **changes: object) -> Event:
    event = Event("anomaly", start_s, end_s, START, "pump.wav", 9.5, 5.0, 2.5, cause="sudden", model_id="abc")
    return replace(event, bands=(Band(2100, 2800, 0.6, "new"),), **changes)  # type: ignore[arg-type]


class Drawn:
    """What was drawn, in place of drawing it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rescored: list[Rescored] = []
        self.asked: list[dict[str, object]] = []
        self.threads: list[str] = []
        self.go = threading.Event()
        self.go.set()
        monkeypatch.setattr(plots, "draw", self.draw)

    def draw(
        self,
        bundle: Bundle,
        rescored: Rescored,
        contribution: FloatArray,
        threshold: float,
        lower: object,
        title: str,
        path: Path,
        **asked: object,
    ) -> None:
        self.go.wait(DEADLINE_S)
        self.rescored.append(rescored)
        self.asked.append({"contribution": contribution, "lower": lower, "title": title, "path": path, **asked})
        self.threads.append(threading.current_thread().name)
        path.write_bytes(b"")

    def spans(self) -> list[tuple[float, float]]:
        """First and last second of each picture, counted from where its anomaly began."""
        return [
            (float(asked["start_s"]), float(asked["start_s"]) + len(rescored.recorded) * HOP_S)  # type: ignore[arg-type]
            for asked, rescored in zip(self.asked, self.rescored, strict=True)
        ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    return Drawn(monkeypatch)


def pushed(sink: EventPlots, power: FloatArray, portion_s: float = 0.25, first: int = 0) -> int:
    """Gives frames to a sink in portions; returns the number of the next one."""
    size = round(portion_s / HOP_S)
    for start in range(0, len(power), size):
        sink.frames(first + start, power[start : start + size])
    return first + len(power)


def test_an_anomaly_that_ended_is_shown_from_before_it_until_after_it(tmp_path: Path, drawn: Drawn) -> None:
    sink = EventPlots(tmp_path / "new", small_bundle(CONFIG))
    at = pushed(sink, frames(31.5))
    sink.event(anomaly(30.0))
    at = pushed(sink, frames(10.5), first=at)
    sink.event(anomaly(30.0, 40.0))
    pushed(sink, frames(100), first=at)
    sink.close()
    assert (sink.error, sink.dropped) == (None, 0)
    ((first, last),) = drawn.spans()
    assert first == pytest.approx(-BEFORE_S, abs=0.05)
    assert last == pytest.approx(12.0, abs=0.05), "two seconds after its end, when the end was known"
    assert drawn.asked[0]["path"] == tmp_path / "new" / f"{NAME}.png"
    assert drawn.asked[0]["marked"] == (0.0, 10.0)
    assert drawn.threads == [f"sink {tmp_path / 'new'}"]


@pytest.mark.parametrize("portion_s", [0.01, 0.25, 4.0])
def test_one_that_goes_on_is_shown_a_minute_after_it_began_and_only_once(
    tmp_path: Path, drawn: Drawn, portion_s: float
) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG), wait=True)
    at = pushed(sink, frames(24.0), portion_s)
    sink.event(anomaly(20.0))
    at = pushed(sink, frames(100.0), portion_s, at)
    sink.event(anomaly(20.0, reminders=1))
    at = pushed(sink, frames(100.0), portion_s, at)
    sink.event(anomaly(20.0, 224.0, reminders=1))
    sink.close()
    ((first, last),) = drawn.spans()
    assert first == pytest.approx(-BEFORE_S, abs=0.05)
    assert last == pytest.approx(SHOWN_S, abs=0.05)


def test_what_is_not_over_at_the_end_is_shown_too(tmp_path: Path, drawn: Drawn) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    pushed(sink, frames(8.0))
    sink.event(anomaly(6.0))
    sink.close()
    ((first, last),) = drawn.spans()
    assert (first, last) == (pytest.approx(-BEFORE_S, abs=0.05), pytest.approx(2.0, abs=0.05))


def test_a_recording_as_a_whole_is_shown_with_its_own_score_and_the_limit_of_the_scores_in_it(
    tmp_path: Path, drawn: Drawn
) -> None:
    sink, bundle = EventPlots(tmp_path, small_bundle(CONFIG)), small_bundle(CONFIG)
    pushed(sink, frames(10.0))
    for end_s in (None, 10.0):
        sink.event(anomaly(0.0, end_s, cause="recording"))
    sink.close()
    assert drawn.spans() == [(pytest.approx(0.0, abs=0.05), pytest.approx(10.0, abs=0.05))]
    [asked] = drawn.asked
    first, second = str(asked["title"]).splitlines()
    assert first.startswith("Anomaly, above all normal recordings: pump.wav, began ")
    assert second == "score as a whole 9.5, 380 % of the limit"
    assert isinstance(asked["lower"], plots.LowerPlot)
    assert asked["lower"].threshold == bundle.thresholds["score"].value


def test_what_added_up_for_minutes_is_shown_by_its_last_minute(tmp_path: Path, drawn: Drawn) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    at = pushed(sink, frames(400.0))
    sink.event(anomaly(100.0, cause="lasting"))
    pushed(sink, frames(1.0), first=at)
    sink.close()
    ((first, last),) = drawn.spans()
    assert last == pytest.approx(300.0, abs=1.1)
    assert 60.0 <= last - first <= 80.0


def test_nothing_is_shown_across_a_gap_or_of_the_recording_before(tmp_path: Path, drawn: Drawn) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    pushed(sink, frames(50.0))
    at = pushed(sink, frames(3.0), first=0)  # another recording
    sink.event(anomaly(1.0))
    sink.event(anomaly(1.0, 3.0))
    at = pushed(sink, frames(4.0), first=at + 700)  # behind a gap
    sink.event(anomaly(12.0))
    sink.event(anomaly(12.0, 14.0))
    sink.close()
    assert sink.error is None
    assert drawn.spans()[0] == (pytest.approx(-1.0), pytest.approx(2.0))
    first, last = drawn.spans()[1]
    assert first >= -2.0 - 1e-6
    assert last == pytest.approx(2.0, abs=0.05)


def test_where_too_little_was_heard_to_be_scored_nothing_is_drawn_and_nothing_fails(
    tmp_path: Path, drawn: Drawn
) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    pushed(sink, frames(0.05))
    sink.event(anomaly(0.0))
    sink.event(anomaly(0.0, 0.05))
    sink.close()
    assert not drawn.asked
    assert sink.error is None


def test_memory_does_not_grow_with_the_time(tmp_path: Path, drawn: Drawn) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    kept = [value.nbytes for value in vars(sink).values() if isinstance(value, np.ndarray)]
    pushed(sink, frames(300.0))
    assert [value.nbytes for value in vars(sink).values() if isinstance(value, np.ndarray)] == kept
    assert sum(kept) < 3e6
    sink.close()


def test_the_engine_does_not_wait_for_pictures_that_take_long(tmp_path: Path, drawn: Drawn) -> None:
    """Not one of thirty has been drawn when all of them have been handed over."""
    drawn.go.clear()
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    at = pushed(sink, frames(10.0))
    for _ in range(30):
        sink.event(anomaly(at * HOP_S - 1.0))
        sink.event(anomaly(at * HOP_S - 1.0, at * HOP_S))
    assert not drawn.asked
    drawn.go.set()
    sink.close()
    assert sink.dropped > 20
    assert len(drawn.asked) + sink.dropped == 30
    assert f"{sink.dropped} pictures missing" in str(sink.error)


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("pump.wav", "pump"),
        ("../../etc/passwd", "passwd"),
        ("C:\\sounds\\a b.flac", "a-b"),
        ("microphone: USB 2.0 Gerät (hw:1,0)", "microphone-USB-2.0-Ger-t-hw-1-0"),
        ("\udcff測試.wav", "sound"),
        ("a\nb" + "x" * 300, "a-b" + "x" * 57),
        ("", "sound"),
        (".wav", "sound"),
    ],
)
def test_the_name_of_a_picture_is_safe_whatever_the_source_is_called(
    tmp_path: Path, drawn: Drawn, source: str, stem: str
) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    pushed(sink, frames(3.0))
    for _ in range(3):
        sink.event(anomaly(1.0, source=source))
        sink.event(anomaly(1.0, 2.0, source=source))
    sink.close()
    assert sink.error is None
    expected = NAME.replace("pump", stem)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{expected}{n}.png" for n in ("-2", "-3", "")]


def test_a_picture_is_a_png_and_no_half_of_one_is_left(tmp_path: Path) -> None:
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    pushed(sink, frames(8.0))
    sink.event(anomaly(5.0, source="größe $x^$ 測試.wav"))
    sink.event(anomaly(5.0, 7.0, source="größe $x^$ 測試.wav"))
    sink.close()
    assert sink.error is None
    (picture,) = tmp_path.iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_goes_away_is_kept_as_an_error_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plots.Figure, "savefig", full)
    sink = EventPlots(tmp_path, small_bundle(CONFIG))
    pushed(sink, frames(3.0))
    sink.event(anomaly(1.0))
    sink.close()
    assert isinstance(sink.error, MonitorError)
    assert "No space left on device" in str(sink.error)


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = set(threading.enumerate())
    with pytest.raises(MonitorError, match="cannot be written") as caught:
        EventPlots(tmp_path / "file" / "x", small_bundle(CONFIG))
    assert "\n" not in str(caught.value)
    assert set(threading.enumerate()) <= before
