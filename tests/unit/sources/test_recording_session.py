"""A recording session yields pieces without gaps, and refuses sound that cannot be used for training."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.level import LevelMeter
from monitor.audio.writer import as_int16
from monitor.config.sources import Audio
from monitor.core.errors import DataError, MonitorError, SourceLost
from monitor.sources.recording_session import PIECE_S, capture_pieces, record_files
from support.builders import RATE, noise
from support.clock import Clock
from support.listening import HandFedSource

SIZE = round(PIECE_S * RATE)
Feed = Callable[[float], None]


def nothing(seconds: float, meter: LevelMeter) -> None:
    """A level display that shows nothing."""


class Microphone:
    """A microphone that delivers a sound while the session sleeps; after its end `afterwards` is called instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sound: np.ndarray, rate: int = RATE) -> None:
        self.source, self._sound, self._at = HandFedSource(rate=rate), sound, 0
        self.clock = Clock(monkeypatch, "monitor.sources.recording_session")
        self.clock.while_sleeping = self._hear
        self.afterwards: Feed = lambda _: None
        self.stopped = False
        monkeypatch.setattr(self.source, "stop", self._stop)
        monkeypatch.setattr("monitor.sources.recording_session.recorded_device", lambda *_, **__: None)
        monkeypatch.setattr("monitor.sources.recording_session.MicrophoneSource", lambda *_: self.source)

    def skip(self, seconds: float) -> None:
        """Leaves out some seconds of the sound."""
        self.clock.now += seconds
        self._at += round(seconds * self.source.sample_rate)

    def _hear(self, seconds: float) -> None:
        size = round(seconds * self.source.sample_rate)
        self.source.write(self._sound[self._at : self._at + size])
        self._at += size
        if self._at > len(self._sound):
            self.afterwards(seconds)

    def _stop(self) -> None:
        self.stopped = True


def pieces_of(microphone: Microphone, minutes: float) -> list[np.ndarray]:
    return list(capture_pieces(Audio(), RATE, "mix", minutes, nothing))


def test_pieces_are_consecutive_parts_of_the_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = noise(3 * SIZE + RATE)
    microphone = Microphone(monkeypatch, sound)
    pieces = pieces_of(microphone, 0.5)
    assert [len(piece) for piece in pieces] == [SIZE] * 3
    assert np.array_equal(np.concatenate(pieces), sound[: 3 * SIZE])
    assert microphone.stopped


@pytest.mark.parametrize(("minutes", "count"), [(0.01, 1), (0.25, 2), (0.3, 2)])
def test_there_are_as_many_pieces_as_make_the_minutes_and_one_at_least(
    monkeypatch: pytest.MonkeyPatch, minutes: float, count: int
) -> None:
    assert len(pieces_of(Microphone(monkeypatch, noise(4 * SIZE)), minutes)) == count


def test_a_microphone_of_another_rate_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    [piece] = pieces_of(Microphone(monkeypatch, noise(12 * 44_100), rate=44_100), 0.1)
    assert len(piece) == SIZE


def test_a_piece_with_a_gap_starts_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    sound = noise(4 * SIZE)
    microphone = Microphone(monkeypatch, sound)
    seen: list[float] = []

    def show(seconds: float, meter: LevelMeter) -> None:
        seen.append(seconds)
        if len(seen) == 750:  # in the second piece
            microphone.skip(2.0)

    with caplog.at_level(logging.WARNING):
        pieces = list(capture_pieces(Audio(), RATE, "mix", 0.33, show))
    assert "starts again" in caplog.text
    assert np.array_equal(pieces[0], sound[:SIZE])
    start = int(np.flatnonzero(sound == pieces[1][0])[0])
    assert start > 750 * 0.02 * RATE
    assert np.array_equal(pieces[1], sound[start : start + SIZE]), "without the gap in it"


def test_the_progress_and_the_level_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[float, float]] = []
    microphone = Microphone(monkeypatch, noise(2 * SIZE))
    for _ in capture_pieces(Audio(), RATE, "mix", 0.1, lambda s, meter: shown.append((s, meter.rms_dbfs))):
        assert shown
    seconds = [one for one, _ in shown]
    assert seconds == sorted(seconds)
    assert shown[0] == (0.0, -math.inf)
    assert shown[-1][1] == pytest.approx(-20, abs=1)
    assert microphone.stopped


@pytest.mark.parametrize("error", [None, MonitorError("it fell off.")])
def test_a_microphone_that_is_lost_ends_the_session_with_its_own_error(
    monkeypatch: pytest.MonkeyPatch, error: MonitorError | None
) -> None:
    microphone = Microphone(monkeypatch, noise(RATE))
    microphone.source.error = error
    microphone.afterwards = lambda _: microphone.source.end()
    with pytest.raises(MonitorError, match="it fell off" if error else "the sound has stopped") as caught:
        pieces_of(microphone, 0.5)
    assert error or isinstance(caught.value, SourceLost)
    assert microphone.stopped


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_recordings_are_whole_files_of_ten_seconds_with_16_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str
) -> None:
    sound = noise(2 * SIZE)
    Microphone(monkeypatch, sound)
    paths = list(record_files(Audio(), RATE, "mix", 0.33, tmp_path / "new", suffix, nothing))
    assert sorted((tmp_path / "new").iterdir()) == paths
    assert len(paths) == 2
    for path, part in zip(paths, np.split(sound, 2), strict=True):
        samples, rate = soundfile.read(path, dtype="int16")
        assert (rate, soundfile.info(path).subtype) == (RATE, "PCM_16")
        assert np.array_equal(samples, as_int16(part))


def test_silence_is_not_recorded_and_clipped_sound_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Microphone(monkeypatch, np.concatenate((np.sign(noise(SIZE)), np.zeros(2 * SIZE, np.float32))))
    files: list[Path] = []
    with pytest.raises(DataError, match="muted"):
        files.extend(record_files(Audio(), RATE, "mix", 0.5, tmp_path, "wav", nothing))
    assert list(tmp_path.iterdir()) == files
    assert len(files) == 1
    assert f"{files[0].name}: it is clipped" in caplog.text


def test_a_folder_that_cannot_be_written_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Microphone(monkeypatch, noise(2 * SIZE))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MonitorError, match=r"file/normal_.*cannot be written"):
        list(record_files(Audio(), RATE, "mix", 0.1, tmp_path / "file", "wav", nothing))


def test_recordings_of_the_same_second_in_one_folder_are_all_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of four microphones, or in the hour that clocks repeat in autumn: names have the time in UTC."""

    class Second(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Second:
            assert tz is datetime.UTC
            return cls(2026, 10, 25, 1, 30, 0, tzinfo=tz)

    monkeypatch.setattr("monitor.sources.recording_session.datetime.datetime", Second)
    sounds = [noise(SIZE + RATE, seed=seed) for seed in range(4)]
    names = []
    for sound in sounds:
        Microphone(monkeypatch, sound)
        names += list(record_files(Audio(), RATE, "mix", 0.1, tmp_path, "wav", nothing))
    assert len(set(names)) == 4
    assert names[0].name == "normal_20261025T013000Z_0000.wav"
    for name, sound in zip(names, sounds, strict=True):
        assert np.array_equal(soundfile.read(name, dtype="int16")[0], as_int16(sound[:SIZE]))
