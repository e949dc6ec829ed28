"""Commissioning learns again while the rate of false alarms is not certain, and says how certain it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.versions import ModelVersions
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.verdicts import record
from support.stored import NOW, fill, minute_values, stored_event
from train.commands.progress import NoProgress
from train.improvement.commissioning import Listened, commission, listened_so_far
from train.improvement.next_model import ImprovedStream


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        yield opened


def heard(store: Store) -> Listened:
    [stream] = queries.streams(store)
    return listened_so_far(store, stream, 1.0)


def test_listening_without_an_alarm_proves_the_budget_after_three_days(store: Store) -> None:
    minutes = minute_values(4.0)
    minutes.seconds["normal"][:] = 60.0
    fill(store, {"pump": minutes})
    found = heard(store)
    assert found.hours == pytest.approx(96, abs=0.1)
    assert found.upper == pytest.approx(3.0 / 4.0, abs=0.01)
    assert found.more_h == 0.0


def test_only_what_was_called_a_real_fault_is_no_false_alarm(store: Store) -> None:
    fill(store, {"pump": minute_values(4.0)}, [stored_event(1), stored_event(2)])
    assert heard(store).alarms == 2
    record(store, stored_event(1).id, "real fault", by="ann")
    record(store, stored_event(2).id, "disturbance", by="ann")
    found = heard(store)
    assert found.alarms == 1
    assert found.more_h > 0


def test_what_was_never_heard_proves_nothing(store: Store) -> None:
    fill(store, {}, [stored_event(1)])
    found = heard(store)
    assert (found.hours, found.upper) == (0.0, np.inf)


def test_nothing_is_learnt_when_the_budget_is_proven(store: Store, bundle: Bundle, tmp_path: Path) -> None:
    score = bundle.thresholds["score"].model_copy(update={"upper": 0.4})
    proven = replace(bundle, thresholds=bundle.thresholds | {"score": score})
    fill(store, {"pump": minute_values(0.1, until=NOW)})
    [stream] = queries.streams(store)
    versions = ModelVersions(tmp_path / "models")
    improved = ImprovedStream(stream, tmp_path / "model.safetensors", versions, proven, proven.config)
    night = commission(improved, store, [], NoProgress(), by="commissioning")
    assert (night.promoted, night.proven, night.report) == (False, True, None)
    assert "Nothing was learnt" in night.sentences()[0]
    assert "commissioning can end" in night.sentences()[1]
    assert json.loads(json.dumps(night.figures()))["bounds"] == [0.4, 0.4]
    assert not versions.folder.exists()
