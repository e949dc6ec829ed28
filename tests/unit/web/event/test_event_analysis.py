"""What is shown of a clip is what the model computes, at the right time and frequency."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.writer import as_int16, from_int16
from monitor.core.errors import DataError
from monitor.core.events import Band
from monitor.core.types import FloatArray
from monitor.normal_sound.piece_writing import file_name, write_piece
from monitor.normal_sound.pieces import Piece, power_in_db
from monitor.normal_sound.quarantine import QUARANTINE
from monitor.outputs.rescoring import contributions_of, rescore
from monitor.web.event.event_analysis import Span, analyse, curve, mel_frames, place, ticks
from monitor.web.event.spectrogram_image import difference, heat
from support.builders import RATE, small_bundle
from support.stored import NOW, stored_event

BUNDLE = small_bundle()
FEATURES = BUNDLE.config.features
EVENT = stored_event(
    onset=NOW, reported=NOW + 0.5, ended=NOW + 2.0, clip_start=NOW - 1.0, threshold=2.0,
    bands=(Band(3000.0, 4000.0, 0.8, "new"),),
)  # fmt: skip


def noise(seconds: float = 4.0, seed: int = 0, hz: float = 0.0) -> FloatArray:
    """Noise, if asked for with a tone, as it is in a file of 16 bits."""
    samples = 0.02 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    samples += 0.05 * np.sin(2 * np.pi * hz * np.arange(len(samples)) / RATE)
    return from_int16(as_int16(samples.astype(np.float32)))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "clip.flac", as_int16(noise()), RATE, subtype="PCM_16")
    return tmp_path / "clip.flac"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_the_pictures_are_the_sound_and_what_the_model_makes_of_it(clip: Path, out: Path, tmp_path: Path) -> None:
    facts = analyse(EVENT, clip, BUNDLE, FEATURES, tmp_path / "normal", out)
    expected = rescore(BUNDLE, mel_frames(noise(), FEATURES))
    low, high = facts["range"]
    assert [low, high] == pytest.approx(np.percentile(expected.recorded, (1, 99.5)))
    assert (out / "recorded.png").read_bytes() == heat(expected.recorded, low, high)
    assert (out / "reconstructed.png").read_bytes() == heat(expected.reconstructed, low, high)
    residual = expected.recorded - expected.reconstructed
    assert (out / "difference.png").read_bytes() == difference(residual, facts["scale"])


def test_the_curve_is_the_score_as_a_share_of_the_limit_that_was_in_force(
    clip: Path, out: Path, tmp_path: Path
) -> None:
    facts = analyse(EVENT, clip, BUNDLE, FEATURES, tmp_path / "normal", out)
    expected = rescore(BUNDLE, mel_frames(noise(), FEATURES)).score / 2.0
    shown = np.array([math.nan if one is None else one for one in facts["score"]])
    np.testing.assert_allclose(shown, expected, rtol=1e-5)
    assert (facts["began"], facts["reported"], facts["ended"]) == (1.0, 1.5, 3.0)


def test_bars_are_shares_of_the_score_in_the_anomaly(clip: Path, out: Path, tmp_path: Path) -> None:
    shares = np.array(analyse(EVENT, clip, BUNDLE, FEATURES, tmp_path / "normal", out)["contributions"])
    assert shares.shape == (FEATURES.n_mels,)
    assert np.abs(shares).sum() == pytest.approx(1.0, abs=0.01)
    rescored = rescore(BUNDLE, mel_frames(noise(), FEATURES))
    inside = slice(round(1.0 / FEATURES.hop_s), round(3.0 / FEATURES.hop_s))
    high = rescored.score[inside] >= np.median(rescored.score[inside])
    expected = contributions_of(BUNDLE, rescored.means[inside][high].mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(shares, expected / np.abs(expected).sum(), atol=1e-4)


def test_the_nearest_normal_sound_is_beside_the_event(clip: Path, out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "normal"
    folder.mkdir()
    for number, hz in enumerate((500.0, 0.0, 2000.0)):
        samples = noise(1.0, seed=number + 1, hz=hz) if hz else noise(1.0, seed=number + 1)
        spectrum = power_in_db(mel_frames(samples, FEATURES), FEATURES.floor)
        piece = Piece(folder / file_name(NOW + number), NOW + number, 1.0, RATE, spectrum_db=spectrum, stream="pump")
        write_piece(piece, as_int16(samples))
    facts = analyse(EVENT, clip, BUNDLE, FEATURES, folder, out)
    assert facts["normal"]["began"] == pytest.approx(NOW + 1)  # noise without a tone, as the event
    assert facts["normal"]["held"] is False
    for name in ("event-all", "normal-all", "event-bands", "normal-bands"):
        assert soundfile.info(out / f"{name}.flac").frames == 4 * RATE
    played, _ = soundfile.read(out / "normal-all.flac", dtype="float32")
    gain = 10 ** (facts["gains"]["all"] / 20)
    np.testing.assert_allclose(played[: RATE // 2], gain * noise(1.0, seed=2)[: RATE // 2], atol=2e-4)


def test_when_all_normal_sound_is_held_back_it_is_still_there_to_compare_with(
    clip: Path, out: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "normal" / QUARANTINE
    folder.mkdir(parents=True)
    spectrum = power_in_db(mel_frames(noise(1.0), FEATURES), FEATURES.floor)
    piece = Piece(folder / file_name(NOW), NOW, 1.0, RATE, spectrum_db=spectrum, stream="pump")
    write_piece(piece, as_int16(noise(1.0)))
    facts = analyse(EVENT, clip, BUNDLE, FEATURES, tmp_path / "normal", out)
    assert facts["normal"]["held"] is True
    assert (out / "normal-all.flac").is_file()


def test_without_a_model_there_are_the_spectrogram_and_the_sound(clip: Path, out: Path, tmp_path: Path) -> None:
    facts = analyse(EVENT, clip, None, FEATURES, tmp_path / "normal", out)
    assert facts["pictures"] == ["recorded"]
    assert {path.name for path in out.iterdir()} == {"recorded.png", "event-all.flac", "event-bands.flac"}
    assert "score" not in facts


def test_a_clip_shorter_than_a_window_has_no_reconstruction(out: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.flac", as_int16(noise(0.05)), RATE, subtype="PCM_16")
    assert analyse(EVENT, tmp_path / "short.flac", BUNDLE, FEATURES, tmp_path, out)["pictures"] == ["recorded"]


@pytest.mark.parametrize("content", [b"", b"no sound"])
def test_a_damaged_clip_is_said_in_a_sentence(content: bytes, out: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.flac").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.flac"):
        analyse(EVENT, tmp_path / "bad.flac", BUNDLE, FEATURES, tmp_path, out)


def test_an_anomaly_that_lasts_longer_than_its_clip_reaches_to_the_clips_end() -> None:
    assert Span.of(EVENT, 2.5) == Span(1.0, 1.5, 2.5)
    assert Span.of(dataclasses.replace(EVENT, ended=None), 60.0).ended == 60.0
    assert Span.of(dataclasses.replace(EVENT, clip_start=NOW + 10), 60.0).began == 0.0


def test_frequencies_stand_at_their_height() -> None:
    heights = dict(ticks(FEATURES))
    assert heights["1k"] < heights["2k"] < heights["4k"]
    low, high = place(Band(1000.0, 2000.0, 1.0, "new"), FEATURES)
    assert (low, high) == (heights["1k"], heights["2k"])


def test_a_long_curve_keeps_its_peaks_and_its_gaps() -> None:
    values = np.full(5000, 0.5)
    values[:100], values[3333] = np.nan, 7.0
    shown = curve(values, 50)
    assert len(shown) == 50
    assert shown[0] is None
    assert max(one for one in shown if one is not None) == 7.0
