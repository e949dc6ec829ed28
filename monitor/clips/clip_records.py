"""What the store knows of clips: which are kept, and which have been deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from monitor.store.database import Store
from monitor.store.retention import KEPT, forget_files
from monitor.store.tables import events, streams


class StoreRecords:
    """Asks the store, which is opened only for that; implements `monitor.clips.mover.MovedRecords`.

    Args:
        url: of the store, as `monitor.store.database.Store.open` takes it.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def kept(self, event_ids: Sequence[str]) -> Collection[str]:
        """The events among these that are locked or have a verdict.

        Raises:
            StoreError: if the store does not answer.
        """
        query = sa.select(events.c.id).where(events.c.id.in_(event_ids), KEPT)
        with Store.open(self._url, create=False) as store, store.reading() as connection:
            return set(connection.scalars(query))

    def forget(self, event_ids: Sequence[str], note: str) -> None:
        """Removes the paths of the clips and pictures of these events, and notes why there is none.

        Raises:
            StoreError: if the store does not answer.
        """
        with Store.open(self._url, create=False) as store, store.begin() as connection:
            for event_id in event_ids:
                forget_files(connection, event_id, note)

    def of_others(self, event_ids: Sequence[str], host: str) -> Collection[str]:
        """The events among these that belong to another host than this one.

        Raises:
            StoreError: if the store does not answer.
        """
        query = sa.select(events.c.id).join(streams).where(events.c.id.in_(event_ids), streams.c.host != host)
        with Store.open(self._url, create=False) as store, store.reading() as connection:
            return set(connection.scalars(query))
