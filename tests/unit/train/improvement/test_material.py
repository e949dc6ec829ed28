"""Verdicts decide what is learnt, what has to be reported, and what is neither; nothing vanishes silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.audio.writer import as_int16
from monitor.bundle.bundle import Bundle
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.core.errors import DataError
from monitor.normal_sound.piece_writing import write_piece
from monitor.normal_sound.quarantine import Anomaly, write_anomalies
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.records import StoredStream
from monitor.store.verdicts import record
from support.builders import RATE, noise, write_sound
from support.pieces import unwritten
from support.stored import NOW, fill, stored_event
from train.commands.progress import NoProgress
from train.improvement.material import gather, verdicts_of_events

HOUR = 3600.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(
        Path("/dev/null"), overrides=[f"state.folder={tmp_path / 'state'}", f"train.cache_dir={tmp_path / 'cache'}"]
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        yield opened


def the_stream(store: Store) -> StoredStream:
    [found] = queries.streams(store)
    return found


def clip(config: Config, number: int) -> str:
    """Writes the clip of an event, and returns its path in the folder of clips."""
    assert config.state.folder is not None
    name = f"pump/{number}.flac"
    path = config.state.folder / "clips" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sound(path, noise(30 * RATE, seed=number), subtype="PCM_16")
    return name


def test_each_verdict_decides_what_a_clip_is_for(store: Store, config: Config, bundle: Bundle, tmp_path: Path) -> None:
    said = ["new but normal", "real fault", "disturbance", "maintenance", "sensor", ""]
    events = [
        stored_event(number, clip=clip(config, number), clip_start=NOW - 3600.0 * number - 610) for number in range(6)
    ]
    # No clip: of an event that nobody could hear, and of one whose file was deleted.
    events += [stored_event(6, clip=None), stored_event(7, clip="pump/gone.flac", clip_start=NOW - 9e4)]
    fill(store, {}, events)
    for event, verdict in zip(events, [*said, "real fault", ""], strict=True):
        if verdict:
            record(store, event.id, verdict, by="ann")
    (tmp_path / "more").mkdir()
    write_sound(tmp_path / "more" / "a.wav", noise(30 * RATE, seed=90))
    found = gather(bundle, config, store, the_stream(store), [tmp_path / "more"], NoProgress())
    ids = [event.id for event in events]
    assert [one.event.id for one in found.learnt] == [ids[0]]
    assert [one.event.id for one in found.faults] == [ids[1]]
    assert [one.event.id for one in found.no_fault] == [ids[4], ids[3], ids[2]]  # oldest first
    assert [one.event.id for one in found.unjudged] == [ids[5]]
    assert {one.id for one in found.without_sound} == {ids[6], ids[7]}
    assert (found.learnt[0].onset_s, found.learnt[0].end_s) == (10.0, pytest.approx(30.0, abs=0.05))
    assert len(found.given) == 1
    verdicts = verdicts_of_events(queries.events(store))
    assert verdicts == dict(zip([*ids[:5], ids[6]], [*said[:5], "real fault"], strict=True))


def test_pieces_near_an_anomaly_are_held_back_until_it_is_judged(store: Store, config: Config, bundle: Bundle) -> None:
    assert config.state.folder is not None
    folder = config.state.folder / "normal" / "pump"
    event = stored_event(0, clip=None)
    fill(store, {}, [event])
    for hours in (-100, -50, -2):
        piece = unwritten(event.onset + hours * HOUR, 1.0, sample_rate=RATE)
        write_piece(replace(piece, path=folder / piece.path.name), as_int16(noise(RATE, seed=hours + 200)))
    write_anomalies(folder, [Anomaly(event.id, event.onset, event.onset + 45 * 60, sudden=False)])
    found = gather(bundle, config, store, the_stream(store), [], NoProgress())
    assert (len(found.stored), found.held_back) == (2, 1)
    record(store, event.id, "disturbance", by="ann")
    found = gather(bundle, config, store, the_stream(store), [], NoProgress())
    assert (len(found.stored), found.held_back) == (3, 0)


def test_the_recordings_of_the_training_are_found_again(
    store: Store, config: Config, bundle: Bundle, data: Path
) -> None:
    fill(store, {}, [stored_event(0, clip=None)])
    assert Path(bundle.provenance["data"]).name == data.name
    # Beside other processes that test, the model may be of the same data in the folder of another one.
    bundle = replace(bundle, provenance=bundle.provenance | {"data": str(data)})
    assert len(gather(bundle, config, store, the_stream(store), [], NoProgress()).trained) == 10


def test_without_any_normal_sound_one_sentence_says_what_to_do(store: Store, config: Config, bundle: Bundle) -> None:
    fill(store, {}, [stored_event(0, clip=None)])
    moved = replace(bundle, provenance=bundle.provenance | {"data": "/no/such/folder"})
    with pytest.raises(DataError, match=r"no normal sound of pump .*--normal FOLDER"):
        gather(moved, config, store, the_stream(store), [], NoProgress())


def test_the_newest_day_of_normal_sound_is_known(store: Store, config: Config, bundle: Bundle) -> None:
    fill(store, {}, [stored_event(1)])
    stream = the_stream(store)
    assert config.state.folder is not None
    for number, hours in enumerate((100, 80, 60, 55)):  # long after the anomaly
        began = NOW + 1000 * HOUR - hours * HOUR
        piece = unwritten(began, sample_rate=RATE)
        path = config.state.folder / "normal" / stream.name / piece.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_piece(replace(piece, path=path), as_int16(noise(10 * RATE, seed=number)))
    found = gather(bundle, config, store, stream, [], NoProgress())
    assert len(found.stored) == 4
    assert found.recent == found.stored[2:]
