"""The content of models that are handed out: kept once by its SHA-256, and verified whenever it is read."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import MAX_BYTES, load_bundle, with_model_id
from monitor.config.schema import Config
from monitor.core.errors import BundleError, ConfigError, MonitorError
from monitor.core.object_address import sibling
from monitor.core.object_store import ObjectMissing, ObjectStore
from monitor.core.text import counted
from monitor.store import fleet_models
from monitor.store.database import Store, StoreError

T = TypeVar("T")
FETCH_S = 300.0  # longest time that a model is fetched
MOST_IN_TABLE = 200_000_000  # bytes of a model that a database takes as one value without trouble
FOLDER = "models"  # of the object store, beside the clips


class ContentDamaged(MonitorError):
    """What is stored is not the model that was handed out, or is not there: fetching it again is useless."""


def models_url(config: Config) -> str:
    """The address of the object store that models are kept in; empty: they are kept in a table of the store.

    It is beside that of the clips, and only this address of our own settings is ever asked: what others have written
    into the store names no other one.
    """
    return sibling(config.clips.url, FOLDER) if config.clips.url else ""


def keep_content(url: str, sha256: str, content: bytes) -> None:
    """Puts a model into the object store at `url`, or checks that the table can take it if that is empty.

    Raises:
        MonitorError: if it cannot be written.
    """
    if not url:
        if len(content) > MOST_IN_TABLE:
            raise ConfigError(
                f"This model has {len(content) / 1e6:.0f} MB, which is too much for a table: set clips.url, so that "
                "models are kept in an object store."
            )
        return
    with ObjectStore.open(url, create=True) as objects:
        if objects.folder is not None and not objects.folder.parent.is_dir():  # a disk that is not mounted
            raise ConfigError(f"{objects.folder}: there is no folder {objects.folder.parent}: see clips.url.")
        objects.write(_path(sha256), content)


def is_kept(url: str, sha256: str) -> bool:
    """Whether a model is in the object store at `url`.

    Raises:
        MonitorError: if that cannot be found out.
    """
    with ObjectStore.open(url) as objects:
        return objects.exists(_path(sha256))


def delete_content(url: str, sha256: str) -> None:
    """Deletes a model from the object store at `url`; it need not be there any more.

    Raises:
        MonitorError: if it cannot be deleted.
    """
    with ObjectStore.open(url) as objects:
        objects.delete(_path(sha256))


def content_of(store: Store, url: str, sha256: str) -> bytes:
    """The content of a model, which has this SHA-256.

    Args:
        store: has the content in its table, or says that it is in the object store.
        url: of the object store; empty: there is none.
        sha256: of the file.

    Raises:
        ContentDamaged: if what is there is not this model, or there is none.
        MonitorError: if it cannot be fetched at present.
    """
    content = fleet_models.content_of(store, sha256)
    content = _of_object_store(store, url, sha256) if content is None else content
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ContentDamaged(f"The stored model {sha256[:12]} is damaged: hand it out again.")
    return content


def bundle_of(content: bytes, name: str) -> Bundle:
    """The bundle with this content, verified by its own digests and its self-test, as when a file is loaded.

    Its `model_id` is that which it has as a promoted version.

    Args:
        content: of a file.
        name: what messages call it.

    Raises:
        BundleError: if it is no bundle, is damaged, or has a format that this program does not know.
    """
    with tempfile.TemporaryDirectory(prefix="monitor-model-") as folder:
        file = Path(folder) / "model.safetensors"
        file.write_bytes(content)
        try:
            return with_model_id(load_bundle(file))
        except BundleError as error:
            raise BundleError(*(message.replace(str(file), name) for message in error.messages)) from None


def within(seconds: float, work: Callable[[], T], late: str) -> T:
    """The result of work on a thread of its own, which is left behind if it takes longer.

    Raises:
        MonitorError: with the message `late` if it does; or what the work raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the work was asked for
            errors.append(error)

    thread = threading.Thread(target=run, name="fetching a model", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise MonitorError(late)
    return results[0]


def _of_object_store(store: Store, url: str, sha256: str) -> bytes:
    file = fleet_models.file_of(store, sha256)
    if file is None:
        raise StoreError(f"{store.name}: there is no model {sha256[:12]}.", rejected=True)
    if not url:
        raise ContentDamaged(
            f"The model is in an object store ({file.url or 'not known which'}), but this computer has none: set "
            "clips.url as on the computer that handed it out, and hand it out again."
        )
    with ObjectStore.open(url) as objects:
        try:
            with objects.open_read(_path(sha256)) as stored:
                content = stored.read(MAX_BYTES + 1)
        except ObjectMissing:
            raise ContentDamaged(
                f"The model is not in {objects.name}: set clips.url as on the computer that handed it out, and hand it "
                "out again."
            ) from None
    if len(content) > MAX_BYTES:
        raise ContentDamaged(f"The stored model has more than {counted(MAX_BYTES, 'byte')}: that is no model.")
    return content


def _path(sha256: str) -> str:
    return f"{sha256}.safetensors"
