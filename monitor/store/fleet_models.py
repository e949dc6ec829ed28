"""Models that are handed out: their files, and the orders which stream is to use which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from monitor.core.text import printable
from monitor.store import audit
from monitor.store.database import Store
from monitor.store.fleet import database_time
from monitor.store.records import StoredStream
from monitor.store.rows import insert_or
from monitor.store.tables import model_files, model_orders


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that can be handed out, without its content."""

    sha256: str  # of the file
    model_id: str
    name: str
    size: int  # bytes
    added: float  # Unix time
    by: str  # who added it
    url: str | None  # the object store that has the content, as people know it; None: the table has it


@dataclass(frozen=True, slots=True)
class ModelOrder:
    """An order that a stream is to use a model. The newest one of a stream counts."""

    id: int
    host: str
    stream: str
    sha256: str
    time: float  # Unix times
    by: str  # who gave it
    taken: float | None = None  # when the monitor took or refused it; None: not yet
    refused: str | None = None  # why it was refused

    @property
    def key(self) -> str:
        """A text that no other order has, also of another store."""
        return f"{self.id} of {self.time:.6f}"


FILE_COLUMNS = (
    model_files.c.sha256, model_files.c.model_id, model_files.c.name, model_files.c.size, model_files.c.added,
    model_files.c.by, model_files.c.url,
)  # fmt: skip
MODELS_LOCK = 0x6D6F64656C73  # "models": the number of this lock
_NEWEST = sa.select(sa.func.max(model_orders.c.id)).group_by(model_orders.c.host, model_orders.c.stream)


def lock_models(connection: sa.Connection) -> None:
    """Lets no other transaction hand out or delete a model until this one ends; a file is locked by writing anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MODELS_LOCK)))


def hand_out(
    store: Store,
    file: ModelFile,
    content: bytes | None,
    streams: Iterable[StoredStream],
    keep_object: Callable[[], None] = lambda: None,
) -> list[ModelOrder]:
    """Adds a model, an order for each stream, and entries in the audit trail, all or nothing.

    Args:
        store: the store.
        file: the model; its `added` is not used.
        content: of the file; None: it is in the object store.
        streams: that are to use it.
        keep_object: puts the content into the object store if it was deleted there meanwhile; from then on nobody can.
            If it raises an error, nothing is ordered.

    Raises:
        StoreError: if the store cannot be written.
    """
    orders: list[ModelOrder] = []
    with store.begin() as connection:
        lock_models(connection)
        keep_object()
        now = database_time(connection)
        values = {
            "sha256": file.sha256, "model_id": file.model_id, "name": printable(file.name), "size": file.size,
            "url": file.url, "content": content,
        }  # fmt: skip
        if not insert_or(connection, model_files, {**values, "added": now, "by": file.by}, ("sha256",), update=False):
            # Once more, in case that what is there was damaged, or that the object store is another one by now.
            connection.execute(model_files.update().where(model_files.c.sha256 == file.sha256).values(values))
        for stream in streams:
            order = ModelOrder(0, stream.host, stream.name, file.sha256, now, file.by)
            values = {name: getattr(order, name) for name in ("host", "stream", "sha256", "time", "by")}
            made = connection.execute(model_orders.insert().values(values)).inserted_primary_key
            assert made is not None
            orders.append(replace(order, id=made[0]))
            audit.record(
                connection, by=file.by, what="model push", subject=f"{stream.host}/{stream.name}",
                before=stream.model_id, after={"to": file.model_id, "sha256": file.sha256, "order": made[0]},
            )  # fmt: skip
    return orders


def files(store: Store) -> list[ModelFile]:
    """All models that can be handed out, the newest first.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        rows = connection.execute(sa.select(*FILE_COLUMNS).order_by(model_files.c.added.desc(), model_files.c.sha256))
        return [ModelFile(*row) for row in rows]


def file_of(store: Store, sha256: str) -> ModelFile | None:
    """The model whose file has this SHA-256; None if there is none.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        row = connection.execute(sa.select(*FILE_COLUMNS).where(model_files.c.sha256 == sha256)).first()
    return None if row is None else ModelFile(*row)


def content_of(store: Store, sha256: str) -> bytes | None:
    """The content of a model; None if the table does not have it.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        found = connection.scalar(sa.select(model_files.c.content).where(model_files.c.sha256 == sha256))
    return None if found is None else bytes(found)


def orders(store: Store) -> list[ModelOrder]:
    """All orders, the newest first.

    Raises:
        StoreError: if the store cannot be read.
    """
    with store.reading() as connection:
        rows = connection.execute(
            sa.select(model_orders).order_by(model_orders.c.time.desc(), model_orders.c.id)
        ).mappings()
        return [ModelOrder(**row) for row in rows]


def open_orders(store: Store, host: str = "") -> list[ModelOrder]:
    """The newest order of each stream that has neither been taken nor refused, oldest first.

    Args:
        store: the store.
        host: whose streams; empty: of all.

    Raises:
        StoreError: if the store cannot be read.
    """
    newest = _NEWEST.where(model_orders.c.host == host) if host else _NEWEST
    chosen = sa.select(model_orders).where(model_orders.c.id.in_(newest), model_orders.c.taken.is_(None))
    with store.reading() as connection:
        rows = connection.execute(chosen.order_by(model_orders.c.id)).mappings()
        return [ModelOrder(**row) for row in rows]


def close_order(store: Store, order: ModelOrder, *, before: str = "", after: str = "", refused: str = "") -> None:
    """Notes that an order was taken, or refused, and that in the audit trail.

    Args:
        store: the store.
        order: the order.
        before, after: ids of the models that the stream had, and has now.
        refused: why it was refused; empty: it was taken.

    Raises:
        StoreError: if the store cannot be written.
    """
    facts = {"to": after, "order": order.id, "how": f"refused: {refused}" if refused else "handed out"}
    with store.begin() as connection:
        values = {"taken": database_time(connection), "refused": printable(refused) or None}
        connection.execute(model_orders.update().where(model_orders.c.id == order.id).values(values))
        subject = f"{order.host}/{order.stream}"
        audit.record(connection, by=order.by, what="model", subject=subject, before=before or None, after=facts)
