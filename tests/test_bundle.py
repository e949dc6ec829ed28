"""A bundle comes back as it was saved, or is refused with one sentence; nothing in it is ever executed."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from builders import noise, small_bundle, small_config
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from monitor.bundle import bundle as bundle_module
from monitor.bundle.bundle import STORED_GROUPS, Bundle, load_bundle, save_bundle
from monitor.config.schema import Config
from monitor.core.errors import EXIT_BUNDLE, BundleError, MonitorError
from monitor.core.atomic_io import write_whole
from monitor.streaming.stream import ScoreStream

TINY = ("features.n_mels=8", "features.n_fft=256", "model.hidden=[6,5]", "model.bottleneck=3")
TOYADMOS = ("score.kind=error", "features.scale=power", "features.standardize=false", "score.window_s=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def saved(folder: Path) -> Path:
    """A small bundle's file."""
    save_bundle(small_bundle(small_config(*TINY)), folder / "saved.safetensors")
    return folder / "saved.safetensors"


def refusal(path: Path) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    message = str(caught.value)
    assert caught.value.exit_code == EXIT_BUNDLE == 4
    assert "\n" not in message
    assert path.name in message
    return message


def contents(bundle: Bundle) -> dict[str, object]:
    """All that a bundle says, comparable; numbers bit by bit, with their types."""
    tensors = {
        **bundle.model.state_dict(),
        "mean": bundle.mean,
        "deviation": bundle.deviation,
        "usual": bundle.usual_band_error,
        "normal_scores": bundle.normal_scores,
    }
    for part, normal in bundle.normals.items():
        tensors |= {f"{part} {field.name}": getattr(normal, field.name) for field in dataclasses.fields(normal)}
    facts: dict[str, object] = {
        name: (str(t.dtype), tuple(t.shape), t.numpy().tobytes()) for name, t in tensors.items()
    }
    facts |= {group: getattr(bundle.config, group) for group in STORED_GROUPS}
    names = ("thresholds", "provenance", "normal_dbfs")
    return facts | {name: getattr(bundle, name) for name in names} | {"digest": bundle.digest}


