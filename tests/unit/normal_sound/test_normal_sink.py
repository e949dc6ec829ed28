"""Pieces of normal sound are taken at random moments of the sound's own time, and only while all is normal."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from monitor.audio.writer import as_int16
from monitor.bundle.bundle import Bundle
from monitor.config.improving import Normal
from monitor.core.events import Event, ScoreRows, State
from monitor.core.types import FloatArray
from monitor.normal_sound import normal_sink
from monitor.normal_sound.normal_sink import NO_LIBRARY, QUEUE_SIZE, NormalSound, NormalSoundSink, mode_of
from monitor.normal_sound.pieces import pieces_of, read_piece
from monitor.normal_sound.quarantine import QUARANTINE, read_anomalies
from monitor.streaming.hops import FrameStream
from support.builders import RATE, frames_of, noise, small_bundle
from support.listening import wait_until
from support.logs import logged
from support.outputs import anomaly

BUNDLE = small_bundle()
HOP_S = BUNDLE.config.features.hop_s
CHUNK_S = 2.0
T = 1_795_000_000.0
SETTINGS: dict[str, Any] = {"every_s": 10, "wait_s": 0, "speech": "keep"}


class Ear:
    """A sink, and the sound that it hears: noise that does not repeat, except where a test gives other sound."""

    def __init__(self, folder: Path, *, bundle: Bundle = BUNDLE, shared: NormalSound | None = None,
                 **settings: Any) -> None:  # fmt: skip
        self.shared = shared or NormalSound(folder / "normal", Normal(**SETTINGS | settings))
        self.folder = folder / "normal" / "pump"
        self.bundle = bundle
        self.sink = NormalSoundSink(self.shared, "pump", bundle, wait=True, seed=1)
        self.heard: list[FloatArray] = []  # of the segment
        self._frames = FrameStream(bundle.config.features)
        self._first = self._framed = 0
        self.seconds = 0.0  # since the beginning, of all segments

    def hear(
        self, seconds: float, state: State = State.NORMAL, *, score: float = 1.0, share: float = 0.5,
        sound: Callable[[int], FloatArray] | None = None, every_s: float = CHUNK_S,
    ) -> None:  # fmt: skip
        """Passes sound, frames and scores on, as a stream does."""
        for _ in range(round(seconds / every_s)):
            count = round(every_s * RATE)
            samples = noise(count, seed=len(self.heard)) if sound is None else sound(count)
            self.heard.append(samples)
            self.sink.samples(samples)
            power = self._frames.push(samples)
            if len(power):
                self.sink.frames(self._first + self._framed, power)
                rows = np.full(len(power), score)
                self.sink.scores(
                    ScoreRows("pump", self._first + self._framed, HOP_S, rows.astype(np.float32), rows, 2.0, state,
                              np.full(len(power), share), T + self.seconds, "pump")
                )  # fmt: skip
                self._framed += len(power)
            self.seconds += every_s

    def interrupt(self) -> None:
        """The sound goes on after an interruption."""
        self._first, self._framed = self._first + self._framed + 1000, 0
        self._frames, self.heard = FrameStream(self.bundle.config.features), []
        self.sink.segment(self._first)

    def report(self, event: Event) -> None:
        self.sink.event(event)

    def pieces(self) -> list[Any]:
        """The pieces that are kept in the end."""
        self.sink.close()
        assert self.sink.error is None
        return pieces_of(self.folder)


def test_a_piece_is_exactly_what_was_heard_with_the_time_spectrum_and_share_of_the_limit(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    ear.hear(30, share=0.25)
    ear.hear(60, share=0.75, every_s=0.1)
    pieces = ear.pieces()
    assert len(pieces) >= 3
    sound = np.concatenate(ear.heard)
    for piece in pieces:
        # The wall time is that of a row of scores, whose frames lag behind the samples by half a transform.
        begins = round((piece.began - T) / HOP_S) * BUNDLE.config.features.hop_length
        found = as_int16(read_piece(piece))
        at = next(
            at for at in range(begins - RATE // 5, begins + RATE // 5)
            if np.array_equal(as_int16(sound[at : at + 50]), found[:50])
        )  # fmt: skip
        assert np.array_equal(as_int16(sound[at : at + len(found)]), found)
        assert at % BUNDLE.config.features.hop_length == 0
        power = frames_of(BUNDLE.config, sound[None, at : at + len(found)])[0]
        assert piece.spectrum_db is not None
        assert np.abs(piece.spectrum_db - 10 * np.log10(power.mean(axis=0))).max() < 0.2
        assert (piece.seconds, piece.sample_rate, piece.stream) == (10.0, RATE, "pump")
    assert pieces[-1].share == 0.75


@pytest.mark.parametrize("state", [state for state in State if state is not State.NORMAL], ids=lambda state: state.name)
def test_nothing_is_taken_while_the_state_is_not_normal(tmp_path: Path, state: State) -> None:
    ear = Ear(tmp_path)
    for _ in range(8):
        ear.hear(8)
        ear.hear(2, state)
    assert ear.pieces() == []


def test_a_score_above_the_limit_within_normal_states_is_enough_to_give_a_piece_up(tmp_path: Path) -> None:
    for score in (2.01, np.nan):
        ear = Ear(tmp_path / str(score))
        for _ in range(8):
            ear.hear(8)
            ear.hear(2, score=score)
        assert ear.pieces() == []


def test_a_piece_does_not_span_an_interruption_of_the_sound(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    for _ in range(8):
        ear.hear(10)
        ear.interrupt()
    assert ear.pieces() == []


@pytest.mark.parametrize("kind", ["gap", "lost", "no signal", "overloaded", "off", "new mode", "invalid samples"])
def test_a_piece_is_given_up_and_none_begins_while_an_event_lasts(tmp_path: Path, kind: str) -> None:
    ear = Ear(tmp_path)
    ear.report(Event(kind, 0.0, None, T, "pump", id="a"))
    ear.hear(100)
    assert ear.pieces() == []


def test_a_drift_and_a_self_test_say_nothing_about_the_sound(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    for kind in ("drift", "self-test"):
        ear.report(Event(kind, 0.0, None, T, "pump", id=kind))
    ear.hear(100)
    assert ear.pieces()


def test_an_anomaly_is_noted_with_its_end_and_the_pieces_before_it_are_held_back(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    ear.hear(300)
    begun = anomaly(290.0, None, wall_time=T + 290, stream="pump", id="x")
    ear.report(begun)
    ear.hear(60, State.ANOMALY)
    ear.report(anomaly(290.0, 340.0, wall_time=T + 290, stream="pump", id="x"))
    assert ear.pieces() == []
    assert pieces_of(ear.folder / QUARANTINE)
    [noted] = read_anomalies(ear.folder)
    assert (noted.onset, noted.ended, noted.sudden, noted.lasts) == (T + 290, T + 340, True, False)


def test_an_anomaly_that_is_cut_off_does_not_count_as_a_short_one(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    ear.report(anomaly(290.0, 300.0, wall_time=T + 290, cut_off=True))
    ear.report(anomaly(390.0, 400.0, wall_time=T + 390))
    assert ear.pieces() == []
    assert [one.sudden for one in read_anomalies(ear.folder)] == [False, True]


def test_however_many_anomalies_there_are_while_the_disk_fails_all_are_noted_before_anything_is_kept(
    tmp_path: Path,
) -> None:
    (tmp_path / "normal").touch()  # so that nothing can be written
    ear = Ear(tmp_path)
    wait_until(lambda: ear.sink.trouble, "nobody says that the folder cannot be written")
    for number in range(3 * QUEUE_SIZE):
        ear.report(anomaly(float(number), wall_time=T + number, stream="pump", id=str(number)))
    (tmp_path / "normal").unlink()
    ear.hear(100)
    assert ear.pieces() == []
    assert len(read_anomalies(ear.folder)) == 3 * QUEUE_SIZE


@pytest.mark.long
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_piece_in_which_people_speak_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    subprocess.run(["espeak-ng", "-w", path, "Please switch off this machine, it sounds strange."], check=True)
    samples, rate = soundfile.read(path, dtype="float32")
    spoken = soxr.resample(samples, rate, RATE)
    for speech, kept in (("drop", False), ("keep", True)):
        ear = Ear(tmp_path / speech, speech=speech)
        ear.hear(40, sound=lambda count: np.resize(spoken, count).astype(np.float32))
        assert bool(ear.pieces()) is kept
    quiet = Ear(tmp_path / "machine", speech="drop")
    quiet.hear(40)
    assert quiet.pieces()


def test_without_the_library_for_speech_one_sentence_says_so_and_anomalies_are_still_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normal_sink, "is_installed", lambda: False)
    with logged(normal_sink.__name__) as messages:
        ear = Ear(tmp_path, speech="drop")
        ear.hear(100)
        ear.report(anomaly(50.0, wall_time=T + 50))
        assert ear.pieces() == []
    assert messages == [NO_LIBRARY]
    assert len(read_anomalies(ear.folder)) == 1


def test_a_disk_without_room_is_one_sentence_and_listening_goes_on(tmp_path: Path) -> None:
    shared = NormalSound(tmp_path / "normal", Normal(**SETTINGS), min_free_gb=1e6)
    with logged(normal_sink.__name__) as messages:
        ear = Ear(tmp_path, shared=shared)
        ear.hear(200)
        wait_until(lambda: shared.trouble, "nobody says that the disk is full")
        assert ear.sink.trouble == shared.trouble
        shared.min_free_gb = 0.0
        ear.hear(200)
        assert ear.pieces()
    assert len(messages) == 2
    assert "less than 1e+06 GB of the disk would remain (clips.min_free_gb)" in messages[0]
    assert messages[1].endswith("normal sound is kept again.")
    assert ear.sink.trouble == ""


def test_a_folder_that_cannot_be_written_is_said_once_and_listening_goes_on(tmp_path: Path) -> None:
    (tmp_path / "normal").touch()
    with logged("monitor") as messages:
        ear = Ear(tmp_path)
        wait_until(lambda: ear.sink.trouble, "nobody says that the folder cannot be written")
        ear.hear(100)
        ear.sink.close()
    assert len([one for one in messages if "It is tried again until it succeeds" in one]) == 1
    assert "cannot be written: Not a directory" in ear.sink.trouble


def test_another_model_judges_from_now_on(tmp_path: Path) -> None:
    other = small_bundle(modes=3)
    ear = Ear(tmp_path)
    ear.hear(100)
    ear.sink.use_model(other)
    ear.hear(100)
    pieces = ear.pieces()
    assert pieces[0].mode is None
    assert pieces[-1].mode in (0, 1, 2)


def test_the_mode_is_the_nearest_one_of_the_model() -> None:
    bundle = small_bundle(modes=3)
    frames = frames_of(bundle.config, noise(2 * RATE)[None])[0]
    modes = [mode_of(bundle, (frames * gain).astype(np.float32)) for gain in np.geomspace(1e-6, 1e8, 60)]
    assert len(set(modes)) > 1
    assert mode_of(BUNDLE, frames) is None
