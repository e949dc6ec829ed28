"""Nothing but the sound of an event can be had through its path in the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.clips.access import NoClip
from monitor.web.event.event_media import sound_file
from support.clip_folders import access_to
from support.stored import stored_event


@pytest.mark.parametrize("path", ["", "pump/notes.txt", "../secret.flac", "pump/a.png", "pump"])
def test_only_sound_in_the_folder_of_clips_is_served(path: str, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    (clips / "pump").mkdir(parents=True)
    for name in ("pump/a.flac", "pump/a.png", "pump/notes.txt", "../secret.flac"):
        (clips / name).write_bytes(b"sound")
    assert sound_file(access_to(clips), stored_event(clip="pump/a.flac")).read_bytes() == b"sound"
    with pytest.raises(NoClip):
        sound_file(access_to(clips), stored_event(clip=path))
