"""The same promises on real machines, where recordings of some lie beside the project (or in $MONITOR_RECORDINGS)."""

from __future__ import annotations

import os
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from monitor.bundle.bundle import Bundle
from monitor.config.loader import load_config
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, small_bundle
from support.listening import replay_plan, run_to_end
from support.recordings import RememberedProgress
from train.commands.evaluate import evaluate
from train.data.discovery import find_recordings
from train.data.feature_cache import FeatureCache

FOLDER = Path(os.environ.get("MONITOR_RECORDINGS", Path(__file__).parents[3] / "shared" / "data"))
WAVS = sorted(FOLDER.glob("*/test_*/*.wav"))[::12]
CARS = sorted((FOLDER / "toycar_mel").glob("id_*"))
PIECE = 25 * 160  # samples


@pytest.mark.skipif(not WAVS, reason="no real recordings here")
@pytest.mark.parametrize("path", WAVS, ids=lambda path: path.stem)
def test_the_mel_frames_of_real_recordings_are_librosas(path: Path) -> None:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    assert rate == RATE
    stream = StreamBatch(small_bundle())
    whole = len(mono) // 160 * 160
    pieces = [mono[start : min(start + PIECE, whole)] for start in range(0, whole, PIECE)]
    portions = [stream.push(piece[None], (0,)).portions()[0] for piece in pieces] + [stream.flush(0, mono[whole:])]
    frames = np.concatenate([portion.frames for portion in portions])
    theirs = librosa.feature.melspectrogram(y=mono, sr=RATE, n_fft=512, hop_length=160, n_mels=64, fmax=7000).T
    assert frames.shape == theirs.shape
    assert np.abs(frames - theirs).max() <= 1e-5 * theirs.max()


@pytest.mark.skipif(not WAVS, reason="no real recordings here")
def test_real_recordings_replay_to_the_scores_of_the_offline_evaluation(bundle: Bundle) -> None:
    folder = WAVS[0].parents[1]
    found = find_recordings(folder)
    files = [*found.test_normal[:2], *found.test_anomaly[:2]]
    metrics = evaluate(bundle, bundle.config, folder, RememberedProgress())
    offline = {file["path"]: file["score"] for file in metrics["files"]}
    plan, _ = replay_plan(bundle, files)
    [stream] = run_to_end(plan).streams
    for file, result in zip(files, stream.results, strict=True):
        assert result.score == pytest.approx(offline[found.name(file)], rel=1e-3)


@pytest.mark.skipif(not CARS, reason="no real recordings here")
@pytest.mark.parametrize("car", CARS, ids=lambda path: path.name)
def test_mel_arrays_of_real_cars_are_read_as_they_are(car: Path, tmp_path: Path) -> None:
    features = load_config(overrides=("features.n_fft=1024", "features.hop_length=512")).features
    found = find_recordings(car)
    assert (len(found.train_normal), len(found.test_normal)) == (200, 150)
    frames = FeatureCache(features, tmp_path).frames(found.test_anomaly[0])
    assert (frames.power == np.load(found.test_anomaly[0])).all()
