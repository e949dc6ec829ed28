"""Takes models that are handed out: fetched, verified, put in force, and swapped in the running monitor."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monitor.bundle.versions import ModelVersions, Version
from monitor.core.errors import BundleError, MonitorError
from monitor.core.text import printable, shortened
from monitor.fleet.model_content import FETCH_S, ContentDamaged, bundle_of, content_of, within
from monitor.store import fleet_models
from monitor.store.database import Store
from monitor.store.fleet_models import ModelOrder

# Why the monitor itself has taken a version back, in the history of versions.
UNUSABLE = "could not be used: "
ENDED = "the monitor was ended"
CLOSE_S = 10.0  # longest time that closing waits for a model that is being put in force

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamInForce:
    """The model of a stream of the running monitor."""

    configured: Path  # the file that the settings or the command line name
    versions: ModelVersions
    model_id: str  # of the model that scores it now; empty if the stream does not run


class RunningModels(Protocol):
    """What is needed of the monitor that takes models. It is called on the thread of `ModelTaker`."""

    def streams(self) -> Mapping[str, StreamInForce]:
        """The streams of the settings in force, by their names in the store."""
        ...

    def swap(self, stream: str, by: str) -> None:
        """Lets a stream go on with the version of its model that is in force now; `by` is for the log.

        Raises:
            MonitorError: if it cannot; then it goes on as before.
        """
        ...

    def over(self) -> bool:
        """Whether the monitor is being ended, so that nothing can be swapped any more."""
        ...


class ModelTaker:
    """Takes models, one after another, on a thread of its own, so that neither sound nor signs of life wait for it.

    An order whose model cannot be fetched at present is tried again at the next sign of life. What cannot be used is
    refused, with the reason in the store. An order that was put in force once is never put in force again, so a version
    that somebody has taken back stays so.

    Args:
        store_url: of the store, which has the orders.
        objects_url: of the object store of models (`fleet.model_content.models_url`); empty: there is none.
        running: the monitor.
        fetch_s: longest time that a model is fetched.
    """

    def __init__(self, store_url: str, objects_url: str, running: RunningModels, *, fetch_s: float = FETCH_S) -> None:
        self._url, self._objects_url, self._running, self._fetch_s = store_url, objects_url, running, fetch_s
        self._orders: Sequence[ModelOrder] = ()
        self._said: dict[int, str] = {}  # why orders wait, which is told once
        self._changed, self._ending = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    def use(self, objects_url: str) -> None:
        """Fetches models from another object store from now on."""
        self._objects_url = objects_url

    def take(self, orders: Sequence[ModelOrder]) -> None:
        """Takes these orders when those before are done. Returns at once."""
        with self._changed:
            self._orders = orders
            self._changed.notify_all()

    def close(self) -> None:
        """Takes no further model. One that is being put in force is waited for, for a limited time."""
        with self._changed:
            self._ending, self._orders = True, ()
            self._changed.notify_all()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._orders and not self._ending:
                    self._changed.wait()
                if self._ending:
                    return
                orders, self._orders = self._orders, ()
            try:
                with Store.open(self._url, create=False) as store:
                    for order in orders:
                        # It may have been taken since it was read, or another one be newer.
                        still_open = {one.id for one in fleet_models.open_orders(store, order.host)}
                        if order.id in still_open and not self._ending:
                            self._take(store, order)
            except MonitorError as error:  # of the store: all is tried again at the next sign of life
                log.debug("no models are taken: %s", error)
            except Exception:  # the next time may do better
                log.exception("Models that are handed out could not be taken.")

    def _take(self, store: Store, order: ModelOrder) -> None:
        stream = self._running.streams().get(order.stream)
        if stream is None:
            self._wait(order, "this monitor does not listen to such a stream at present")
            return
        if (outcome := _outcome(stream.versions, order)) is not None:  # it could not be noted in the store
            fleet_models.close_order(store, order, after=stream.model_id, refused=outcome)
            return
        try:
            after = self._put_in_force(order, stream)
        except _Waiting as waiting:
            self._wait(order, str(waiting))
            return
        except MonitorError as error:
            why = shortened(printable(" ".join(error.messages)), 1000)
            log.error("%s: the model that %s has handed out is refused: %s", order.stream, order.by, why)
            fleet_models.close_order(store, order, before=stream.model_id, after=stream.model_id, refused=why)
            return
        fleet_models.close_order(store, order, before=stream.model_id, after=after)
        log.info("%s: model %s, which %s has handed out, is taken.", order.stream, after, order.by)

    def _put_in_force(self, order: ModelOrder, stream: StreamInForce) -> str:
        """Fetches a model, verifies it, and puts it in force; returns its id.

        Raises:
            _Waiting: if it cannot be fetched at present.
            MonitorError: if it cannot be used. The model before is in force then.
        """
        bundle = bundle_of(self._fetched(order), f"the model {order.sha256[:12]}")
        if bundle.model_id == stream.model_id:
            return bundle.model_id
        versions, configured = stream.versions, stream.configured
        by, figures = shortened(printable(order.by), 200), {"order": order.key, "sha256": order.sha256}
        versions.promote(bundle, configured=configured, by=by, how="handed out by monitor model push", figures=figures)
        try:
            self._running.swap(order.stream, f"model push by {order.by}")
        except MonitorError as error:
            over = self._running.over()
            why = ENDED if over else f"{UNUSABLE}{' '.join(error.messages)}"
            versions.undo(configured=configured, by="monitor", how=shortened(why, 900))
            if over:
                raise _Waiting(f"{ENDED}: it is taken at the next start") from None
            raise
        return bundle.model_id

    def _fetched(self, order: ModelOrder) -> bytes:
        def fetch() -> bytes:
            # With a connection of its own, because it may be left behind.
            with Store.open(self._url, create=False) as store:
                return content_of(store, self._objects_url, order.sha256)

        try:
            return within(self._fetch_s, fetch, f"it could not be fetched within {self._fetch_s:g} s")
        except (ContentDamaged, BundleError):
            raise
        except MonitorError as error:
            raise _Waiting(*error.messages) from None

    def _wait(self, order: ModelOrder, why: str) -> None:
        if self._said.get(order.id) != why:
            self._said[order.id] = why
            log.warning("%s: the model that %s has handed out waits: %s", order.stream, order.by, why)


class _Waiting(MonitorError):
    """A model cannot be fetched at present."""


def _outcome(versions: ModelVersions, order: ModelOrder) -> str | None:
    """What became of an order by the history: "" if it was put in force, even if somebody has taken it back since.

    Otherwise why its model could not be used; None if it was not tried, or the monitor was ended meanwhile.
    """
    try:
        history = versions.history()
    except MonitorError:  # the history is damaged, which the next promotion mends
        return None
    outcome: str | None = None
    last: Version | None = None
    for entry in history:
        if _is_of(entry, order):
            outcome = ""
        elif last is not None and _is_of(last, order) and entry.what == "taken back":
            if entry.how.startswith(UNUSABLE):
                outcome = entry.how.removeprefix(UNUSABLE)
            elif entry.how == ENDED:
                outcome = None
        last = entry
    return outcome


def _is_of(entry: Version, order: ModelOrder) -> bool:
    return entry.what == "promoted" and entry.figures.get("order") == order.key
