"""A bundle whose digest is right but whose content is not is refused with one sentence."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from monitor.bundle import self_test
from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.model.folded_inference import reconstruct
from support.builders import small_bundle, small_config
from support.bundle_files import TINY, refusal, rewritten, stored


@pytest.mark.parametrize("number", [1, 5, "3", 3.5, True, None])
def test_another_format_is_refused_with_both_numbers(saved: Path, folder: Path, number: object) -> None:
    message = refusal(rewritten(saved, folder / "schema", lambda metadata, _: metadata.update(schema=number)))
    assert f"format {number}" in message
    assert "formats 2 to 4" in message
    assert "train it again" in message


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(saved: Path, folder: Path) -> None:
    def shorten(_: dict, tensors: dict) -> None:
        tensors["mean"] = tensors["mean"][:-1].copy()

    for name, change in (
        ("deviation", lambda _, tensors: tensors.pop("deviation")),
        ("extra", lambda _, tensors: tensors.update(extra=np.zeros(1))),
        ("mean", shorten),
    ):
        assert name in refusal(rewritten(saved, folder / "shapes", change))


@pytest.mark.parametrize(
    "name",
    [
        "modes.centres", "modes.inverse_deviation", "modes.usual", "rhythm.steepness", "rhythm.surprise",
        "rhythm.log_distance",
        "reference.peaks.centre", "reference.spectrum.centre", "reference.residual.inverse_covariance",
    ],
)  # fmt: skip
def test_modes_peaks_and_rhythm_are_complete_and_fit_each_other_or_are_refused(
    saved: Path, folder: Path, name: str
) -> None:
    """A tensor that is missing, or has more rows than it should."""

    def repeat(_: dict, tensors: dict) -> None:
        tensors[name] = np.concatenate([np.atleast_1d(tensors[name])] * 2)

    for change in (lambda _, tensors: tensors.pop(name), repeat):
        assert "does not fit its settings" in refusal(rewritten(saved, folder / "machine", change))


@pytest.mark.parametrize(("group", "change"), [("score", {"kind": "mahalanobis"}), ("features", {"window_frames": 6})])
def test_peaks_without_levels_and_a_rhythm_in_too_short_windows_are_refused(
    tmp_path: Path, folder: Path, group: str, change: dict[str, object]
) -> None:
    """With them, listening would fail after its start."""
    machine = {"peaks": True} if group == "score" else {"rhythm": True}
    overrides = [f"{group}.{name}={value}" for name, value in change.items()]
    plain = save_bundle(small_bundle(small_config(*TINY[2:], *overrides)), tmp_path / "plain")
    load_bundle(tmp_path / "plain")
    save_bundle(small_bundle(small_config(*TINY[2:]), **machine), tmp_path / "machine")
    _, tensors = stored(tmp_path / "machine")
    taken = {name: values for name, values in tensors.items() if name.split(".")[0] == "rhythm" or ".peaks." in name}
    path = rewritten(tmp_path / "plain", folder / "impossible machine", lambda _, own: own.update(taken))
    assert plain.rhythm is None
    assert "does not fit its settings" in refusal(path)


def test_settings_that_do_not_fit_the_weights_are_refused(saved: Path, folder: Path) -> None:
    refusal(rewritten(saved, folder / "fit", lambda metadata, _: metadata["config"]["model"].update(bottleneck=4)))
    refusal(rewritten(saved, folder / "fit", lambda metadata, _: metadata["config"]["score"].update(kind="error")))


def test_settings_of_a_giant_model_are_refused_without_building_it(saved: Path, folder: Path) -> None:
    """The model would need 32 GB."""

    def grow(metadata: dict, _: dict) -> None:
        metadata["config"]["model"].update(hidden=[8192, 8192], bottleneck=8192)
        metadata["config"]["features"].update(n_mels=512, window_frames=512)

    refusal(rewritten(saved, folder / "giant", grow))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name",
    [
        "model.dense_dec3.weight", "deviation", "reference.residual.log_distance", "normal_scores", "chirp_error",
        "reference.peaks.centre", "modes.centres", "rhythm.steepness", "rhythm.surprise",
    ],
)  # fmt: skip
def test_numbers_that_are_not_finite_are_refused(saved: Path, folder: Path, name: str, value: float) -> None:
    def poison(_: dict, tensors: dict) -> None:
        poisoned = np.array(tensors[name])
        poisoned.reshape(-1)[0] = value
        tensors[name] = poisoned

    assert "finite" in refusal(rewritten(saved, folder / "finite", poison))


@pytest.mark.parametrize("group", ["train", "drift", "audio", "dashboard", "listening", "streams", "foreign"])
def test_a_bundle_cannot_bring_settings_that_are_not_its_own(saved: Path, folder: Path, group: str) -> None:
    """Such as a folder that training writes to."""

    def add(metadata: dict, _: dict) -> None:
        metadata["config"][group] = {"cache_dir": "/tmp/elsewhere", "enabled": True}

    assert f"a group '{group}', which no model has" in refusal(rewritten(saved, folder / "group", add))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_fft": 1 << 20}, "features.n_fft: it has to be less than or equal to 65536, not 1048576"),
        ({"n_mels": 10**6}, "features.n_mels"),
        ({"window_frames": 10**6}, "features.window_frames"),
        ({"n_fft": 65536, "hop_length": 1}, "hop_length 1 is too small"),
        ({"n_mels": 512, "window_frames": 512}, "hop_length"),
        ({"n_fft": 512}, "does not fit its settings"),
        ({"n_mels": "8"}, "features.n_mels: it has to be a valid integer, not '8'"),
        ({"n_mels": 8.0}, "features.n_mels"),
        ({"standardize": "yes"}, "features.standardize"),
        ({"channel": "0"}, "features.channel"),
        ({"loudness": 1}, "unknown setting features.loudness"),
    ],
)
def test_absurd_and_mistyped_features_are_refused_in_plain_words_before_anything_is_computed(
    saved: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], words: str
) -> None:
    def change(metadata: dict, _: dict) -> None:
        metadata["config"]["features"].update(settings)

    path = rewritten(saved, folder / "features", change)
    monkeypatch.setattr("monitor.bundle.bundle_io.chirp_error", None)
    message = refusal(path)
    assert words in message
    assert "validation error" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deviation", 0.0),
        ("usual_band_error", -1.0),
        ("model.bn1.running_var", -1.0),
        ("reference.residual.inverse_covariance", 0.0),
        ("reference.residual.log_distance", -1.0),
        ("reference.peaks.inverse_covariance", -1.0),
        ("reference.peaks.log_distance", 0.0),
        ("modes.inverse_deviation", 0.0),
        ("rhythm.steepness", -1.0),
        ("rhythm.log_distance", 0.0),
    ],
)
def test_numbers_that_give_no_score_are_refused(saved: Path, folder: Path, name: str, value: float) -> None:
    def change(_: dict, tensors: dict) -> None:
        tensors[name] = np.full_like(tensors[name], value)

    assert f"{name!r} contains impossible numbers" in refusal(rewritten(saved, folder / "impossible", change))


def test_numbers_that_overflow_are_refused_without_a_warning_of_a_library(saved: Path, folder: Path) -> None:
    def change(_: dict, tensors: dict) -> None:
        tensors["mean"] = np.full_like(tensors["mean"], 1e30)

    path = rewritten(saved, folder / "overflow", change)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "no scores" in refusal(path)


@pytest.mark.parametrize("key", ["schema", "thresholds", "normal_dbfs"])
def test_metadata_with_a_key_twice_are_refused(saved: Path, folder: Path, key: str) -> None:
    """Readers differ in which of the two counts."""
    metadata, tensors = stored(saved)
    text = json.dumps(metadata)
    twice = f"{text[:-1]}, {json.dumps(key)}: {json.dumps(metadata[key])}}}"
    (folder / "twice").write_bytes(save(tensors, {"monitor": twice}))
    assert "a key twice" in refusal(folder / "twice")


def test_metadata_with_wrong_structure_or_values_are_refused(saved: Path, folder: Path) -> None:
    for change in (
        lambda metadata, _: metadata.update(thresholds=[]),
        lambda metadata, _: metadata["thresholds"].update(score={"value": 1.0}),
        lambda metadata, _: metadata["thresholds"].pop("cusum"),
        lambda metadata, _: metadata["thresholds"]["cusum"].update(value=-1.0),
        lambda metadata, _: metadata["thresholds"]["score"].update(value=float("nan")),
        lambda metadata, _: metadata["thresholds"]["score"].update(loudness=1.0),
        lambda metadata, _: metadata.pop("normal_dbfs"),
        lambda metadata, _: metadata.update(normal_dbfs="loud"),
        lambda metadata, _: metadata.update(normal_dbfs="-60"),
        lambda metadata, _: metadata.update(normal_dbfs=True),
        lambda metadata, _: metadata.update(normal_dbfs=float("nan")),
        lambda metadata, _: metadata.update(normal_dbfs=10**400),
        lambda metadata, _: metadata.update(precision="int4"),
        lambda metadata, _: metadata.update(more=1),
        lambda metadata, _: metadata["thresholds"].update(more=metadata["thresholds"]["score"]),
        lambda metadata, _: metadata["thresholds"]["score"].update(value="1"),
        lambda metadata, _: metadata["thresholds"]["score"].update(value=True),
        lambda metadata, _: metadata["thresholds"]["score"].update(recordings=1.5),
        lambda metadata, _: metadata["thresholds"]["score"].update(note="two\nlines"),
        lambda metadata, _: metadata["provenance"].update(calibrations=5),
        lambda metadata, _: metadata["provenance"].update(date=2024),
        lambda metadata, _: metadata["provenance"].update(train={"epochs": "many"}),
        lambda metadata, _: metadata["provenance"].update(noise=float("nan")),
        lambda _, tensors: tensors.pop("normal_scores"),
        lambda _, tensors: tensors.update(normal_scores=np.zeros((2, 2))),
        lambda metadata, _: metadata.pop("provenance"),
        lambda metadata, _: metadata.update(provenance=["me"]),
        lambda metadata, _: metadata.pop("config"),
        lambda metadata, _: metadata["config"].update(features={"n_mels": 8, "loudness": 11}),
        lambda metadata, _: metadata["config"].update(train={"epochs": 7}),
    ):
        refusal(rewritten(saved, folder / "metadata", change))


def test_control_characters_in_a_tensors_name_do_not_reach_the_terminal(saved: Path, folder: Path) -> None:
    name = "!\n\x1b[2Jmodel"
    path = rewritten(saved, folder / "name", lambda _, tensors: tensors.update({name: np.zeros(1)}))
    assert "\x1b" not in refusal(path)


def test_a_library_that_computes_different_spectra_is_detected(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.features.mel.hann_window", lambda size: np.hamming(size + 1)[:-1].astype(np.float32))
    assert "test sound" in refusal(saved)


def reconstructions_times(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the network compute other reconstructions from now on."""
    monkeypatch.setattr(self_test, "reconstruct", lambda *given: np.float32(factor) * reconstruct(*given))


def test_a_library_that_computes_different_reconstructions_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = small_bundle(small_config(*TINY))
    # Reconstructions as large as the input, as after training.
    weights = bundle.weights | {"dense_dec3.weight": 20 * bundle.weights["dense_dec3.weight"]}
    bundle = dataclasses.replace(bundle, deviation=bundle.deviation + 40, weights=weights)
    save_bundle(bundle, tmp_path / "model")
    reconstructions_times(1.05, monkeypatch)
    assert "test sound" in refusal(tmp_path / "model")


def test_differences_of_rounding_are_tolerated(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reconstructions_times(1.0001, monkeypatch)
    load_bundle(saved)
