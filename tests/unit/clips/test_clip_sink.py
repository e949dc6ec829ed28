"""The sound of an anomaly is kept from before it began until after it ended, and nothing waits for the disk."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from monitor.audio.recording_time import stated_time
from monitor.audio.writer import as_int16
from monitor.clips.clip_sink import QUEUE_SIZE, ClipSink
from monitor.clips.folder import ClipFolder
from monitor.config.loader import load_config
from monitor.config.plant import Clips
from monitor.core import background_worker
from monitor.core.errors import ConfigError
from monitor.core.events import Event
from monitor.core.types import FloatArray
from monitor.outputs.named import NamedSink
from support.builders import RATE, noise, pieces, small_bundle
from support.listening import DEADLINE_S, wait_until
from support.logs import logged
from support.outputs import anomaly

SHORT: dict[str, Any] = {
    "before_s": 2, "after_s": 3, "longest_s": 20, "memory_s": 10, "pictures": False, "min_free_gb": 0,
}  # fmt: skip
BUNDLE = small_bundle()
BLOCK_S = BUNDLE.config.alarm.block_s  # between decisions: clips begin at one


class Files:
    """What was reported about the files of events."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def __call__(self, event_id: str, **facts: Any) -> None:
        self.all.append({"event": event_id, **facts})

    def last(self, event: Event) -> dict[str, Any]:
        return [one for one in self.all if one["event"] == event.id][-1]


