"""A bundle loads exactly as it was saved, or is refused with one sentence. Loading it never executes code."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from monitor.bundle import bundle_io, schema, self_test
from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle, save_bundle, with_model_id
from monitor.bundle.schema import STORED_GROUPS
from monitor.config.schema import Config
from monitor.core.errors import EXIT_BUNDLE, BundleError, MonitorError
from monitor.model.folded_inference import reconstruct
from monitor.scoring.rhythm import POINTS
from monitor.scoring.row_layout import RowLayout
from monitor.streaming.portion import Portion
from monitor.streaming.stream_batch import StreamBatch
from support.builders import noise, small_bundle, small_config
from support.special_files import special_file_of

TINY = ("features.n_mels=8", "features.n_fft=256", "model.hidden=[6,5]", "model.bottleneck=3")
TOYADMOS = ("score.kind=error", "features.scale=power", "features.standardize=false", "score.window_s=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def saved(folder: Path) -> Path:
    """The file of a small bundle of a machine with modes, peaks and a rhythm."""
    bundle = small_bundle(small_config(*TINY), modes=2, rhythm=True, peaks=True)
    save_bundle(bundle, folder / "saved.safetensors")
    return folder / "saved.safetensors"


def refusal(path: Path) -> str:
    """The error message with which a file is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    message = str(caught.value)
    assert caught.value.exit_code == EXIT_BUNDLE == 4
    assert "\n" not in message
    assert path.name in message
    return message


def contents(bundle: Bundle) -> dict[str, object]:
    """The whole content of a bundle in comparable form: arrays as bytes with their types and shapes."""
    arrays = dict(bundle.weights)
    arrays |= {name: getattr(bundle, name) for name in ("mean", "deviation", "usual_band_error", "normal_scores")}
    for part, reference in bundle.references.items():
        arrays |= {f"{part} {field.name}": getattr(reference, field.name) for field in dataclasses.fields(reference)}
    for name, one in (("modes", bundle.modes), ("rhythm", bundle.rhythm)):
        if one is not None:
            values = {field.name: np.asarray(getattr(one, field.name)) for field in dataclasses.fields(one)}
            arrays |= {f"{name} {field}": array for field, array in values.items()}
    content: dict[str, object] = {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in arrays.items()}
    content |= {group: getattr(bundle.config, group) for group in STORED_GROUPS}
    return content | {name: getattr(bundle, name) for name in ("thresholds", "provenance", "normal_dbfs", "model_id")}


def stored(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The metadata and the tensors in a bundle's file."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["monitor"]), load_file(path)


def rewritten(path: Path, target: Path, change: Callable[[dict, dict], None]) -> Path:
    """Writes a changed copy of a bundle with a correct digest, as an attacker would."""
    metadata, tensors = stored(path)
    change(metadata, tensors)
    metadata.pop("digest", None)
    metadata["digest"] = schema.digest(metadata, tensors)
    target.write_bytes(save(tensors, {"monitor": json.dumps(metadata)}))
    return target


# Saving and loading


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        TINY,
        TOYADMOS,
        ("score.kind=mahalanobis", "score.shrinkage=ledoit-wolf", "features.fmax=7000"),
        ("score.kind=spectrum", "features.remove_level=true", "alarm.lasting=false"),
    ],
)
@pytest.mark.parametrize(
    "machine", [{}, {"modes": 2}, {"rhythm": True}, {"peaks": True}, {"modes": 3, "rhythm": True, "peaks": True}]
)
def test_a_loaded_bundle_gives_identical_scores(
    tmp_path: Path, overrides: tuple[str, ...], machine: dict[str, Any]
) -> None:
    if machine.get("peaks") and not RowLayout.of(small_config(*overrides)).has_levels:
        pytest.skip("the network alone has no peaks")
    bundle = small_bundle(small_config(*overrides), **machine)
    path = tmp_path / "new folder" / "model.safetensors"
    returned = save_bundle(bundle, path)
    loaded = load_bundle(path)
    assert contents(loaded) == contents(returned) == contents(bundle)
    samples = noise(16_000)[None]
    [found], [expected] = (StreamBatch(one).push(samples, [0]).portions() for one in (loaded, bundle))
    for name in Portion._fields:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert np.array_equal(ours, theirs, equal_nan=True)
        assert len(ours) > 50


