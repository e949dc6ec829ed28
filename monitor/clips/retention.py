"""Deletes clips that are too old, too many, or in the way of other data; never those that somebody wants to keep."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from monitor.clips.places import ClipPlace, Kept
from monitor.config.plant import Clips
from monitor.core.errors import MonitorError
from monitor.core.text import counted

DAY_S = 86_400.0
AT_ONCE = 500  # events in one question to the store

log = logging.getLogger(__name__)


class ClipRecords(Protocol):
    """What the store knows of clips; `monitor.clips.clip_records.StoreRecords` is one."""

    def kept(self, event_ids: Sequence[str]) -> Collection[str]:
        """The events among these whose clips must not be deleted.

        Raises:
            MonitorError: if that is not known at present; then nothing is deleted.
        """

    def forget(self, event_ids: Sequence[str], note: str) -> None:
        """Notes that the clips of these events are deleted.

        Raises:
            MonitorError: if it cannot be noted; then they are not deleted.
        """


class NoRecords:
    """There is no store: only the files count."""

    def kept(self, event_ids: Sequence[str]) -> Collection[str]:  # noqa: ARG002 - as the protocol
        """No event is kept."""
        return ()

    def forget(self, event_ids: Sequence[str], note: str) -> None:
        """There is nothing to note."""

    def of_others(self, event_ids: Sequence[str], host: str) -> Collection[str]:  # noqa: ARG002 - as the protocol
        """No event is known to belong to another host."""
        return ()


class Retention:
    """Deletes the clips that the settings do not allow, the oldest first, with their pictures.

    Args:
        place: where the clips are.
        settings: how long, how many, and how much of the disk has to be free.
        records: knows which events are kept.
    """

    def __init__(self, place: ClipPlace, settings: Clips, records: ClipRecords) -> None:
        self._place, self._settings, self._records = place, settings, records
        self._said = False  # that locked clips alone are too large

    def clean(self, needed: int = 0) -> None:
        """Deletes what is too old or too much. If the store does not answer, it is left for the next time.

        Args:
            needed: bytes that are about to be written.
        """
        try:
            self._clean(needed)
        except MonitorError as error:
            log.warning("%s: old clips cannot be deleted at present: %s", self._place.name, error)
        self._place.tidy()

    def _clean(self, needed: int) -> None:
        found = sorted(self._place.found(), key=lambda one: one.modified)
        oldest = time.time() - self._settings.keep_days * DAY_S
        old = [one for one in found if one.modified < oldest]
        self._delete(old, f"older than {self._settings.keep_days:g} days", None)
        found = [one for one in found if not one.deleted]
        # The newest clip stays, even if it alone is larger than that.
        self._delete(found[:-1], f"clips.max_gb: {self._settings.max_gb:g}", self._above_max(found, needed))
        if (missing := self._missing_free(needed)) > 0:
            left = [one for one in found if not one.deleted]
            self._delete(left, f"clips.min_free_gb: {self._settings.min_free_gb:g}", missing)

    def _above_max(self, found: Iterable[Kept], needed: int) -> int:
        return sum(one.size for one in found) + needed - round(self._settings.max_gb * 1e9)

    def _missing_free(self, needed: int) -> int:
        """The bytes of the disk that are to be made free."""
        free = self._place.free()
        return 0 if free is None else needed + round(self._settings.min_free_gb * 1e9) - free

    def _delete(self, candidates: Sequence[Kept], why: str, size: int | None) -> None:
        """Deletes candidates in order: so many that `size` bytes become free, or all; none that is to be kept."""
        if size is not None and size <= 0:
            return
        freed = deleted = held = 0
        for start in range(0, len(candidates), AT_ONCE):
            some = candidates[start : start + AT_ONCE]
            kept = set(self._records.kept([one.event_id for one in some]))
            held += len(kept)
            chosen: list[Kept] = []
            for one in some:
                if size is not None and freed >= size:
                    break
                if one.event_id not in kept:
                    chosen.append(one)
                    freed += one.size
            if chosen:
                # First in the store: files that nobody knows of are found here again, but not the other way round.
                self._records.forget([one.event_id for one in chosen], f"The clip was deleted ({why}).")
            for one in chosen:
                removed = [self._place.remove(path) for path in one.paths]
                one.deleted = all(removed)
            deleted += len(chosen)
            if size is not None and freed >= size:
                break
        if deleted:
            log.info("%s: %s deleted (%s).", self._place.name, counted(deleted, "old clip"), why)
        if size is not None and freed < size and held and not self._said:
            self._said = True
            log.warning("%s: the clips that are to be kept leave no room for others (%s).", self._place.name, why)
