"""Nothing but the sound of an event can be had through its path in the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.web.event.event_media import PICTURE, SOUND, NoMedia, media_file


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "pump").mkdir(parents=True)
    (folder / "pump" / "a.flac").write_bytes(b"sound")
    (tmp_path / "secret.flac").write_bytes(b"secret")
    return folder


def test_a_clip_is_found(clips: Path) -> None:
    assert media_file(clips, "pump/a.flac", SOUND).read_bytes() == b"sound"


@pytest.mark.parametrize(
    "path",
    ["", "../secret.flac", "pump/../../secret.flac", "/etc/passwd", "{root}/secret.flac", "pump", "pump/a.flac\0", "."],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(path: str, clips: Path) -> None:
    with pytest.raises(NoMedia):
        media_file(clips, path.format(root=clips.parent), SOUND)


def test_a_link_that_leads_out_of_the_folder_is_refused(clips: Path) -> None:
    (clips / "pump" / "link.flac").symlink_to(clips.parent / "secret.flac")
    (clips / "fan").symlink_to(clips.parent)
    for path in ("pump/link.flac", "fan/secret.flac"):
        with pytest.raises(NoMedia):
            media_file(clips, path, SOUND)


def test_links_that_go_round_in_a_circle_are_refused(clips: Path) -> None:
    (clips / "a.flac").symlink_to(clips / "b.flac")
    (clips / "b.flac").symlink_to(clips / "a.flac")
    with pytest.raises(NoMedia):
        media_file(clips, "a.flac", SOUND)


def test_the_folder_itself_may_be_a_link(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(clips)
    assert media_file(tmp_path / "link", "pump/a.flac", SOUND).read_bytes() == b"sound"


def test_other_files_and_what_is_no_file_are_refused(clips: Path) -> None:
    (clips / "folder.flac").mkdir()
    (clips / "notes.txt").write_text("x")
    for path, suffixes in (("folder.flac", SOUND), ("notes.txt", SOUND), ("pump/a.flac", PICTURE)):
        with pytest.raises(NoMedia):
            media_file(clips, path, suffixes)


def test_a_clip_that_was_deleted_by_hand_says_so(clips: Path) -> None:
    with pytest.raises(NoMedia, match="is gone"):
        media_file(clips, "pump/b.flac", SOUND)