def test_settings_of_training_and_of_the_dashboard_are_not_stored(tmp_path: Path) -> None:
    config = small_config(*TINY, "train.epochs=99", "dashboard.fps=2", "alarm.release_s=7")
    save_bundle(small_bundle(config), tmp_path / "m")
    loaded = load_bundle(tmp_path / "m").config
    assert loaded.alarm.release_s == 7
    assert (loaded.train, loaded.dashboard) == (Config().train, Config().dashboard)


def test_saving_twice_gives_the_same_file(saved: Path, tmp_path: Path) -> None:
    save_bundle(load_bundle(saved), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_a_bundle_is_a_plain_safetensors_file_with_json_metadata(saved: Path) -> None:
    metadata, tensors = stored(saved)
    assert set(metadata) == {
        "schema",
        "config",
        "thresholds",
        "normal_dbfs",
        "level_has_offset",
        "provenance",
        "digest",
    }
    assert metadata["schema"] == 4
    assert set(metadata["thresholds"]) == {"score", "error", "recording", "cusum"}
    assert metadata["thresholds"]["score"]["upper"] == 2150.0
    assert metadata["config"]["features"]["n_mels"] == 8
    assert tensors["model.dense_enc1.weight"].shape == (6, 160)
    for part, modes, size in (("residual", (2,), 8), ("spectrum", (2,), 32), ("peaks", (), 8)):
        assert tensors[f"reference.{part}.centre"].shape == (*modes, size)
        assert tensors[f"reference.{part}.inverse_covariance"].shape == (*modes, size, size)
        assert tensors[f"reference.{part}.inverse_covariance"].dtype == np.float64
        assert tensors[f"reference.{part}.log_distance"].shape == (2, 2)
    for name, shape in (("modes.centres", (2, 8)), ("modes.inverse_deviation", (8,)), ("rhythm.surprise", (POINTS,))):
        assert tensors[name].shape == shape


def test_a_bundle_knows_in_which_precision_its_limits_were_made(tmp_path: Path) -> None:
    """Those made in float32 do not say so: versions of the program that know nothing else can read them."""
    single = small_bundle(small_config(*TINY))
    for precision in ("int8", "bfloat16"):
        made = save_bundle(dataclasses.replace(single, precision=precision), tmp_path / "m")
        assert stored(tmp_path / "m")[0]["precision"] == precision
        assert load_bundle(tmp_path / "m").precision == precision
        assert made.model_id != single.model_id
    save_bundle(single, tmp_path / "m")
    assert "precision" not in stored(tmp_path / "m")[0]
    assert load_bundle(tmp_path / "m").precision == "float32"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("fused", ["residual", "spectrum"]), ("mahalanobis", ["residual"]), ("spectrum", ["spectrum"]), ("error", [])],
)
def test_a_bundle_has_the_reference_distributions_of_the_parts_of_its_score_and_no_others(
    tmp_path: Path, kind: str, parts: list[str]
) -> None:
    save_bundle(small_bundle(small_config(*TINY, f"score.kind={kind}")), tmp_path / "m")
    assert list(load_bundle(tmp_path / "m").references) == parts
    names = {name.split(".")[1] for name in stored(tmp_path / "m")[1] if name.startswith("reference.")}
    assert sorted(names) == parts


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_a_bundle_can_have_any_number_of_normal_scores(tmp_path: Path, count: int) -> None:
    bundle = dataclasses.replace(small_bundle(small_config(*TINY)), normal_scores=np.linspace(0, 9, count))
    save_bundle(bundle, tmp_path / "m")
    assert np.array_equal(load_bundle(tmp_path / "m").normal_scores, bundle.normal_scores)