def parts(path: Path) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """The facts and the tensors in a bundle's file."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["monitor"]), load_file(path)


def rewritten(path: Path, target: Path, change: Callable[[dict, dict], None]) -> Path:
    """The bundle with something changed, and a digest that is right for it: as a clever forger would."""
    facts, tensors = parts(path)
    change(facts, tensors)
    facts.pop("digest", None)
    facts["digest"] = bundle_module._digest(facts, tensors)
    target.write_bytes(save(tensors, {"monitor": json.dumps(facts)}))
    return target


# There and back


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        TINY,
        TOYADMOS,
        ("score.kind=mahalanobis", "score.shrinkage=ledoit-wolf", "features.fmax=7000"),
        ("score.kind=spectrum", "features.remove_level=true", "alarm.evidence=false"),
    ],
)
def test_a_bundle_comes_back_with_identical_scores(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    bundle = small_bundle(small_config(*overrides))
    path = tmp_path / "new folder" / "model.safetensors"
    save_bundle(bundle, path)
    loaded = load_bundle(path)
    assert contents(loaded) == contents(bundle)
    assert not loaded.model.training
    samples = torch.from_numpy(noise(16_000)[None])
    for found, expected in zip(ScoreStream(loaded).push(samples), ScoreStream(bundle).push(samples), strict=True):
        pairs = [(found, expected)] if isinstance(found, torch.Tensor) else [
            (getattr(found, name), getattr(expected, name)) for name in ("rows", "rolling", "score")
        ]  # fmt: skip
        for a, b in pairs:
            assert torch.equal(a.nan_to_num(-1), b.nan_to_num(-1))
            assert a.shape[1] > 50


def test_settings_of_training_and_of_the_dashboard_are_not_the_bundles(tmp_path: Path) -> None:
    config = small_config(*TINY, "train.epochs=99", "dashboard.fps=2", "alarm.release_s=7")
    save_bundle(small_bundle(config), tmp_path / "m")
    loaded = load_bundle(tmp_path / "m").config
    assert loaded.alarm.release_s == 7
    assert (loaded.train, loaded.dashboard) == (Config().train, Config().dashboard)


def test_saving_twice_gives_the_same_file(saved: Path, tmp_path: Path) -> None:
    save_bundle(load_bundle(saved), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_a_bundle_is_plain_safetensors_with_facts_as_json(saved: Path) -> None:
    facts, tensors = parts(saved)
    assert set(facts) == {"schema", "config", "thresholds", "normal_dbfs", "provenance", "digest"}
    assert facts["schema"] == 2
    assert set(facts["thresholds"]) == {"score", "error", "recording", "evidence"}
    assert facts["thresholds"]["score"]["upper"] == 2150.0
    assert facts["config"]["features"]["n_mels"] == 8
    assert tensors["model.dense_enc1.weight"].shape == (6, 160)
    for part, size in (("residual", 8), ("spectrum", 16)):
        assert tensors[f"normal.{part}.centre"].shape == (size,)
        assert tensors[f"normal.{part}.precision"].shape == (size, size)
        assert tensors[f"normal.{part}.precision"].dtype == torch.float64
        assert tensors[f"normal.{part}.usual"].shape == (2, 2)


@pytest.mark.parametrize(
    ("kind", "parts_of_it"),
    [("fused", ["residual", "spectrum"]), ("mahalanobis", ["residual"]), ("spectrum", ["spectrum"]), ("error", [])],
)
def test_a_bundle_holds_what_is_normal_of_each_part_of_its_score_and_no_other(
    tmp_path: Path, kind: str, parts_of_it: list[str]
) -> None:
    save_bundle(small_bundle(small_config(*TINY, f"score.kind={kind}")), tmp_path / "m")
    assert list(load_bundle(tmp_path / "m").normals) == parts_of_it
    names = {name.split(".")[1] for name in parts(tmp_path / "m")[1] if name.startswith("normal.")}
    assert sorted(names) == parts_of_it


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_a_bundle_comes_back_with_any_number_of_normal_scores(tmp_path: Path, count: int) -> None:
    scores = torch.linspace(0, 9, count, dtype=torch.float64)
    bundle = dataclasses.replace(small_bundle(small_config(*TINY)), normal_scores=scores)
    save_bundle(bundle, tmp_path / "m")
    assert torch.equal(load_bundle(tmp_path / "m").normal_scores, bundle.normal_scores)


def test_another_model_or_threshold_is_another_digest_and_the_same_ones_are_the_same() -> None:
    """By which an event says what judged it."""

    def bundle() -> Bundle:
        return small_bundle(small_config(*TINY))

    def raised(name: str) -> Bundle:
        changed = bundle()
        old = changed.thresholds[name]
        changed.thresholds[name] = dataclasses.replace(old, value=old.value * (1 + 1e-12))
        return changed

    others = [raised(name) for name in ("score", "error", "recording", "evidence")]
    for tensor in ("mean", "deviation", "usual_band_error", "normal_scores"):
        others.append(bundle())
        getattr(others[-1], tensor)[3] += 1e-3
    for part in ("residual", "spectrum"):
        for name in ("centre", "precision", "usual"):
            others.append(bundle())
            getattr(others[-1].normals[part], name).view(-1)[-1] += 1e-12
    others.append(bundle())
    others[-1].model.dense_dec3.bias.data[0] += 1e-6
    digests = [bundle().digest, *(other.digest for other in others)]
    assert len(set(digests)) == len(digests) == 16
    assert bundle().digest == digests[0]
    assert re.fullmatch("[0-9a-f]{12}", digests[0])


# Damaged


@pytest.mark.parametrize("share", [0, 1, 7, 8, 9, 200, 0.1, 0.3, 0.5, 0.9, -1])
def test_a_truncated_bundle_is_refused(saved: Path, folder: Path, share: float) -> None:
    raw = saved.read_bytes()
    length = int(share * len(raw)) if 0 < share < 1 else int(share) % len(raw)
    path = folder / f"truncated{share}.safetensors"
    path.write_bytes(raw[:length])
    refusal(path)


def test_a_bundle_with_something_behind_it_is_refused(saved: Path, folder: Path) -> None:
    (folder / "longer").write_bytes(saved.read_bytes() + b"\0")
    refusal(folder / "longer")


@settings(max_examples=200, deadline=None)
@given(region=st.sampled_from(["header", "tensors", "types"]), share=st.floats(0, 1 - 1e-9), flip=st.integers(1, 255))
@example(region="header", share=0.0, flip=1)
@example(region="tensors", share=1 - 1e-9, flip=128)
@example(region="types", share=0.0, flip=ord("F") ^ ord("I"))
def test_a_bundle_with_any_byte_flipped_is_refused(saved: Path, region: str, share: float, flip: int) -> None:
    """More often where a byte says most. Where the file still says exactly the same (a space at the header's end
    that became a tab) it may also be taken."""
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


def test_every_byte_of_a_tensor_counts(saved: Path, folder: Path) -> None:
    """The first and the last byte of each, so that no tensor is left out of what is verified."""
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
    ["normal.residual.centre", "normal.spectrum.precision", "normal_scores", "usual_band_error", "model.bn1.bias"],
)
def test_a_tensor_of_another_type_is_refused(saved: Path, folder: Path, name: str) -> None:
    """One flipped byte in the header makes whole numbers of the same 64 bits."""
    raw = saved.read_bytes()
    entry = raw.index(f'"{name}":{{"dtype":"F'.encode()) + len(f'"{name}":{{"dtype":"')
    altered = bytearray(raw)
    altered[entry] = ord("I")
    (folder / "type").write_bytes(altered)
    refusal(folder / "type")


# Foreign


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(folder: Path, tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.safetensors")
    assert "folder" in refusal(folder)
    (tmp_path / "empty.safetensors").touch()
    refusal(tmp_path / "empty.safetensors")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(saved: Path, tmp_path: Path) -> None:
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
        {"monitor": '{"schema": 2}'},
        {"monitor": '{"schema": 2, "config": {"features": {"n_mels": "many"}}}'},
        {"monitor": '{"schema": 2, "config": {"features": {"n_mels": 1e400}}}'},
        {"monitor": '{"schema": 2, "config": []}'},
        {"monitor": '{"schema": 2, "config": {}}'},
    ],
)
def test_safetensors_of_somebody_else_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(save({"weight": torch.zeros(3, 3)}, metadata))
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
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.safetensors").write_bytes(content)
    refusal(tmp_path / "no.safetensors")


@pytest.mark.parametrize("length", [0, 1, 1 << 23, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_a_header_that_claims_another_length_is_refused(saved: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "header").write_bytes(struct.pack("<Q", length) + saved.read_bytes()[8:])
    refusal(tmp_path / "header")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """Two gigabytes of nothing (a hole: no space is taken) with a header that fits."""
    with (tmp_path / "huge").open("wb") as file:
        file.write(struct.pack("<Q", 100))
        file.truncate(2 << 30)
    assert "size" in refusal(tmp_path / "huge")


def test_a_huge_header_is_refused_unread(tmp_path: Path) -> None:
    size = bundle_module.MAX_HEADER_BYTES + 1
    (tmp_path / "huge").write_bytes(struct.pack("<Q", size) + b" " * (size + 8))
    assert "size" in refusal(tmp_path / "huge")


class Payload:
    """Leaves a trace where it is unpickled."""

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


# Consistent, but wrong


@pytest.mark.parametrize("schema", [1, 3, "2", None])
def test_another_format_is_refused_with_both_numbers(saved: Path, folder: Path, schema: object) -> None:
    message = refusal(rewritten(saved, folder / "schema", lambda facts, _: facts.update(schema=schema)))
    assert f"format {schema}" in message
    assert "format 2" in message
    assert "train it again" in message


def test_a_missing_a_surplus_and_a_misshapen_tensor_are_named(saved: Path, folder: Path) -> None:
    def shorten(_: dict, tensors: dict) -> None:
        tensors["mean"] = tensors["mean"][:-1].clone()

    for name, change in (
        ("deviation", lambda _, tensors: tensors.pop("deviation")),
        ("extra", lambda _, tensors: tensors.update(extra=torch.zeros(1))),
        ("mean", shorten),
    ):
        assert name in refusal(rewritten(saved, folder / "shapes", change))


def test_settings_that_do_not_fit_the_weights_are_refused(saved: Path, folder: Path) -> None:
    refusal(rewritten(saved, folder / "fit", lambda facts, _: facts["config"]["model"].update(bottleneck=4)))
    refusal(rewritten(saved, folder / "fit", lambda facts, _: facts["config"]["score"].update(kind="error")))


def test_settings_of_a_giant_model_are_refused_without_building_it(saved: Path, folder: Path) -> None:
    """These would need 32 GB."""

    def grow(facts: dict, _: dict) -> None:
        facts["config"]["model"].update(hidden=[8192, 8192], bottleneck=8192)
        facts["config"]["features"].update(n_mels=512, window_frames=512)

    refusal(rewritten(saved, folder / "giant", grow))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name", ["model.dense_dec3.weight", "deviation", "normal.residual.usual", "normal_scores", "chirp_error"]
)
def test_numbers_that_are_not_finite_are_refused(saved: Path, folder: Path, name: str, value: float) -> None:
    def poison(_: dict, tensors: dict) -> None:
        tensors[name].view(-1)[0] = value

    assert "finite" in refusal(rewritten(saved, folder / "finite", poison))


def test_facts_of_another_make_are_refused(saved: Path, folder: Path) -> None:
    for change in (
        lambda facts, _: facts.update(thresholds=[]),
        lambda facts, _: facts["thresholds"].update(score={"value": 1.0}),
        lambda facts, _: facts["thresholds"].pop("evidence"),
        lambda facts, _: facts["thresholds"]["evidence"].update(value=-1.0),
        lambda facts, _: facts["thresholds"]["score"].update(value=float("nan")),
        lambda facts, _: facts["thresholds"]["score"].update(loudness=1.0),
        lambda facts, _: facts.pop("normal_dbfs"),
        lambda facts, _: facts.update(normal_dbfs="loud"),
        lambda _, tensors: tensors.pop("normal_scores"),
        lambda _, tensors: tensors.update(normal_scores=torch.zeros(2, 2, dtype=torch.float64)),
        lambda facts, _: facts.pop("provenance"),
        lambda facts, _: facts.pop("config"),
        lambda facts, _: facts["config"].update(features={"n_mels": 8, "loudness": 11}),
    ):
        refusal(rewritten(saved, folder / "facts", change))


def test_a_name_from_a_foreign_file_does_not_reach_the_terminal_raw(saved: Path, folder: Path) -> None:
    """No line break or escape sequence of somebody else's."""
    name = "!\n\x1b[2Jmodel"
    path = rewritten(saved, folder / "name", lambda _, tensors: tensors.update({name: torch.zeros(1)}))
    assert "\x1b" not in refusal(path)


