"""Which of the models that were handed out nobody needs any more; they are deleted one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from monitor.store import audit
from monitor.store.database import Store
from monitor.store.fleet import database_time
from monitor.store.fleet_models import FILE_COLUMNS, ModelFile, lock_models
from monitor.store.tables import model_files, model_orders, streams


@dataclass(frozen=True, slots=True)
class ModelRetention:
    """Which models are kept: those that a stream uses, those of recent days, and the newest of each stream.

    Args:
        keep_s: seconds since a model was added, ordered or taken in which it is kept.
        keep_newest: newest models of each stream, by their orders, that are kept, at least 1. The newest one may still
            wait for its monitor.
        url: the object store of this computer, as people know it; None: it has none. Models in another one are left to
            the computers that reach it.
    """

    keep_s: float
    keep_newest: int
    url: str | None

    def unneeded(self, store: Store) -> list[ModelFile]:
        """The models that may be deleted, the oldest first.

        Raises:
            StoreError: if the store cannot be read.
        """
        with store.reading() as connection:
            return [ModelFile(*row) for row in connection.execute(self._query(database_time(connection)))]

    def delete_next(self, store: Store, delete_content: Callable[[str], None], *, by: str) -> ModelFile | None:
        """Deletes the oldest model that may be deleted, with its orders, and notes that in the audit trail.

        Nobody else hands out or deletes a model meanwhile. If anything fails, it is deleted the next time.

        Args:
            store: the store.
            delete_content: deletes the content of a SHA-256 from the object store; it need not be there any more.
            by: who deletes it.

        Returns:
            the model; None if there is none.

        Raises:
            StoreError: if the store cannot be written.
        """
        with store.begin() as connection:
            lock_models(connection)
            row = connection.execute(self._query(database_time(connection)).limit(1)).first()
            if row is None:
                return None
            file = ModelFile(*row)
            connection.execute(model_orders.delete().where(model_orders.c.sha256 == file.sha256))
            connection.execute(model_files.delete().where(model_files.c.sha256 == file.sha256))
            before = {"name": file.name, "sha256": file.sha256, "size": file.size, "added": file.added, "by": file.by}
            audit.record(connection, by=by, what="model clean", subject=file.model_id, before=before)
            if file.url is not None:
                delete_content(file.sha256)
        return file

    def _query(self, now: float) -> sa.Select[Any]:
        since = now - self.keep_s
        order = model_orders.c
        newest = sa.func.max(order.id).desc()  # a model may have been handed out to a stream several times
        place = sa.func.row_number().over(partition_by=(order.host, order.stream), order_by=newest).label("place")
        times = (sa.func.max(order.time).label("time"), sa.func.max(order.taken).label("taken"))
        of_streams = sa.select(order.sha256, *times, place).group_by(order.host, order.stream, order.sha256)
        ranked = of_streams.subquery()
        wanted = sa.or_(ranked.c.place <= self.keep_newest, ranked.c.time >= since, ranked.c.taken >= since)
        return (
            sa.select(*FILE_COLUMNS)
            .where(
                model_files.c.added < since,
                model_files.c.sha256.not_in(sa.select(ranked.c.sha256).where(wanted)),
                model_files.c.model_id.not_in(sa.select(streams.c.model_id).where(streams.c.model_id.is_not(None))),
                sa.or_(model_files.c.url.is_(None), model_files.c.url == self.url),
            )
            .order_by(model_files.c.added, model_files.c.sha256)
        )