def test_the_model_id_changes_with_every_number_of_the_model_and_is_reproducible() -> None:
    """Events have the model_id, so that their model can be identified."""
    bundle = small_bundle(small_config(*TINY), modes=2, rhythm=True, peaks=True)

    def changed(values: np.ndarray, at: int, by: float) -> np.ndarray:
        values = values.copy()
        values.flat[at] += by
        return values

    others = []
    for name, threshold in bundle.thresholds.items():
        raised = threshold.model_copy(update={"value": threshold.value * (1 + 1e-12)})
        others.append(dataclasses.replace(bundle, thresholds=bundle.thresholds | {name: raised}))
    for name in ("mean", "deviation", "usual_band_error", "normal_scores"):
        others.append(dataclasses.replace(bundle, **{name: changed(getattr(bundle, name), 3, 1e-3)}))
    for part, reference in bundle.references.items():
        for name in ("centre", "inverse_covariance", "log_distance"):
            other = dataclasses.replace(reference, **{name: changed(getattr(reference, name), -1, 1e-12)})
            others.append(dataclasses.replace(bundle, references=bundle.references | {part: other}))
    assert bundle.modes is not None
    assert bundle.rhythm is not None
    for part, one, names in (
        ("modes", bundle.modes, ("centres", "inverse_deviation", "usual")),
        ("rhythm", bundle.rhythm, ("steepness", "surprise", "log_distance")),
    ):
        for name in names:
            other = dataclasses.replace(one, **{name: changed(np.asarray(getattr(one, name)), -1, 1e-6)})
            others.append(dataclasses.replace(bundle, **{part: other}))
    for name, values in bundle.weights.items():
        by = 1 if name.endswith("num_batches_tracked") else 1e-6
        others.append(dataclasses.replace(bundle, weights=bundle.weights | {name: changed(values, 0, by)}))
    others.append(dataclasses.replace(bundle, normal_dbfs=-61.0))
    others.append(dataclasses.replace(bundle, provenance={"seed": 1}))
    ids = [bundle.model_id, *(with_model_id(other).model_id for other in others)]
    assert len(set(ids)) == len(ids) == 1 + 4 + 4 + 9 + 6 + len(bundle.weights) + 2
    again = small_bundle(small_config(*TINY), modes=2, rhythm=True, peaks=True)
    assert with_model_id(bundle).model_id == again.model_id == ids[0]
    assert re.fullmatch("[0-9a-f]{12}", ids[0])


# Damaged files


@pytest.mark.parametrize("share", [0, 1, 7, 8, 9, 200, 0.1, 0.3, 0.5, 0.9, -1])
def test_a_truncated_bundle_is_refused(saved: Path, folder: Path, share: float) -> None:
    raw = saved.read_bytes()
    length = int(share * len(raw)) if 0 < share < 1 else int(share) % len(raw)
    path = folder / f"truncated{share}.safetensors"
    path.write_bytes(raw[:length])
    refusal(path)


def test_a_bundle_with_an_appended_byte_is_refused(saved: Path, folder: Path) -> None:
    (folder / "longer").write_bytes(saved.read_bytes() + b"\0")
    refusal(folder / "longer")


@settings(max_examples=200)
@given(region=st.sampled_from(["header", "tensors", "types"]), share=st.floats(0, 1 - 1e-9), flip=st.integers(1, 255))
@example(region="header", share=0.0, flip=1)
@example(region="tensors", share=1 - 1e-9, flip=128)
@example(region="types", share=0.0, flip=ord("F") ^ ord("I"))
def test_a_bundle_with_any_byte_flipped_is_refused(saved: Path, region: str, share: float, flip: int) -> None:
    """The types in the header are tested more often. A file whose content is still exactly the same (a space at the end
    of the header that became a tab) may also load."""
    raw = bytearray(saved.read_bytes())
    end = 8 + int.from_bytes(raw[:8], "little")
    where = {
        "header": range(end),
        "tensors": range(end, len(raw)),
        "types": [match.end() for match in re.finditer(rb'"dtype":"', raw)],
    }[region]
    position = where[int(share * len(where))]
    raw[position] ^= flip
    path = saved.with_name("flipped.safetensors")
    path.write_bytes(raw)
    try:
        loaded = load_bundle(path)
    except BundleError:
        refusal(path)
    else:
        assert raw[position : position + 1] in (b"\t", b"\r", b"\n", b"E"), "white space, or E for e in a number"
        assert contents(loaded) == contents(load_bundle(saved))


def test_a_change_of_any_tensor_is_refused(saved: Path, folder: Path) -> None:
    """The first and the last byte of each, so that no tensor is left out of the verification."""
    raw = saved.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, stop = entry["data_offsets"]
        for position in (end + first, end + stop - 1):
            altered = bytearray(raw)
            altered[position] ^= 1
            (folder / "altered").write_bytes(altered)
            assert "altered" in refusal(folder / "altered"), name


@pytest.mark.parametrize(
    "name",
    [
        "reference.residual.centre",
        "reference.spectrum.inverse_covariance",
        "normal_scores",
        "usual_band_error",
        "model.bn1.bias",
    ],
)
def test_a_tensor_of_another_type_is_refused(saved: Path, folder: Path, name: str) -> None:
    """One changed byte in the header turns floats into integers of the same size."""
    raw = saved.read_bytes()
    entry = raw.index(f'"{name}":{{"dtype":"F'.encode()) + len(f'"{name}":{{"dtype":"')
    altered = bytearray(raw)
    altered[entry] = ord("I")
    (folder / "type").write_bytes(altered)
    refusal(folder / "type")


