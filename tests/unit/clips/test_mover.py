"""Clips are moved to where all computers see them: in order, whole, once, and only as long as the settings allow."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from monitor.clips import mover as mover_module
from monitor.clips.clip_records import StoreRecords
from monitor.clips.mover import ClipMover, clip_mover
from monitor.clips.retention import NoRecords
from monitor.clips.stored_clips import StoredClips
from monitor.config.plant import Clips, State
from monitor.config.schema import Config
from monitor.core import background_worker
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.object_store import FolderStore, ObjectStore, Stored
from monitor.store.database import Store
from monitor.store.tables import events, verdicts
from support.clip_folders import clip_file, names_in
from support.listening import wait_until
from support.logs import logged
from support.snapshots import snapshot
from support.stored import fill, stored_event


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover_module, "LOOK_S", 0.0)
    monkeypatch.setattr(background_worker, "LAST_RETRY_S", 0.05)
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.05)


class Hall:
    """A monitor with a folder of clips, and the folder that it shares with others."""

    def __init__(
        self, folder: Path, host: str = "hall-a", records: Any = None, store: ObjectStore | None = None, **settings: Any
    ) -> None:
        self.clips, self.shared = folder / host / "clips", folder / "shared"
        self.settings = Clips(**{"min_free_gb": 0, "url": str(self.shared)} | settings)
        self.stored = StoredClips(store or ObjectStore.open(self.settings.url), host)
        self.mover = ClipMover(self.clips, self.stored, self.settings, records or NoRecords(), host)
        self.own = self.shared / host

    def wait(self, condition: Any, what: str) -> None:
        def true() -> bool:
            self.mover.snapshot(snapshot())
            return bool(condition())

        wait_until(true, what)

    def wait_until_moved(self) -> None:
        self.wait(lambda: not names_in(self.clips), "all clips are moved")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


@pytest.fixture
def hall(tmp_path: Path, shared: Path) -> Iterator[Hall]:
    one = Hall(tmp_path)
    yield one
    one.mover.close()


def test_clips_and_pictures_are_moved_into_the_folder_of_their_computer(hall: Hall) -> None:
    for stream in ("pump", "fan"):
        clip_file(hall.clips, stream=stream)
    paths = names_in(hall.clips)
    assert len(paths) == 4
    hall.wait_until_moved()
    assert names_in(hall.own) == paths
    assert hall.mover.trouble == ""
    assert hall.mover.error is None


def test_two_halls_with_the_same_stream_do_not_collide(hall: Hall, tmp_path: Path) -> None:
    other = Hall(tmp_path, "hall b/Öl")
    event = "019ac4f0-0000-7000-8000-0123456789ab"
    for one, content in ((hall, b"of a"), (other, b"of b")):
        clip_file(one.clips, event_id=event, content=content, age_days=1)
        one.wait_until_moved()
    other.mover.close()
    assert sorted({path.read_bytes() for path in hall.shared.rglob("*.flac")}) == [b"of a", b"of b"]
    assert len(list(hall.shared.iterdir())) == 2


def test_files_that_the_monitor_has_not_written_stay(hall: Hall) -> None:
    clip = clip_file(hall.clips)
    for name in ("mine.flac", f".{clip.name}.0123456789abcdef.tmp"):
        clip.with_name(name).write_bytes(b"mine")
    hall.wait(lambda: not clip.exists(), "the clip is moved")
    hall.mover.close()
    assert len(names_in(hall.clips)) == 2
    assert all(path.endswith((".flac", ".png")) for path in names_in(hall.own))
    assert len(names_in(hall.own)) == 2


def test_while_the_place_is_away_clips_stay_and_the_screen_says_why(hall: Hall) -> None:
    hall.shared.rmdir()
    clip_file(hall.clips)
    with logged("monitor") as said:
        hall.wait(lambda: hall.mover.trouble, "the trouble")
        assert hall.mover.trouble == (
            f"{hall.shared}: there is no such folder: create it, or mount its disk; clips wait in {hall.clips}."
        )
        assert len(names_in(hall.clips)) == 2
        assert hall.mover.error is None, "nothing is lost"
        hall.shared.mkdir()
        hall.wait_until_moved()
        hall.wait(lambda: not hall.mover.trouble, "the end of the trouble")
    assert len([line for line in said if "tried again" in line]) == 1
    assert any("works again" in line for line in said)


def test_one_file_that_cannot_be_read_does_not_hold_up_the_others(hall: Hall) -> None:
    bad = clip_file(hall.clips, age_days=3)
    bad.unlink()
    bad.symlink_to(bad)
    good = clip_file(hall.clips)
    with logged("monitor") as said:
        hall.wait(lambda: not good.exists(), "the other clip is moved")
        for _ in range(3):
            clip_file(hall.clips)
        hall.wait(lambda: len(names_in(hall.own)) == 9, "those that came later are moved")
    assert bad.is_symlink()
    assert sum("cannot be moved" in line for line in said) == 1


def test_what_was_killed_before_its_file_was_deleted_goes_on_and_leaves_one(hall: Hall) -> None:
    clip = clip_file(hall.clips)
    hall.stored.add(clip.relative_to(hall.clips).as_posix(), clip.read_bytes())
    hall.wait_until_moved()
    assert len(names_in(hall.own)) == 2


def test_what_the_last_streams_wrote_is_moved_at_the_end_of_the_program(hall: Hall) -> None:
    hall.mover.close()
    clip_file(hall.clips)
    hall.mover.finish()
    assert len(names_in(hall.own)) == 2
    assert names_in(hall.clips) == []


def test_what_cannot_be_moved_at_the_end_is_said_and_stays(hall: Hall) -> None:
    hall.mover.close()
    clip_file(hall.clips)
    hall.shared.rmdir()
    with logged("monitor") as said:
        hall.mover.finish()
    assert "2 files wait" in "".join(said)
    assert "no such folder" in "".join(said)
    assert len(names_in(hall.clips)) == 2


def test_old_clips_go_by_their_sound_and_each_computer_deletes_its_own(hall: Hall, tmp_path: Path) -> None:
    other = Hall(tmp_path, "hall-b")
    other.mover.close()
    for one in (hall, other):
        for age in (200, 1):
            clip = clip_file(tmp_path / "made" / one.own.name, age_days=age)
            one.stored.add(clip.relative_to(tmp_path / "made" / one.own.name).as_posix(), b"sound")
    hall.wait(lambda: len(names_in(hall.own)) == 1, "the old clip is deleted")
    assert len(names_in(other.own)) == 2


def test_of_too_many_the_oldest_go(tmp_path: Path, shared: Path) -> None:
    hall = Hall(tmp_path, max_gb=0.001)
    clips = [clip_file(hall.clips, age_days=age, content=bytes(200_000)) for age in (3, 2, 1)]
    hall.wait_until_moved()
    hall.mover.close()
    again = Hall(tmp_path, max_gb=0.001)
    again.wait(lambda: len(names_in(again.own)) == 4, "the oldest clip is deleted")
    again.mover.close()
    assert clips[0].stem not in "".join(names_in(again.own))


def test_on_a_full_disk_the_clips_wait(tmp_path: Path, shared: Path) -> None:
    hall = Hall(tmp_path, min_free_gb=1e6)
    clip_file(hall.clips)
    hall.wait(lambda: "1e+06 GB would remain free (clips.min_free_gb)" in hall.mover.trouble, "the trouble")
    hall.mover.close()
    assert len(names_in(hall.clips)) == 2


class Counting(FolderStore):
    """Counts how often its files are listed."""

    listed = 0

    def list(self, prefix: str = "") -> Iterator[Stored]:
        self.listed += 1
        return super().list(prefix)


def test_the_files_in_the_store_are_listed_once(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover_module, "CLEANING_S", 0.0)
    store = Counting(shared)
    hall = Hall(tmp_path, store=store)
    for _ in range(3):
        clip_file(hall.clips)
        hall.wait_until_moved()
    hall.wait(lambda: store.listed, "the list")
    old = clip_file(hall.clips, age_days=300)
    hall.wait(lambda: not old.exists() and len(names_in(hall.own)) == 6, "the old clip is moved and deleted")
    hall.mover.close()
    assert store.listed == 1


def store_with(folder: Path, ids: Sequence[str], host: str) -> str:
    url = f"sqlite:///{folder / 'store.sqlite'}"
    with Store.open(url) as store:
        fill(store, {}, [stored_event(id=one, host=host, clip="a.flac") for one in ids])
    return url


def test_events_with_a_verdict_or_a_lock_keep_their_clips_and_the_others_are_forgotten(
    tmp_path: Path, shared: Path
) -> None:
    ids = [f"019ac4f0-{number:04x}-7000-8000-0123456789ab" for number in range(3)]
    url = store_with(tmp_path, ids, "hall-a")
    with Store.open(url) as store, store.begin() as connection:
        connection.execute(
            sa.insert(verdicts).values(event_id=ids[0], verdict="real fault", by="mia", time=time.time())
        )
        connection.execute(sa.update(events).where(events.c.id == ids[1]).values(locked=True))
    hall = Hall(tmp_path, records=StoreRecords(url))
    for one in ids:
        clip = clip_file(tmp_path / "made", age_days=200, event_id=one)
        hall.stored.add(clip.relative_to(tmp_path / "made").as_posix(), b"sound")
    hall.wait(lambda: len(names_in(hall.own)) == 2, "the clip of the third event is deleted")
    hall.mover.close()
    with Store.open(url) as store, store.reading() as connection:
        found = dict(connection.execute(sa.select(events.c.id, events.c.clip)).all())
    assert [bool(found[one]) for one in ids] == [True, True, False]


def test_clips_of_a_time_when_the_computer_had_another_name_stay_where_they_are_found(
    tmp_path: Path, shared: Path
) -> None:
    event = "019ac4f0-0000-7000-8000-0123456789ab"
    hall = Hall(tmp_path, records=StoreRecords(store_with(tmp_path, [event], "localhost")))
    before, new = clip_file(hall.clips, event_id=event), clip_file(hall.clips)
    hall.wait(lambda: not new.exists(), "the new clip is moved")
    hall.mover.close()
    assert before.exists()


class Away(NoRecords):
    def of_others(self, event_ids: Sequence[str], host: str) -> Collection[str]:
        raise MonitorError("The store does not answer.")


def test_while_the_store_of_events_is_away_clips_wait(tmp_path: Path, shared: Path) -> None:
    hall = Hall(tmp_path, records=Away())
    clip_file(hall.clips)
    hall.wait(lambda: "The store does not answer" in hall.mover.trouble, "the trouble")
    hall.mover.close()
    assert len(names_in(hall.clips)) == 2


@pytest.mark.parametrize("url", ["{}/clips", "{}/clips/shared", "{}"])
def test_clips_cannot_be_moved_into_their_own_folder(url: str, tmp_path: Path) -> None:
    clips = Clips(folder=tmp_path / "clips", url=url.format(tmp_path))
    with pytest.raises(ConfigError, match="must not be in one another"):
        clip_mover(Config(state=State(folder=tmp_path / "state"), clips=clips), None)
