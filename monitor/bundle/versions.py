"""The versions of a stream's model: models that were made of the configured one while the monitor ran, and promoted.

A stream's folder has a file for each of the newest versions, named by its model id, and `history.json`, which says what
was promoted and taken back, when, by whom and why. Each file is written whole, a model before the history that names
it. So whenever a program is killed, the version before it is in force, or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import safetensors
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError
from monitor.core.text import shortened

HISTORY, ORIGIN, CANDIDATE = "history.json", "origin.json", "candidate.safetensors"
KEPT = 10  # model files of versions that are kept
AUTOMATIC = "commissioning"  # who promotes without a person
MAX_ENTRIES = 1000  # of the history: the oldest go first

log = logging.getLogger(__name__)


class Version(BaseModel):
    """What is in force from a moment on: an entry of the history."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    time: float = Field(ge=0)  # Unix time
    by: str = Field(max_length=200)  # who did it
    what: Literal["promoted", "taken back"]
    how: str = Field("", max_length=1000)  # how the model was made, or why it was taken back, in a few words
    model_id: str = Field(pattern="^([0-9a-f]{12})?$")  # of the model that is in force then; "": the configured one
    origin: str = Field(max_length=100)  # the digest of the configured model at that time
    sha256: str = Field("", max_length=64)  # of the model's file
    figures: dict[str, Any] = {}  # by which it was judged