# Other files


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(folder: Path, tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.safetensors")
    assert "folder" in refusal(folder)
    (tmp_path / "empty.safetensors").touch()
    refusal(tmp_path / "empty.safetensors")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(saved.read_bytes())
    path.chmod(0)
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"monitor": "null"},
        {"monitor": "[]"},
        {"monitor": "{}"},
        {"monitor": "{"},
        {"monitor": "[" * 100_000},
        {"monitor": '{"schema": 3}'},
        {"monitor": '{"schema": 3, "config": {"features": {"n_mels": "many"}}}'},
        {"monitor": '{"schema": 3, "config": {"features": {"n_mels": 1e400}}}'},
        {"monitor": '{"schema": 3, "config": []}'},
        {"monitor": '{"schema": 3, "config": {}}'},
        {"monitor": '{"schema": 2, "config": {}}'},
    ],
)
def test_safetensors_files_of_other_programs_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(save({"weight": np.zeros((3, 3), np.float32)}, metadata))
    refusal(path)


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"PK\x03\x04" + bytes(500),
        b"\x7fELF" + bytes(500),
        b"hello, this is not a model at all",
        bytes(100),
        b"\x10" + bytes(7) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 8) + b"\xff" * 8,
    ],
)
def test_files_of_other_formats_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.safetensors").write_bytes(content)
    refusal(tmp_path / "no.safetensors")


@pytest.mark.parametrize("length", [0, 1, 1 << 23, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_a_header_with_a_wrong_length_is_refused(saved: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "header").write_bytes(struct.pack("<Q", length) + saved.read_bytes()[8:])
    refusal(tmp_path / "header")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A sparse file of two gigabytes, which takes no space, with a plausible header length."""
    with (tmp_path / "huge").open("wb") as file:
        file.write(struct.pack("<Q", 100))
        file.truncate(2 << 30)
    assert "size" in refusal(tmp_path / "huge")


def test_a_huge_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    size = bundle_io.MAX_HEADER_BYTES + 1
    (tmp_path / "huge").write_bytes(struct.pack("<Q", size) + b" " * (size + 8))
    assert "size" in refusal(tmp_path / "huge")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


@pytest.mark.parametrize("protocol", [0, 2, 4, "torch.save", "torch.save, old format"])
def test_a_pickle_is_refused_and_never_executed(tmp_path: Path, protocol: int | str) -> None:
    trace = tmp_path / "executed"
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.exists(), "the payload works"
    trace.unlink()
    path = tmp_path / "model.safetensors"
    if isinstance(protocol, int):
        path.write_bytes(pickle.dumps(Payload(trace), protocol))
    else:
        torch.save({"weight": Payload(trace)}, path, _use_new_zipfile_serialization=protocol == "torch.save")
    refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a socket"])
def test_a_device_a_pipe_and_a_socket_are_refused_and_are_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = special_file_of(kind, tmp_path)
    assert f"is {kind}, not a model file" in refusal(path)


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for name in ("a\0b", "a" * 5000):
        with pytest.raises(BundleError):
            load_bundle(tmp_path / name)


# Consistent files with wrong content


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


# Saving


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the old file")
    return path


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_unchanged_and_no_temporary_file(
    old: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(MonitorError, match=r"model\.safetensors: cannot be written: No space left"):
        save_bundle(load_bundle(saved), old)
    assert old.read_bytes() == b"the old file"
    assert list(old.parent.iterdir()) == [old]


def test_a_partial_write_leaves_the_old_file_unchanged(old: Path, saved: Path) -> None:
    resource = pytest.importorskip("resource")
    bundle = load_bundle(saved)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(MonitorError, match="cannot be written"):
            save_bundle(bundle, old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert old.read_bytes() == b"the old file"
    assert list(old.parent.iterdir()) == [old]


def test_saving_replaces_the_old_file_and_leaves_no_temporary_file(old: Path, saved: Path) -> None:
    save_bundle(load_bundle(saved), old)
    assert old.read_bytes() == saved.read_bytes()
    assert list(old.parent.iterdir()) == [old]


def test_if_a_bundle_cannot_be_written_the_error_is_one_sentence(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MonitorError, match="cannot be written") as caught:
        save_bundle(load_bundle(saved), tmp_path / "file" / "model.safetensors")
    assert "\n" not in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(MonitorError, match="cannot be written"):
        save_bundle(load_bundle(saved), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