class Ear:
    """A sink with the sound that it is given."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.files, self.path = Files(), path
        self.folder = ClipFolder(path, Clips(**SHORT | settings), files=self.files)
        self.sink = ClipSink(self.folder, BUNDLE)
        self.heard: FloatArray = np.zeros(0, np.float32)  # since the segment began

    def hear(self, until_s: float, piece_s: float = 0.1) -> None:
        """Gives it noise up to this time of the segment."""
        sound = noise(round(until_s * RATE) - len(self.heard), seed=len(self.heard))
        for part in pieces(len(sound), [round(piece_s * RATE)]):
            self.sink.samples(sound[part])
        self.heard = np.concatenate((self.heard, sound))

    def anomaly(self, start_s: float, end_s: float | None = None, **facts: Any) -> Event:
        """Reports an anomaly that begins, and one that ends if `end_s` is given."""
        event = anomaly(start_s, None, **{"stream": "pump", **facts})
        self.sink.event(event)
        return self.end(event, end_s) if end_s is not None else event

    def end(self, event: Event, end_s: float, **facts: Any) -> Event:
        ended = replace(event, end_s=end_s, **facts)
        self.sink.event(ended)
        return ended

    def clip(self, event: Event, segment_s: float = 0.0) -> tuple[float, float]:
        """First and last second of the clip of an event, which is compared with what was heard."""
        facts = self.files.last(event)
        samples, rate = soundfile.read(self.path / facts["clip"], dtype="int16")
        assert rate == RATE
        first_s = facts["clip_start"] - event.wall_time + event.start_s
        first = round((first_s - segment_s) * RATE)
        np.testing.assert_array_equal(samples, as_int16(self.heard)[first : first + len(samples)])
        return first_s, first_s + len(samples) / rate


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(tmp_path / "clips")


def test_a_clip_reaches_back_before_the_model_was_exchanged_and_one_that_lasts_goes_on(ear: Ear) -> None:
    ear.hear(9.0)
    lasting = ear.anomaly(7.3)
    ear.sink.use_model(small_bundle(seed=1))
    event = ear.anomaly(8.2)
    ear.hear(13.0)
    lasting, event = ear.end(lasting, 11.2), ear.end(event, 9.5)
    ear.hear(20.0)
    ear.sink.close()
    for one, first, last in ((lasting, 5.3, 14.2), (event, 6.2, 12.5)):
        assert ear.clip(one) == (pytest.approx(first, abs=BLOCK_S), pytest.approx(last, abs=0.011))
        assert ear.files.last(one)["note"] == ""


@pytest.mark.parametrize("piece_s", [0.01, 0.37, 4.0])
def test_a_clip_is_what_was_heard_from_before_the_anomaly_until_after_it(ear: Ear, piece_s: float) -> None:
    ear.hear(9.0, piece_s)
    event = ear.anomaly(7.3)
    ear.hear(13.0, piece_s)
    event = ear.end(event, 11.2)
    ear.hear(20.0, piece_s)
    ear.sink.close()
    first_s, last_s = ear.clip(event)
    assert 7.3 - 2 - BLOCK_S < first_s <= 7.3 - 2 + 1e-6
    assert first_s % BLOCK_S == pytest.approx(0, abs=1e-6), "where the alarm decides"
    assert last_s == pytest.approx(14.2, abs=0.011)
    assert (ear.sink.error, ear.sink.dropped, ear.files.last(event)["note"]) == (None, 0, "")


def test_sound_of_long_before_the_report_is_there(ear: Ear) -> None:
    ear.hear(30.0)
    event = ear.anomaly(23.0, cause="lasting")
    ear.sink.close()
    assert ear.clip(event)[0] == pytest.approx(21.0, abs=BLOCK_S)


def test_where_the_memory_does_not_reach_back_the_clip_begins_as_early_as_it_can_and_the_event_says_so(
    ear: Ear,
) -> None:
    ear.hear(100.0)
    late, later = ear.anomaly(90.0), ear.anomaly(50.0)
    ear.sink.close()
    assert ear.clip(late)[0] == ear.clip(later)[0] == pytest.approx(89.0, abs=1.1)
    assert "only 1 s before the anomaly" in ear.files.last(late)["note"]
    assert "39 s after the anomaly" in ear.files.last(later)["note"]
    assert "clips.memory_s" in ear.files.last(later)["note"]


def test_a_clip_from_the_very_first_sample_misses_nothing(ear: Ear) -> None:
    ear.hear(4.0)
    event = ear.anomaly(0.5, 1.0)
    ear.sink.close()
    assert ear.clip(event) == (pytest.approx(0.0), pytest.approx(4.0))
    assert ear.files.last(event)["note"] == ""


def test_of_what_lasts_the_beginning_is_kept_and_it_is_written_once_while_it_goes_on(ear: Ear) -> None:
    ear.hear(9.0)
    event = ear.anomaly(8.0)
    for reminder in range(1, 6):
        ear.hear(10.0 + 20 * reminder)
        ear.sink.event(replace(event, reminders=reminder))
    ended = ear.end(replace(event, reminders=5), 100.0)
    ear.hear(130.0)
    ear.sink.close()
    first_s, last_s = ear.clip(ended)
    assert first_s == pytest.approx(6.0, abs=BLOCK_S)
    assert last_s - first_s == pytest.approx(20.0, abs=0.011)
    assert len(list(ear.path.rglob("*.flac"))) == 1
    assert "clips.longest_s" in ear.files.last(event)["note"]


def test_memory_is_bounded_whatever_the_anomalies(ear: Ear) -> None:
    most = 0
    for second in range(10, 200):
        ear.hear(float(second), 1.0)
        if second % 7 == 0:
            ear.anomaly(second - 1.0, second - 0.5 if second % 2 else None)
        most = max(most, ear.sink._memory.nbytes)
    ear.sink.close()
    assert most <= 2 * RATE * (20 + 3), "clips that overlap share the sound"
    assert ear.sink.error is None or ear.sink.dropped


def test_anomalies_close_to_each_other_have_a_clip_each(ear: Ear) -> None:
    ear.hear(9.0)
    one = ear.anomaly(8.0, 9.0)
    ear.hear(11.0)
    other = ear.anomaly(10.5, 11.0)
    ear.hear(20.0)
    ear.sink.close()
    assert ear.clip(one)[1] == pytest.approx(12.0, abs=0.011)
    assert ear.clip(other)[0] == pytest.approx(8.5, abs=BLOCK_S)


def test_a_clip_ends_at_an_interruption_and_the_next_one_begins_behind_it(ear: Ear) -> None:
    ear.hear(9.0)
    event = ear.end(ear.anomaly(8.0), 8.9, cut_off=True)
    heard = ear.heard
    ear.sink.segment(1234)
    ear.heard = np.zeros(0, np.float32)
    ear.hear(5.0)
    after = ear.anomaly(12.34 + 1.0, 12.34 + 2.0)
    ear.sink.close()
    assert ear.clip(after, segment_s=12.34) == (pytest.approx(12.34), pytest.approx(12.34 + 5.0))
    ear.heard = heard
    assert ear.clip(event)[1] == pytest.approx(9.0)
    assert "0 s after the anomaly: the sound was interrupted" in ear.files.last(event)["note"]


def test_what_is_not_over_at_the_end_is_kept_too(ear: Ear) -> None:
    ear.hear(9.0)
    event = ear.anomaly(8.0)
    ear.hear(9.5)
    ear.sink.close()
    assert ear.clip(event)[1] == pytest.approx(9.5)
    assert "the monitoring ended" in ear.files.last(event)["note"]


def test_only_anomalies_have_clips(ear: Ear) -> None:
    ear.hear(9.0)
    for kind in ("off", "gap", "lost", "new mode", "drift", "invalid samples", "warning"):
        ear.sink.event(Event(kind, 8.0, None, 1.7e9, "pump.wav"))
    ear.sink.close()
    assert not ear.path.exists()


def test_a_clip_says_what_it_is_and_when_it_was_recorded(ear: Ear) -> None:
    ear.hear(9.0)
    event = ear.anomaly(8.0, 8.5, model_id="0123456789ab", wall_time=1_700_000_000.25)
    ear.sink.close()
    path = ear.path / ear.files.last(event)["clip"]
    assert path.relative_to(ear.path).as_posix() == f"pump/2023/11/20231114T221318Z-{event.id}.flac"
    first_s, _ = ear.clip(event)
    assert stated_time(path) == pytest.approx(1_700_000_000.25 - 8.0 + first_s, abs=1e-5)
    with soundfile.SoundFile(path) as file:
        assert file.title == "Anomaly of pump"
        for fact in (event.id, "stream=pump", "model=0123456789ab", f"anomaly_at_s={8.0 - first_s:.3f}"):
            assert fact in file.comment


def test_whatever_a_stream_is_called_its_clips_stay_in_the_folder(ear: Ear) -> None:
    ear.hear(9.0)
    for name in ("../../etc", "/abs", "Gerät 測試\n", "", ".."):
        ear.anomaly(8.0, 8.5, stream=name)
        ear.hear(9.0)
        wait_until(lambda: not ear.sink._worker._jobs, "the clip")
    ear.sink.close()
    assert {path.parts[0] for path in (p.relative_to(ear.path) for p in ear.path.rglob("*.flac"))} <= {
        "etc", "abs", "Ger-t", "sound",
    }  # fmt: skip
    assert len(list(ear.path.parent.rglob("*.flac"))) == len({one["event"] for one in ear.files.all})


def test_a_picture_lies_beside_the_clip(tmp_path: Path) -> None:
    ear = Ear(tmp_path, pictures=True)
    ear.hear(9.0)
    event = ear.anomaly(7.0, 8.0)
    ear.sink.close()
    facts = ear.files.last(event)
    assert (tmp_path / facts["picture"]).read_bytes().startswith(b"\x89PNG")
    assert Path(facts["picture"]).with_suffix(".flac") == Path(facts["clip"])


def test_a_disk_that_does_not_answer_delays_no_sample_and_what_is_lost_is_said(ear: Ear) -> None:
    count = 8
    with ear.folder.lock:  # as if a clip were being written, and the disk did not answer
        for number in range(count):
            ear.hear(9.0 + 5 * number)
            ear.anomaly(8.0 + 5 * number, 8.5 + 5 * number)
        ear.hear(60.0)
        assert len(ear.heard) == 60 * RATE
        assert count - QUEUE_SIZE - 1 <= ear.sink.dropped <= count - QUEUE_SIZE
    ear.sink.close()
    assert len(list(ear.path.rglob("*.flac"))) + ear.sink.dropped == count
    assert f"{ear.sink.dropped} clips missing" in str(ear.sink.error)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files cannot become longer than some samples, as on a disk without room, until `resource` says otherwise."""
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.01)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_after_a_full_disk_the_clip_is_written_and_meanwhile_the_event_says_why_there_is_none(
    ear: Ear, full_disk: None
) -> None:
    ear.hear(9.0)
    event = ear.anomaly(8.0, 8.5)
    ear.hear(12.0)
    wait_until(lambda: ear.sink.trouble, "trouble")
    assert "cannot be written" in ear.sink.trouble
    assert "could not be written so far: cannot be written: File too large" in ear.files.last(event)["note"]
    assert not [path for path in ear.path.rglob("*") if path.is_file()], "no half of a clip, no rubbish"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    ear.sink.close()
    ear.clip(event)
    assert (ear.sink.error, ear.files.last(event)["note"]) == (None, "")


