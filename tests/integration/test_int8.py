"""A trained model in int8: how far its scores are from those in float32, and whole commands in int8."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from monitor.audio.reader import read_blocks
from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.cli.main import run as command
from monitor.config.loader import load_config
from monitor.core.errors import EXIT_OK, EXIT_USAGE
from monitor.model.network import Compute
from monitor.streaming.stream_batch import StreamBatch
from support.builders import CUTS, RATE, pieces
from support.recordings import QUICK, RememberedProgress
from train.calibration.observations import observe
from train.commands.train import train
from train.data.feature_cache import FeatureCache

HOP = 160
IN_INT8 = ("--set", "listening.precision=int8")
SOME = 2 * RATE  # samples of a recording that the tests of cutting take


@pytest.fixture(scope="module")
def sound(data: Path) -> np.ndarray:
    """The test recordings, normal ones first: (8, samples)."""
    files = [*sorted((data / "test_normal").iterdir()), *sorted((data / "test_anomaly").iterdir())]
    return np.stack([np.concatenate(list(read_blocks(file, RATE, "mix"))) for file in files])


def in_int8(bundle: Bundle, streams: int = 1) -> StreamBatch:
    return StreamBatch(bundle, streams, compute=Compute.on("cpu", "int8"))


@dataclass(frozen=True)
class Found:
    """The reconstruction errors and scores of streams (n, k)."""

    error: np.ndarray
    score: np.ndarray


def pushed(batch: StreamBatch, samples: np.ndarray) -> Found:
    """Pushes whole hops of all streams."""
    portions = batch.push(samples[:, : samples.shape[1] // HOP * HOP], range(len(samples))).portions()
    return Found(np.stack([one.error for one in portions]), np.stack([one.score for one in portions]))


def p99(found: np.ndarray, exact: np.ndarray) -> float:
    """The relative change that 99 % of the numbers do not exceed."""
    change = np.abs(found / exact - 1)
    return float(np.quantile(change[np.isfinite(change)], 0.99))


def test_in_int8_errors_are_within_1_and_scores_within_3_percent(bundle: Bundle, sound: np.ndarray) -> None:
    """At 99 % of the hops, with references and limits that were made in float32; states would be the same."""
    exact = pushed(StreamBatch(bundle, len(sound)), sound)
    found = pushed(in_int8(bundle, len(sound)), sound)
    assert p99(found.error, exact.error) < 0.01
    assert p99(found.score, exact.score) < 0.03
    limit = bundle.thresholds["score"].value
    heard = np.isfinite(exact.score)
    assert np.mean((found.score > limit)[heard] != (exact.score > limit)[heard]) < 0.01
    assert not np.array_equal(found.error, exact.error)


@settings(max_examples=5)
@given(cuts=CUTS)
def test_any_cutting_of_the_sound_gives_the_same_scores_in_int8(
    model: Path, sound: np.ndarray, cuts: Sequence[int]
) -> None:
    bundle, samples = load_bundle(model), sound[:1, :SOME]
    whole, batch = pushed(in_int8(bundle), samples), in_int8(bundle)
    parts = [pushed(batch, samples[:, piece.start * HOP : piece.stop * HOP]) for piece in pieces(SOME // HOP, cuts)]
    # The last digit of a frame may depend on the cutting. Where it decides how a number is rounded to 7 bits, the error
    # of a window changes by about 1e-4, its mean over a second by a hundredth of that.
    for name, tolerance in (("error", 2e-3), ("score", 1e-4)):
        found = np.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_allclose(found, getattr(whole, name), rtol=tolerance)


def test_in_int8_a_batch_gives_each_stream_what_it_gets_alone(bundle: Bundle, sound: np.ndarray) -> None:
    samples = sound[:, :SOME].copy()
    samples[3] *= 50  # a very loud one among them
    together = pushed(in_int8(bundle, len(samples)), samples)
    for number in (0, 3, 7):
        alone = pushed(in_int8(bundle), samples[number : number + 1])
        np.testing.assert_allclose(together.score[number], alone.score[0], rtol=1e-4)


def test_limits_can_be_made_in_int8_and_the_model_says_so(model: Path, data: Path, tmp_path: Path) -> None:
    """What is computed for it later is computed in int8, too; listening computes as it is asked to."""
    normal, out = str(data / "test_normal"), "int8.safetensors"
    assert command(["calibrate", str(model), normal, "--force", "--out", out, *IN_INT8]) == EXIT_OK
    before, after = load_bundle(model), load_bundle(Path(out))
    assert (before.precision, after.precision) == ("float32", "int8")
    assert after.model_id != before.model_id
    [file] = [file for file in (data / "train_normal").iterdir() if file.name == "normal_00.wav"]
    frames = [FeatureCache(after.config.features, tmp_path / "cache").frames(file)]
    single, whole = (observe(one, frames, "cpu", trained=False)[0].fine for one in (before, after))
    assert not np.array_equal(single, whole)
    assert np.array_equal(whole, observe(replace(before, precision="int8"), frames, "cpu", trained=False)[0].fine)

    base = ["replay", out, str(file), "--speed", "max", "--headless", "--scores"]
    assert command([*base, "single.csv"]) == command([*base, "int8.csv", *IN_INT8]) == EXIT_OK
    exact, found = (np.genfromtxt(f"{name}.csv", delimiter=",", names=True)["score"] for name in ("single", "int8"))
    assert 0 < p99(found, exact) < 0.03
    assert command(["calibrate", out, normal, "--force"]) == EXIT_OK
    assert load_bundle(Path(out)).precision == "int8"


@pytest.mark.long
def test_a_model_can_be_trained_for_int8(data: Path, tmp_path: Path) -> None:
    config = load_config(None, overrides=(*QUICK, "listening.precision=int8"))
    metrics = train(config, data, tmp_path / "run", RememberedProgress())
    assert load_bundle(tmp_path / "run" / "model.safetensors").precision == "int8"
    assert metrics["auc"] == 1.0


@pytest.mark.parametrize("arguments", [("replay",), ("train",)])
def test_without_onnxruntime_commands_in_int8_say_what_to_install_before_they_begin(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    recording = str(data / "test_normal" / "normal_00.wav")
    of = {"replay": ["replay", str(model), recording], "train": ["train", str(data), "--out", "run"]}
    assert command([*of[arguments[0]], *IN_INT8]) == EXIT_USAGE
    assert "pip install 'acoustic-monitor[int8]'" in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.parametrize("name", ["evaluate", "calibrate"])
def test_without_onnxruntime_a_model_with_limits_made_in_int8_can_still_be_used_as_the_message_says(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    save_bundle(replace(load_bundle(model), precision="int8"), Path("int8.safetensors"))
    further = [] if name == "evaluate" else ["--force", "--set", "alarm.lasting=false"]
    words = [name, "int8.safetensors", str(data / "test_normal"), *further]
    assert command(words) == EXIT_USAGE
    assert capsys.readouterr().err.endswith("or set listening.precision to float32.\n")
    assert command([*words, "--set", "listening.precision=float32"]) == EXIT_OK
