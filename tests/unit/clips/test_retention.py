"""Old clips are deleted as the settings say; never one that somebody wants to keep, and never a foreign file."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from monitor.clips.clip import NAME
from monitor.clips.clip_records import StoreRecords
from monitor.clips.clip_sink import ClipSink
from monitor.clips.folder import ClipFolder
from monitor.clips.places import LocalClips
from monitor.clips.retention import NoRecords, Retention
from monitor.config.plant import Clips
from monitor.core.events import new_event_id
from monitor.store import queries
from monitor.store.database import Store
from monitor.store.tables import events, verdicts
from monitor.store.writer import StoreWriter
from support.builders import noise, small_bundle
from support.listening import wait_until
from support.logs import logged
from support.outputs import anomaly
from support.snapshots import snapshot

DAY_S = 86_400.0


def settings(**changed: Any) -> Clips:
    return Clips(**{"keep_days": 30, "max_gb": 1, "min_free_gb": 0} | changed)


def clip_of(folder: Path, age_days: float, *, size: int = 1000, event_id: str = "", month: str = "2026/01") -> Path:
    """Writes the files of an event, so many days ago; returns the clip."""
    path = folder / "pump" / month / f"20260101T000000Z-{event_id or new_event_id()}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    for one in (path, path.with_suffix(".png")):
        one.write_bytes(bytes(size // 2))
        os.utime(one, (time.time(), time.time() - age_days * DAY_S))
    return path


def clean(folder: Path, records: Any = None, needed: int = 0, **changed: Any) -> None:
    Retention(LocalClips(folder), settings(**changed), records or NoRecords()).clean(needed)


def test_what_is_too_old_goes_with_its_picture_and_the_empty_folders(tmp_path: Path) -> None:
    new, old = clip_of(tmp_path, 29), clip_of(tmp_path, 31, month="2025/12")
    clean(tmp_path)
    assert new.exists()
    assert new.with_suffix(".png").exists()
    assert not old.with_suffix(".png").exists()
    assert not (tmp_path / "pump/2025").exists()
    new.unlink()
    new.with_suffix(".png").unlink()
    clip_of(tmp_path, 31)
    clean(tmp_path)
    assert tmp_path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_of_too_many_the_oldest_go(tmp_path: Path) -> None:
    clips = [clip_of(tmp_path, age, size=400_000) for age in (1, 4, 2, 3)]
    clean(tmp_path, max_gb=0.001)
    assert [clip.exists() for clip in clips] == [True, False, True, False]
    clean(tmp_path, max_gb=0.001, needed=500_000)
    assert [clip.exists() for clip in clips] == [True, False, False, False]


def test_the_newest_clip_stays_even_if_it_is_larger_than_all_may_be(tmp_path: Path) -> None:
    old, new = clip_of(tmp_path, 2), clip_of(tmp_path, 1, size=3_000_000)
    with logged("monitor") as said:
        clean(tmp_path, max_gb=0.001)
    assert (old.exists(), new.exists()) == (False, True)
    assert "leave no room" not in "".join(said)


def test_where_the_disk_is_full_the_oldest_go_and_no_more_than_needed(tmp_path: Path) -> None:
    clips = [clip_of(tmp_path, age, size=2_000_000) for age in (3, 2, 1)]
    free = shutil.disk_usage(tmp_path).free
    # Other programs use the disk meanwhile, so the amount that is missing is known only roughly.
    clean(tmp_path, min_free_gb=(free + 50e6) / 1e9)
    assert not any(clip.exists() for clip in clips)
    clip = clip_of(tmp_path, 1)
    clean(tmp_path, min_free_gb=free / 2e9)
    assert clip.exists()


def test_files_that_it_has_not_written_stay_whatever_their_age(tmp_path: Path) -> None:
    clip = clip_of(tmp_path, 1000)
    others = [
        clip.with_name(name)
        for name in ("mine.flac", "20260101T000000Z.flac", f"{clip.stem}.txt", f"copy of {clip.name}", "notes.png")
    ]
    for other in others:
        other.write_bytes(b"mine")
        os.utime(other, (0, 0))
    clean(tmp_path, max_gb=0.001, min_free_gb=1e6)
    assert not clip.exists()
    assert all(other.exists() for other in others)


def test_what_a_killed_monitor_has_left_half_written_goes(tmp_path: Path) -> None:
    left = clip_of(tmp_path, 1).parent / ".20260101T000000Z-half.flac.0123456789abcdef.tmp"
    left.touch()
    clean(tmp_path)
    assert left.exists(), "another monitor may be writing it"
    os.utime(left, (0, 0))
    clean(tmp_path)
    assert not left.exists()


def test_a_link_is_deleted_and_not_what_it_points_to(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "clips", 31)
    target = tmp_path / "mine.flac"
    target.write_bytes(b"mine")
    clip.unlink()
    clip.symlink_to(target)
    os.utime(clip, (0, 0), follow_symlinks=False)
    clean(tmp_path / "clips")
    assert not clip.is_symlink()
    assert target.read_bytes() == b"mine"


def test_files_that_vanish_and_a_folder_that_is_not_there_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean(tmp_path / "nothing")
    old, other = clip_of(tmp_path, 31), clip_of(tmp_path, 31)
    unlink = Path.unlink

    def somebody_was_faster(path: Path, missing_ok: bool = False) -> None:
        if path.exists():
            unlink(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", somebody_was_faster)
    with logged("monitor") as said:
        clean(tmp_path)
    assert not old.exists()
    assert not other.exists()
    assert not [line for line in said if "cannot" in line]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


def stored(url: str, folder: Path, *clips: Path) -> None:
    """Writes the events of clips into a store."""
    writer = StoreWriter(url, "here")
    for clip in clips:
        match = NAME.fullmatch(clip.name)
        assert match
        writer.event(anomaly(id=match["event"], stream="pump"))
        name = clip.relative_to(folder)
        writer.files(match["event"], clip=str(name), picture=str(name.with_suffix(".png")), clip_start=5.0, note="")
    writer.close()
    assert writer.error is None


def test_events_with_a_lock_or_a_verdict_keep_their_clips_and_the_others_lose_them_in_the_store(
    tmp_path: Path, url: str
) -> None:
    folder = tmp_path / "clips"
    locked, judged, plain, new = clips = [clip_of(folder, age) for age in (100, 100, 100, 1)]
    stored(url, folder, *clips)
    ids = [clip.stem.partition("-")[2] for clip in clips]
    with Store.open(url) as store, store.begin() as connection:
        connection.execute(events.update().where(events.c.id == ids[0]).values(locked=True))
        connection.execute(
            sa.insert(verdicts).values(event_id=ids[1], verdict="false alarm", time=1.7e9, by="somebody")
        )
    for changed in ({}, {"max_gb": 0.001}, {"min_free_gb": 1e6, "keep_days": 90}):
        clean(folder, StoreRecords(url), **changed)
    assert [clip.exists() for clip in (locked, judged, plain, new)] == [True, True, False, False]
    with Store.open(url) as store:
        found = {one.id: one for one in queries.events(store)}
    assert [bool(found[one].clip) for one in ids] == [True, True, False, False]
    assert (found[ids[2]].picture, found[ids[2]].clip_start) == ("", None)
    assert "deleted (older than 30 days)" in found[ids[2]].note
    assert "clips.min_free_gb" in found[ids[3]].note


def test_where_the_store_does_not_answer_nothing_is_deleted_and_that_is_said(tmp_path: Path) -> None:
    old = clip_of(tmp_path, 100)
    with logged("monitor") as said:
        clean(tmp_path, StoreRecords(f"sqlite:///{tmp_path / 'none' / 'store.sqlite'}"))
    assert old.exists()
    assert "old clips cannot be deleted at present" in said[-1]


def test_clips_that_are_kept_and_leave_no_room_are_said(tmp_path: Path) -> None:
    class All(NoRecords):
        def kept(self, event_ids: Any) -> Any:
            return event_ids

    for age in (1, 2):
        clip_of(tmp_path, age, size=2_000_000)
    retention = Retention(LocalClips(tmp_path), settings(max_gb=0.001), All())
    with logged("monitor") as said:
        for _ in range(3):
            retention.clean()
    assert len([line for line in said if "leave no room" in line]) == 1


def test_a_clip_that_is_kept_counts_whatever_its_age(tmp_path: Path) -> None:
    kept, older, newest = (clip_of(tmp_path, age, size=600_000) for age in (100, 2, 1))

    class Kept(NoRecords):
        def kept(self, event_ids: Any) -> Any:
            return [one for one in event_ids if one in kept.name]

    clean(tmp_path, Kept(), max_gb=0.0015)
    assert [clip.exists() for clip in (kept, older, newest)] == [True, False, True]


def test_old_clips_go_at_the_start_and_after_each_clip(tmp_path: Path) -> None:
    old = clip_of(tmp_path, 31)
    sink = ClipSink(ClipFolder(tmp_path, settings(pictures=False)), small_bundle())
    sink.snapshot(snapshot())
    wait_until(lambda: not old.exists(), "the deletion")
    older = clip_of(tmp_path, 31)
    sink.snapshot(snapshot())
    sink.samples(noise(16_000 * 20))
    sink.event(anomaly(15.0, None))
    assert older.exists(), "the next search is due in an hour"
    sink.close()
    assert not older.exists()
    assert len(list(tmp_path.rglob("*.flac"))) == 1
