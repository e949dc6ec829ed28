"""What is heard can be recorded: every sample, exactly; nothing is overwritten; a slow disk delays no score."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.core import background_worker
from monitor.core.errors import ConfigError, MonitorError
from monitor.outputs import recording_writer as module
from monitor.outputs.recording_writer import RecordingWriter
from support.builders import RATE, noise, pieces
from support.listening import wait_until

ALL_16_BIT = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_all_that_is_pushed_is_in_the_file_when_it_is_closed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    sound = ALL_16_BIT.astype(np.float32) / 32768
    recording = RecordingWriter(path, RATE)
    for part in pieces(len(sound), (160, 1, 4000)):
        recording.samples(sound[part])
    recording.close()
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, ALL_16_BIT)
    assert (recording.error, recording.dropped) == (None, 0)
    assert recording.summary() == f"{path}: 4.1 s recorded."


def test_a_name_that_is_no_sound_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("a.mp3", "a", "a.wav.txt"):
        with pytest.raises(ConfigError, match=r"\.wav or \.flac"):
            RecordingWriter(tmp_path / name, RATE)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "full.wav").symlink_to("/dev/full")
    for path in (tmp_path / "file" / "a.wav", tmp_path / "full.wav"):
        with pytest.raises(MonitorError) as caught:
            RecordingWriter(path, RATE)
        assert str(caught.value).startswith(f"{path}: cannot be written: ")
        assert str(caught.value).count(str(path.name)) == 1


def test_a_disk_that_is_too_slow_holds_nobody_up_and_what_is_missing_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_SIZE", 4)
    recording = RecordingWriter(tmp_path / "a.wav", RATE)
    stalled, goes_on = threading.Event(), threading.Event()
    write = recording._file.write

    def stall(samples: np.ndarray) -> None:
        stalled.set()
        goes_on.wait()
        write(samples)

    monkeypatch.setattr(recording._file, "write", stall)
    recording.samples(noise(RATE))
    stalled.wait()
    for _ in range(10):
        recording.samples(noise(RATE))
    assert recording.dropped == 6 * RATE
    goes_on.set()
    recording.close()
    assert "5.0 s recorded." in recording.summary()
    assert "6.0 s missing" in recording.summary()
    assert soundfile.info(tmp_path / "a.wav").frames == 5 * RATE


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Makes files unwritable beyond a second of sound, as on a disk without room, and writable again."""
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.01)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda full: resource.setrlimit(resource.RLIMIT_FSIZE, (44 + 2 * RATE, before[1]) if full else before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_after_a_full_disk_the_recording_goes_on_in_another_file_with_all_that_the_queue_held(
    tmp_path: Path, full_disk: Callable[[bool], None]
) -> None:
    recording = RecordingWriter(tmp_path / "a.wav", RATE)
    sound = noise(6 * RATE)
    recording.samples(sound[:RATE])
    wait_until(lambda: "1.0 s recorded" in recording.summary(), "the first second")
    full_disk(True)
    recording.samples(sound[RATE : 3 * RATE])
    recording.samples(sound[3 * RATE : 5 * RATE])
    wait_until(lambda: recording.trouble, "trouble")
    assert "cannot be written" in recording.trouble
    full_disk(False)
    recording.samples(sound[5 * RATE :])
    recording.close()
    assert recording.summary() == f"{tmp_path / 'a.wav'}, {tmp_path / 'a-2.wav'}: 6.0 s recorded."
    before, after = (soundfile.read(path)[0] for path in recording.paths)
    np.testing.assert_allclose(np.concatenate([before[:RATE], after]), sound, atol=1 / 32768)
    assert sorted(tmp_path.iterdir()) == sorted(recording.paths), "no empty files of the attempts between"


def test_a_disk_that_stays_full_is_an_error_that_says_how_much_is_missing(
    tmp_path: Path, full_disk: Callable[[bool], None]
) -> None:
    recording = RecordingWriter(tmp_path / "a.wav", RATE)
    recording.samples(noise(RATE))
    wait_until(lambda: "1.0 s recorded" in recording.summary(), "the first second")
    full_disk(True)
    recording.samples(noise(3 * RATE))
    recording.close()
    full_disk(False)
    assert recording.summary().startswith(f"{tmp_path / 'a.wav'}: 1.0 s recorded. ")
    assert "(3.0 s missing)" in str(recording.error)


def test_a_recording_goes_on_in_another_file_where_a_wav_cannot_be_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2 * RATE)
    recording = RecordingWriter(tmp_path / "a.wav", RATE)
    for _ in range(3):
        recording.samples(noise(RATE // 2))
    recording.close()
    assert [soundfile.info(path).frames for path in recording.paths] == [RATE, RATE // 2]
    assert recording.error is None


def test_a_recording_that_is_there_is_kept(tmp_path: Path) -> None:
    for _ in range(2):
        recording = RecordingWriter(tmp_path / "a.flac", RATE)
        recording.samples(noise(RATE))
        recording.close()
    assert recording.paths == [tmp_path / "a-2.flac"]
    assert [soundfile.info(tmp_path / name).frames for name in ("a.flac", "a-2.flac")] == [RATE, RATE]
