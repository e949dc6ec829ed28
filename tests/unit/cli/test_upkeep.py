"""Whether an anomaly of a stream lasts that nobody has judged, by what is live and what is in the store."""

from __future__ import annotations

import os
from pathlib import Path

from monitor.cli.upkeep import has_unjudged_anomaly
from monitor.config.loader import load_config
from monitor.core.events import State
from monitor.store.database import Store
from monitor.store.location import DATABASE
from monitor.store.verdicts import record
from support.outputs import anomaly
from support.snapshots import snapshot
from support.stored import fill, stored_event


def test_an_anomaly_that_lasts_is_unjudged_until_somebody_says_what_it_is(tmp_path: Path) -> None:
    config = load_config(Path(os.devnull), overrides=[f"state.folder={tmp_path}"])
    stored = stored_event()
    lasting = snapshot(State.ANOMALY, events=(anomaly(1.5, None, id=stored.id),))
    over = snapshot(State.NORMAL, events=(anomaly(1.5, 4.0, id=stored.id),))
    assert has_unjudged_anomaly(lasting, config), "there is no store that says otherwise"
    with Store.open(f"sqlite:///{tmp_path / DATABASE}") as store:
        fill(store, {}, [stored])
        assert has_unjudged_anomaly(lasting, config)
        record(store, stored.id, "disturbance", by="ann")
        assert not has_unjudged_anomaly(lasting, config)
        record(store, stored.id, "", by="ann")
        assert has_unjudged_anomaly(lasting, config), "the verdict is withdrawn"
    assert not has_unjudged_anomaly(over, config)
