"""Disks that become full are noticed, also before the folder on them exists."""

from __future__ import annotations

from pathlib import Path

from monitor.service.disk_space import WatchedFolder, disk_facts


def test_a_disk_with_less_than_the_least_is_low(tmp_path: Path) -> None:
    enough, low = disk_facts([WatchedFolder("state", tmp_path, 1), WatchedFolder("clips", tmp_path, 1 << 62)])
    assert (enough["low"], low["low"]) == (False, True)
    assert enough["free_bytes"] == low["free_bytes"] > 0


def test_where_nobody_can_look_the_free_space_is_not_known_and_the_others_are(tmp_path: Path) -> None:
    unknown, known = disk_facts([WatchedFolder("clips", tmp_path / ("x" * 300)), WatchedFolder("state", tmp_path)])
    assert (unknown["free_bytes"], unknown["low"]) == (None, False)
    assert known["free_bytes"] > 0


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_the_one_above(tmp_path: Path) -> None:
    [facts] = disk_facts([WatchedFolder("clips", tmp_path / "not" / "yet", 1)])
    assert facts["free_bytes"] > 0
