"""A clip is found wherever it is, and nothing else can be had through its path in the database."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from monitor.clips.access import NoClip
from monitor.clips.clip_cache import ClipCache
from monitor.core.object_store import ObjectStoreError
from support.clip_folders import access_to, names_in

DAY_S = 86_400.0


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "pump").mkdir(parents=True)
    (folder / "pump" / "a.flac").write_bytes(b"sound")
    (tmp_path / "secret.flac").write_bytes(b"secret")
    return folder


def test_a_clip_is_found(clips: Path) -> None:
    access = access_to(clips)
    assert access.local("hall", "pump/a.flac") == clips / "pump/a.flac"
    assert access.read("hall", "pump/a.flac") == b"sound"
    assert access.size("hall", "pump/a.flac") == 5
    assert access.where("hall", "pump/a.flac") == str(clips / "pump/a.flac")


@pytest.mark.parametrize(
    "path",
    ["", "../secret.flac", "pump/../../secret.flac", "/etc/passwd", "{root}/secret.flac", "pump", "pump/a.flac\0", "."],
)
@pytest.mark.parametrize("url", ["", "{root}/shared"])
def test_a_path_that_leads_out_of_the_folder_is_refused(path: str, url: str, clips: Path) -> None:
    (clips.parent / "shared" / "hall").mkdir(parents=True)
    access = access_to(clips, url.format(root=clips.parent))
    for ask in (access.local, access.read, access.size):
        with pytest.raises(NoClip):
            ask("hall", path.format(root=clips.parent))
        with pytest.raises(NoClip):
            ask("..", path.format(root=clips.parent))


def test_a_link_that_leads_out_of_the_folder_is_refused(clips: Path) -> None:
    (clips / "pump" / "link.flac").symlink_to(clips.parent / "secret.flac")
    (clips / "fan").symlink_to(clips.parent)
    for path in ("pump/link.flac", "fan/secret.flac"):
        with pytest.raises(NoClip):
            access_to(clips).local("hall", path)


def test_links_that_go_round_in_a_circle_are_refused(clips: Path) -> None:
    (clips / "a.flac").symlink_to(clips / "b.flac")
    (clips / "b.flac").symlink_to(clips / "a.flac")
    with pytest.raises(NoClip):
        access_to(clips).local("hall", "a.flac")


def test_the_folder_itself_may_be_a_link(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(clips)
    assert access_to(tmp_path / "link").local("hall", "pump/a.flac").read_bytes() == b"sound"


def test_a_clip_that_was_deleted_by_hand_says_so(clips: Path) -> None:
    with pytest.raises(NoClip, match="is gone"):
        access_to(clips).local("hall", "pump/b.flac")


def test_what_is_no_file_is_refused(clips: Path) -> None:
    os.mkfifo(clips / "pipe.flac")
    with pytest.raises(NoClip):
        access_to(clips).read("hall", "pipe.flac")


def test_a_clip_of_another_computer_is_found_in_the_shared_folder(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "shared/hall-b/pump").mkdir(parents=True)
    (tmp_path / "shared/hall-b/pump/a.flac").write_bytes(b"of hall b")
    access = access_to(tmp_path / "none", str(tmp_path / "shared"))
    assert access.local("hall-b", "pump/a.flac").read_bytes() == access.read("hall-b", "pump/a.flac") == b"of hall b"
    assert access.size("hall-b", "pump/a.flac") == 9
    assert access.where("hall-b", "pump/a.flac") == str(tmp_path / "shared/hall-b/pump/a.flac")
    with pytest.raises(NoClip, match="is gone"):
        access.local("hall-a", "pump/a.flac")


def test_a_shared_folder_that_is_not_mounted_is_not_taken_for_missing_clips(tmp_path: Path) -> None:
    access = access_to(tmp_path / "clips", str(tmp_path / "shared"))
    with pytest.raises(ObjectStoreError, match="mount its disk"):
        access.local("hall-b", "pump/a.flac")


def test_a_clip_that_is_about_to_be_moved_can_still_be_read_after_that(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    found = access_to(clips, str(tmp_path / "shared")).local("hall", "pump/a.flac")
    (clips / "pump/a.flac").unlink()
    assert found.read_bytes() == b"sound"


def test_copies_that_nobody_has_asked_for_go_and_those_in_use_stay(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path / "copies", max_bytes=25)
    now = time.time()
    for name, hours in (("days ago", 40), ("today", 20), ("lately", 7), ("just now", 0)):
        copy = cache.put(f"hall/{name}", bytes(10))
        os.utime(copy, (now - hours * 3600, now))
    cache.put("hall/new", bytes(10))
    assert [one.partition("-")[2] for one in names_in(tmp_path / "copies")] != []
    assert {one.partition("-")[2] for one in names_in(tmp_path / "copies")} == {"lately", "just now", "new"}
    assert cache.get("hall/today") is None


def test_using_a_copy_does_not_make_the_clip_look_newer(clips: Path, tmp_path: Path) -> None:
    clip = clips / "pump/a.flac"
    os.utime(clip, (1.7e9, 1.7e9))
    cache = ClipCache(tmp_path / "copies")
    assert cache.keep("hall/pump/a.flac", clip) == cache.get("hall/pump/a.flac")
    assert clip.stat().st_mtime == 1.7e9