def test_a_folder_that_cannot_be_written_is_tried_again(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.01)
    ear.path.touch()
    ear.hear(9.0)
    event = ear.anomaly(8.0, 8.5)
    ear.hear(12.0)
    wait_until(lambda: ear.sink.trouble, "trouble")
    ear.path.unlink()
    ear.sink.close()
    ear.clip(event)
    assert ear.sink.error is None


def test_a_disk_that_others_have_filled_gets_no_clips_which_is_said_once_and_counted(tmp_path: Path) -> None:
    ear = Ear(tmp_path / "clips", min_free_gb=1e6)
    with logged("monitor") as said:
        for number in range(3):
            ear.hear(9.0 + 5 * number)
            event = ear.anomaly(8.0 + 5 * number, 8.5 + 5 * number)
            ear.hear(12.0 + 5 * number)
            wait_until(lambda event=event: [one for one in ear.files.all if one["event"] == event.id], "the note")  # type: ignore[misc]
            assert ear.files.last(event)["note"] == "The disk is nearly full: the clip is not kept."
        assert "clips.min_free_gb" in ear.sink.trouble
        ear.sink.close()
    assert not list(ear.path.rglob("*.flac"))
    assert len([line for line in said if "no clips are kept" in line]) == 1
    assert (ear.sink.dropped, "3 clips" in str(ear.sink.error)) == (3, True)