class _History(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    entries: list[Version] = []


class ModelVersions:
    """The versions of the model of one stream.

    Args:
        folder: of this stream: `store.location.models_folder` and `core.text.stream_folder` of its name. It need not
            exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said: set[str] = set()

    @property
    def candidate(self) -> Path:
        """The file of the last candidate; it need not exist. Its report lies beside it, with the suffix `.json`."""
        return self.folder / CANDIDATE

    def in_force(self, configured: Path) -> Path:
        """The model file that the stream is to be scored with; quick, and without an error.

        That is the newest version that was not taken back, or `configured` if there is none, or if `configured` is not
        the model that the versions were made of any more. Why versions are not used is logged once.

        Args:
            configured: the model file that the settings or the command line name.
        """
        try:
            entries = self._entries()
        except MonitorError as error:
            self._say(f"{error} Until then the configured model is used.")
            return configured
        if not entries or not entries[-1].model_id or not (origin := _stored_digest(configured)):
            return configured
        current, file = entries[-1], self._file(entries[-1].model_id)
        if current.origin != origin:
            self._say(
                f"{configured}: is another model than the one that {file} was made of: the configured model is used."
            )
        elif not file.is_file():
            self._say(f"{file}: is missing, so the configured model is used: `monitor improve` makes another.")
        elif _sha256(file) != current.sha256:
            self._say(f"{file}: is damaged, so the configured model is used: `monitor improve` makes another.")
        else:
            return file
        return configured

    def chosen_by_people(self, configured: Path) -> Path:
        """The model file that people have decided on last: a version, or `configured`.

        That is a version that a person has promoted, or that has learnt what a person has called new but normal since
        the version before. While the history is damaged it is `configured`.
        """
        for entry in reversed(_by_people(_stack(self._entries_or_none() or [], _stored_digest(configured)))):
            file = self._file(entry.model_id)
            if _sha256(file) == entry.sha256:
                return file
        return configured

    def learnt(self) -> set[str]:
        """The events that the newest version has learnt as normal; none while the history is damaged."""
        entries = self._entries_or_none()
        return _learnt(entries[-1]) if entries else set()

    def promote(
        self, bundle: Bundle, *, configured: Path, by: str, how: str = "", figures: dict[str, Any] | None = None
    ) -> Path:
        """Puts a model in force for this stream.

        Args:
            bundle: the model.
            configured: the configured model file, which it replaces as long as that file stays the same.
            by: who does it.
            how: how the model was made, in a few words.
            figures: by which it was judged; as in JSON.

        Returns:
            its file.

        Raises:
            MonitorError: if a file cannot be written, or the configured one is no model.
        """
        origin = _stored_digest(configured)
        if not origin:
            raise MonitorError(f"{configured}: cannot be read as a model, so no version can replace it: look at it.")
        incoming = self.folder / "promoted.safetensors"
        saved = save_bundle(bundle, incoming)
        file = incoming.replace(self._file(saved.model_id))
        entry = Version(
            time=time.time(), by=by, what="promoted", how=how, model_id=saved.model_id, origin=origin,
            sha256=_sha256(file), figures=figures or {},
        )  # fmt: skip
        # A damaged history names nothing that could be used: it is kept apart, and a new one begins.
        entries = self._entries_or_none()
        if entries is None:
            (self.folder / HISTORY).replace(self.folder / f"{HISTORY}.damaged")
        self._write([*(entries or []), entry])
        self._remove_old([*(entries or []), entry])
        return file

    def undo(self, *, configured: Path, by: str, how: str = "") -> Path:
        """Takes the version in force back: the one before it is in force again, and finally the configured model.

        Args:
            configured: the configured model file.
            by: who does it.
            how: why.

        Returns:
            the model file that is in force now.

        Raises:
            MonitorError: if no version is in force, the history is damaged, or cannot be written.
        """
        entries, origin = self._entries(), _stored_digest(configured)
        stack = _stack(entries, origin)
        if not stack:
            raise MonitorError("No version can be taken back: the configured model is in force already.")
        before = [one for one in stack[:-1] if self._file(one.model_id).is_file()]
        again = before[-1] if before else None
        entry = Version(
            time=time.time(), by=by, what="taken back", how=how, model_id=again.model_id if again else "",
            origin=origin, sha256=again.sha256 if again else "", figures=again.figures if again else {},
        )  # fmt: skip
        self._write([*entries, entry])
        return self.in_force(configured)

    def history(self) -> list[Version]:
        """What was promoted and taken back, oldest first.

        Raises:
            MonitorError: if the history is damaged.
        """
        return self._entries()

    def remember_origin(self, configured: Path) -> None:
        """Notes the model file that the stream is monitored with, for commands that are not told.

        Raises:
            MonitorError: if the note cannot be written.
        """
        path = str(configured.absolute())
        if self.origin() != Path(path):
            write_atomically(self.folder / ORIGIN, json.dumps({"path": path}).encode())

    def origin(self) -> Path | None:
        """The model file that `remember_origin` has noted; None if there is no note."""
        try:
            noted = json.loads((self.folder / ORIGIN).read_bytes())
            return Path(noted["path"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _file(self, model_id: str) -> Path:
        return self.folder / f"{model_id}.safetensors"

    def _entries(self) -> list[Version]:
        path = self.folder / HISTORY
        try:
            return _History.model_validate_json(path.read_bytes()).entries
        except FileNotFoundError:
            return []
        except OSError as error:
            raise MonitorError(f"{path}: cannot be read: {error.strerror}: change its permissions.") from None
        except ValidationError:
            raise MonitorError(
                f"{path}: is damaged, so it is not known which version is in force: remove it, and promote again."
            ) from None

    def _entries_or_none(self) -> list[Version] | None:
        try:
            return self._entries()
        except MonitorError:
            return None

    def _write(self, entries: Sequence[Version]) -> None:
        text = _History(entries=list(entries[-MAX_ENTRIES:])).model_dump_json(indent=1)
        write_atomically(self.folder / HISTORY, text.encode())

    def _remove_old(self, entries: Sequence[Version]) -> None:
        """Removes the files of all but the newest versions; that which a person has promoted last stays."""
        newest = list(dict.fromkeys(one.model_id for one in reversed(entries) if one.model_id))
        by_people = [one.model_id for one in _by_people(entries) if one.what == "promoted"]
        for model_id in newest[KEPT:]:
            if model_id in by_people[-1:]:
                continue
            with contextlib.suppress(OSError):
                self._file(model_id).unlink(missing_ok=True)

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            log.warning("%s", message)


def with_lineage(bundle: Bundle, parent: Bundle, *, how: str, by: str) -> Bundle:
    """The bundle with its ancestors in its provenance: those of `parent`, and `parent` itself.

    Args:
        bundle: a model that was made of `parent`.
        parent: the model that it was made of.
        how: how it was made, in a few words.
        by: who made it.
    """
    this = {"model_id": parent.model_id, "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "how": how, "by": by}
    lineage = [*parent.provenance.get("lineage", ()), this]
    return replace(bundle, provenance=bundle.provenance | {"lineage": lineage}, model_id="")


def _stack(entries: Sequence[Version], origin: str) -> list[Version]:
    """The versions of the configured model with this digest that are not taken back; the last one is in force."""
    stack: list[Version] = []
    first = len(entries)
    while first and entries[first - 1].origin == origin:
        first -= 1
    for entry in entries[first:]:
        if entry.what == "promoted":
            stack.append(entry)
        else:  # also those between, whose files were missing
            kept = [number for number, one in enumerate(stack) if one.model_id == entry.model_id]
            stack = stack[: kept[-1] + 1] if kept else []
    return stack


def _by_people(entries: Sequence[Version]) -> list[Version]:
    """Those of the entries that people have decided on."""
    before: list[Version | None] = [None, *entries]
    return [
        entry
        for entry, last in zip(entries, before, strict=False)
        if entry.by != AUTOMATIC or _learnt(entry) - (_learnt(last) if last else set())
    ]


def _learnt(version: Version) -> set[str]:
    """The ids of the events that a version has learnt as normal."""
    found = version.figures.get("learnt")
    return {str(one) for one in found} if isinstance(found, list) else set()


def _stored_digest(path: Path) -> str:
    """The digest that a model file states in its header; "" if it has none, or cannot be read. Quick."""
    if not path.is_file():  # reading a pipe could take for ever
        return ""
    try:
        with safetensors.safe_open(path, framework="np") as stored:
            found = json.loads((stored.metadata() or {}).get("monitor", "null"))
        return shortened(str(found["digest"]), 100)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError):
        return ""


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
