"""However many people open an event, it is computed once, and the disk does not fill up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.core.errors import DataError
from monitor.web.event.event_analyses import KEPT, LOCK, PREFIX, EventAnalyses
from monitor.web.event.event_analysis import Facts
from support.listening import DEADLINE_S


@pytest.fixture
def analyses(tmp_path: Path) -> Iterator[EventAnalyses]:
    made = EventAnalyses(tmp_path)
    yield made
    made.close()


def write(folder: Path) -> Facts:
    (folder / "a.png").write_bytes(b"x")
    return {"seconds": 1.0}


def test_two_who_open_an_event_at_once_get_one_computation(analyses: EventAnalyses) -> None:
    go = threading.Event()

    def slow(folder: Path) -> Facts:
        assert go.wait(DEADLINE_S)
        return write(folder)

    async def both() -> None:
        first, second = (asyncio.create_task(analyses.get("event", slow)) for _ in range(2))
        await asyncio.sleep(0)
        go.set()
        assert (await first) is (await second)
        assert (await analyses.get("event", slow)) is first.result()

    asyncio.run(both())
    assert analyses.computed == 1


def test_one_who_leaves_does_not_end_it_for_the_others(analyses: EventAnalyses) -> None:
    go = threading.Event()

    def slow(folder: Path) -> Facts:
        assert go.wait(DEADLINE_S)
        return write(folder)

    async def both() -> None:
        leaves, stays = (asyncio.create_task(analyses.get("event", slow)) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.sleep(0)
        go.set()
        assert (await stays).facts == {"seconds": 1.0}

    asyncio.run(both())
    assert analyses.computed == 1


def test_an_error_is_not_remembered(analyses: EventAnalyses) -> None:
    def fail(folder: Path) -> Facts:
        raise DataError("damaged")

    async def twice() -> None:
        with pytest.raises(DataError):
            await analyses.get("event", fail)
        assert (await analyses.get("event", write)).facts == {"seconds": 1.0}

    asyncio.run(twice())


def test_old_files_are_removed_and_at_the_end_all(analyses: EventAnalyses) -> None:
    async def many() -> list[Path]:
        return [(await analyses.get(number, write)).folder for number in range(KEPT + 5)]

    folders = asyncio.run(many())
    asyncio.run(analyses.get("one more", write))  # behind the removals on the same thread
    assert [folder.exists() for folder in folders[:5]] == [False] * 5
    root = folders[0].parent
    assert root.stat().st_mode & 0o077 == 0  # nobody else reads the sound
    analyses.close()
    assert not root.exists()


def test_what_is_computed_again_after_it_was_forgotten_is_the_same(analyses: EventAnalyses) -> None:
    async def again() -> None:
        first = await analyses.get("first", write)
        for number in range(KEPT + 1):
            await analyses.get(number, write)
        second = await analyses.get("first", write)
        assert second.folder != first.folder
        assert (second.folder / "a.png").read_bytes() == b"x"
        assert not first.folder.exists()

    asyncio.run(again())


def test_sound_that_a_killed_process_has_left_behind_is_removed(analyses: EventAnalyses, tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}killed"
    left.mkdir()
    (left / LOCK).touch()
    (left / "event-all.flac").write_bytes(b"sound")
    folder = asyncio.run(analyses.get("event", write)).folder
    EventAnalyses(tmp_path).close()
    assert not left.exists()
    assert folder.exists()  # of one that lives