def test_nothing_that_exists_is_overwritten(ear: Ear) -> None:
    ear.hear(9.0)
    event = ear.anomaly(8.0, 8.5, wall_time=1_700_000_000.25)
    taken = ear.path / f"pump/2023/11/20231114T221318Z-{event.id}.flac"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    ear.sink.close()
    assert taken.read_bytes() == b"mine"
    assert ear.files.last(event)["clip"].endswith(f"{event.id}-2.flac")


def test_closing_does_not_wait_for_ever(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr("monitor.clips.writing.write_new", lambda *_: goes_on.wait(DEADLINE_S))
    ear.sink._worker._close_s = 0.05
    ear.hear(9.0)
    ear.anomaly(8.0, 8.5)
    ear.sink.close()
    assert "did not finish" in str(ear.sink.error)
    goes_on.set()


@pytest.mark.parametrize("shorter", ["memory_s", "longest_s"])
def test_settings_with_which_no_clip_would_reach_its_anomaly_are_refused(shorter: str) -> None:
    with pytest.raises(ConfigError, match=r"clips\.before_s.*memory_s and longest_s"):
        load_config(Path(os.devnull), overrides=("clips.before_s=60", f"clips.{shorter}=60"))


def test_a_stream_with_a_name_tells_its_outputs_of_interruptions_too(ear: Ear) -> None:
    named = NamedSink(ear.sink, "press 4")
    named.segment(700)
    for part in np.split(noise(9 * RATE), 90):
        named.samples(part)
    event = anomaly(7.0 + 8.0, None)
    named.event(event)
    named.close()
    facts = ear.files.last(event)
    assert facts["clip"].startswith("press-4/")
    assert soundfile.info(ear.path / facts["clip"]).frames <= 3.6 * RATE
