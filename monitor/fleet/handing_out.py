"""Hands out models to streams of any host, and gives them back as files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monitor.bundle.bundle_io import load_bundle
from monitor.core.errors import MonitorError
from monitor.core.object_address import ObjectAddress
from monitor.core.text import printable, shortened
from monitor.fleet.model_content import bundle_of, is_kept, keep_content
from monitor.store import fleet_models
from monitor.store.database import Store, StoreError
from monitor.store.fleet_models import ModelFile, ModelOrder
from monitor.store.records import StoredStream


def read_model(path: Path, name: str, by: str) -> tuple[ModelFile, bytes]:
    """Reads a model file and verifies it, before anything is handed out.

    Args:
        path: of the file.
        name: under which it is listed.
        by: who hands it out.

    Raises:
        BundleError: if it is missing, damaged, or no model.
    """
    load_bundle(path)  # refuses what is no file, or too large, before it is read whole
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MonitorError(f"{path}: cannot be read: {error.strerror}.") from None
    bundle = bundle_of(content, str(path))  # of what was read, which is what is handed out
    sha256 = hashlib.sha256(content).hexdigest()
    return ModelFile(sha256, bundle.model_id, name, len(content), 0.0, by, None), content


def hand_out(
    store: Store, objects_url: str, file: ModelFile, content: bytes, streams: Sequence[StoredStream]
) -> list[ModelOrder]:
    """Keeps the content of a model, and orders streams to use it.

    Args:
        store: the store.
        objects_url: of the object store of models; empty: the content is kept in a table.
        file, content: as `read_model` returns them.
        streams: that are to use it.

    Raises:
        MonitorError: if the object store or the store cannot be written. Then nothing is ordered.
    """
    if objects_url:
        file = replace(file, url=ObjectAddress.parse(objects_url).name)

    def keep_again() -> None:
        if objects_url and not is_kept(objects_url, file.sha256):
            keep_content(objects_url, file.sha256, content)

    # Before the store is locked, which a slow upload would hold up for everybody.
    keep_content(objects_url, file.sha256, content)
    return fleet_models.hand_out(store, file, None if objects_url else content, streams, keep_again)


def is_number(wanted: str) -> bool:
    """Whether a text can be the beginning of a SHA-256 or a model id."""
    return re.fullmatch(r"[0-9a-fA-F]{4,64}", wanted.strip()) is not None


def file_named(store: Store, wanted: str) -> ModelFile:
    """The model whose SHA-256, or whose model id, begins so.

    Raises:
        StoreError: if there is none, or there are several.
    """
    beginning = wanted.strip().lower()
    found: list[ModelFile] = []
    if is_number(beginning):
        files = fleet_models.files(store)
        found = [one for one in files if one.sha256.startswith(beginning)] or [
            one for one in files if one.model_id.startswith(beginning)
        ]
    if not found:
        raise StoreError(
            f"{store.name}: there is no model {printable(shortened(wanted))}: `monitor model list` shows those that "
            "were handed out.", rejected=True,
        )  # fmt: skip
    if len(found) > 1:
        raise StoreError(f"{store.name}: several models begin with {beginning}: give more of it.", rejected=True)
    return found[0]


def file_of_stream(store: Store, stream: StoredStream) -> ModelFile:
    """The model that a stream uses, if it was handed out.

    Raises:
        StoreError: if it was not.
    """
    for one in fleet_models.files(store):
        if one.model_id == stream.model_id:
            return one
    host, name = printable(stream.host), printable(stream.name)
    raise StoreError(
        f"{host}/{name}: its model {stream.model_id or '(not known)'} was not handed out, so its file is on {host} "
        "only: hand it out there with `monitor model push`.", rejected=True,
    )  # fmt: skip
