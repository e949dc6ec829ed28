"""Finds the model that reported an event, among the files that there still are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.versions import ModelVersions
from monitor.config.schema import Config
from monitor.core.errors import BundleError
from monitor.core.text import printable, stream_folder
from monitor.store.database import Store
from monitor.store.location import models_folder
from monitor.store.records import StoredEvent
from monitor.store.tables import models, streams

KEPT = 6  # loaded models, of about 7 MB


@dataclass(frozen=True, slots=True)
class EventModel:
    """The model with which an event is looked at."""

    bundle: Bundle | None  # None: there is none at all
    path: Path | None
    note: str  # what is to be said if it is not the very model; a sentence, or empty


def paths_of(store: Store, config: Config, event: StoredEvent) -> list[Path]:
    """Files that may be the model of an event, the most likely first.

    Raises:
        StoreError: if the store cannot be read.
    """
    folder = models_folder(config) / stream_folder(event.stream)
    with store.reading() as connection:
        stored = connection.scalar(sa.select(models.c.name).where(models.c.id == event.model_id))
        of_stream = sa.select(models.c.name).join(streams, streams.c.model_id == models.c.id)
        now = connection.scalar(of_stream.where(streams.c.host == event.host, streams.c.name == event.stream))
    found = [Path(stored)] if stored else []
    if re.fullmatch("[0-9a-f]{1,64}", event.model_id):
        found.append(folder / f"{event.model_id}.safetensors")
    configured = [one.bundle for one in config.streams if one.name == event.stream]
    versions = ModelVersions(folder)
    if origin := versions.origin():
        configured.append(origin)
    found += [versions.in_force(path) for path in configured] + configured + ([Path(now)] if now else [])
    return list(dict.fromkeys(found))


def find_model(paths: list[Path], model_id: str, *, elsewhere: str = "") -> EventModel:
    """The model with an id among some files, else the first one that can be loaded, with a note that says so.

    It blocks while models are loaded. The newest ones stay in memory.

    Args:
        paths: of the files.
        model_id: the id; "" if it is not known.
        elsewhere: the computer of the event, if it is not this one: then only the very model is taken, because another
            one of this computer belongs to another machine, although its stream may have the same name.
    """
    nearest: tuple[Bundle, Path] | None = None
    for bundle, path in _loaded(paths):
        if bundle.model_id == model_id or not (model_id or elsewhere):
            return EventModel(bundle, path, "")
        nearest = nearest or (bundle, path)
    if elsewhere:
        name = model_id or "(not known)"
        return EventModel(None, None, f"The model {name} is on {printable(elsewhere)}: only the sound is shown.")
    gone = f"The model {model_id} that reported this is gone" if model_id else "It is not known which model reported it"
    if nearest is None:
        return EventModel(None, None, f"{gone}, and there is no other of this stream: only the sound is shown.")
    bundle, path = nearest
    return EventModel(bundle, path, f"{gone}: this is computed with {bundle.model_id} ({path}).")


def _loaded(paths: list[Path]) -> Iterator[tuple[Bundle, Path]]:
    for path in paths:
        try:
            found = path.stat()
            yield _load(path, found.st_mtime_ns, found.st_size), path
        except (OSError, BundleError):
            continue


@lru_cache(maxsize=KEPT)
def _load(path: Path, changed: int, size: int) -> Bundle:  # noqa: ARG001 - a file that was written anew is another one
    return load_bundle(path)