def test_a_library_that_computes_other_spectra_here_is_noticed(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "hann_window", torch.hamming_window)
    assert "test sound" in refusal(saved)


def test_a_library_that_computes_another_model_here_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = small_bundle(small_config(*TINY))
    bundle.deviation.add_(40)
    bundle.model.dense_dec3.weight.data *= 20  # what it says is as large as what it hears, as after training
    save_bundle(bundle, tmp_path / "model")
    addmm = torch.addmm
    monkeypatch.setattr("torch.addmm", lambda *operands: 1.05 * addmm(*operands))
    assert "test sound" in refusal(tmp_path / "model")


# Saving


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the old file")
    return path


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file_whole_and_nothing_else(
    old: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(MonitorError, match=r"model\.safetensors: cannot be written: No space left"):
        save_bundle(load_bundle(saved), old)
    assert old.read_bytes() == b"the old file"
    assert list(old.parent.iterdir()) == [old]


def test_a_disk_that_takes_only_a_part_leaves_the_old_file_whole(old: Path, saved: Path) -> None:
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


def test_a_save_replaces_the_old_file_and_leaves_no_temporary_one(old: Path, saved: Path) -> None:
    save_bundle(load_bundle(saved), old)
    assert old.read_bytes() == saved.read_bytes()
    assert list(old.parent.iterdir()) == [old]


def test_the_old_file_is_there_until_the_new_one_is_whole_on_disk(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushed to disk first, renamed after: so a crash leaves the one or the other."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def observed_fsync(descriptor: int) -> None:
        fsync(descriptor)
        assert os.fstat(descriptor).st_size == 7
        assert old.read_bytes() == b"the old file"
        done.append("flushed")

    def observed_replace(path: Path, target: Path) -> Path:
        assert path.parent == old.parent, "a rename is atomic within a folder"
        done.append("renamed")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", observed_fsync)
    monkeypatch.setattr(Path, "replace", observed_replace)
    write_whole(old, b"the new")
    assert done == ["flushed", "renamed"]
    assert old.read_bytes() == b"the new"


def test_saving_where_one_cannot_is_said_in_a_sentence(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MonitorError, match="cannot be written") as caught:
        save_bundle(load_bundle(saved), tmp_path / "file" / "model.safetensors")
    assert "\n" not in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(MonitorError, match="cannot be written"):
        save_bundle(load_bundle(saved), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
