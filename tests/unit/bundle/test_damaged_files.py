"""A damaged file, or one that is no bundle, is refused with one sentence. Loading it never executes code."""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from monitor.bundle import bundle_io
from monitor.bundle.bundle_io import load_bundle
from monitor.core.errors import BundleError
from support.bundle_files import contents, refusal
from support.special_files import special_file_of

# Bundles that were damaged


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
