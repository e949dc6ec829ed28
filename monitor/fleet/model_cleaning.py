"""Deletes models that were handed out and that nobody needs any more, from the store and from its object store."""

from __future__ import annotations

from monitor.config.fleet import Fleet
from monitor.core.object_address import ObjectAddress
from monitor.fleet.model_content import delete_content
from monitor.store.database import Store
from monitor.store.fleet_models import ModelFile
from monitor.store.model_retention import ModelRetention
from monitor.store.retention import DAY_S, shrink


def retention_of(settings: Fleet, objects_url: str) -> ModelRetention:
    """What the settings keep.

    Args:
        settings: the group `fleet`.
        objects_url: of the object store of models (`fleet.model_content.models_url`); empty: there is none.
    """
    url = ObjectAddress.parse(objects_url).name if objects_url else None
    return ModelRetention(settings.keep_models_days * DAY_S, settings.keep_models, url)


def delete_unneeded(store: Store, settings: Fleet, objects_url: str, *, by: str) -> list[ModelFile]:
    """Deletes them, the oldest first; arguments as for `retention_of`. Several computers may do it at the same time.

    Raises:
        MonitorError: if the object store or the store cannot be written. What was deleted until then stays deleted.
    """
    retention, deleted = retention_of(settings, objects_url), list[ModelFile]()
    while file := retention.delete_next(store, lambda sha256: delete_content(objects_url, sha256), by=by):
        deleted.append(file)
        shrink(store)
    return deleted
