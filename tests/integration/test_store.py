"""Bad days of the store: kill -9, a locked or full database, a server that is restarted. What was written is there."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.core import background_worker
from monitor.core.events import Event
from monitor.runtime.builder import build_engine
from monitor.store import database, queries
from monitor.store.database import Store
from monitor.store.minute_row import STATES
from monitor.store.recorder import Recorder
from monitor.store.records import StoredEvent
from monitor.store.writer import StoreWriter
from support.builders import RATE, noise, small_config
from support.listening import HandFedSource, alarmed_by_loud_noise, plan, wait_until
from support.postgres import postgres_server

START = 1_764_252_000.0
# Writes events and minutes as fast as it can, and says what is committed.
WRITING = """
import sys, threading
from monitor.core import background_worker
from monitor.core.events import Event
from monitor.store.minute_row import MinuteRow
from monitor.store.writer import StoreWriter
url, first = sys.argv[1], int(sys.argv[2])
writer, number = StoreWriter(url, "hall-3"), first
committed = threading.Semaphore(0)
writer.after_commit = committed.release
while True:
    at = 1_764_252_000.0 + number
    writer.event(Event("anomaly", number, number + 1.0, at, "mic", stream="pump"))
    writer.event(Event("off", number, None, at, "mic", stream="pump"))
    writer.minute(MinuteRow("pump", 29_404_200 + number, seconds={"normal": 60.0}))
    number += 1
    if number % 10 == 0:
        committed.acquire()
        while writer._waiting or writer._writing:
            committed.acquire()
        print(number, flush=True)
"""


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that failed is tried again soon, so that the tests take seconds."""
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(background_worker, "LAST_RETRY_S", 0.1)


def event(number: int) -> Event:
    return Event("anomaly", number, number + 5.0, START + number, "mic", stream="pump")


def stored(url: str) -> list[StoredEvent]:
    with Store.open(url, create=False) as store:
        return queries.events(store, newest_first=False)


@pytest.mark.long
def test_kill_9_at_any_moment_loses_nothing_that_was_finished(store_url: str) -> None:
    moments = random.Random(7)
    expected: set[int] = set()
    for start in (0, 10_000, 20_000):
        process = subprocess.Popen([sys.executable, "-c", WRITING, store_url, str(start)], stdout=subprocess.PIPE)
        assert process.stdout
        for _ in range(moments.randint(1, 5)):
            said = int(process.stdout.readline())
        time.sleep(moments.random() * 0.02)  # anywhere in a transaction
        process.send_signal(signal.SIGKILL)
        said = max([said, *map(int, process.stdout.read().split())])
        process.wait()
        expected |= set(range(start, said))
        finished = [round(one.start_s) for one in stored(store_url) if one.kind == "anomaly"]
        assert len(set(finished)) == len(finished)  # nothing is there twice
        assert expected <= set(finished)
        with Store.open(store_url) as store:
            values = queries.minutes(store, 1, since=0, until=1e10)
        assert expected <= {round(time / 60) - 29_404_200 for time in values.time}
    writer = StoreWriter(store_url, "hall-3")  # the next start ends what was left open
    writer.event(event(0))
    writer.close()
    assert writer.error is None
    assert all(one.ended is not None for one in stored(store_url))


def test_a_store_that_another_process_locks_gets_everything_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.1)
    file = tmp_path / "store.sqlite"
    Store.open(f"sqlite:///{file}").close()
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout
    assert other.stdout.readline() == b"locked\n"
    writer = StoreWriter(f"sqlite:///{file}", "hall-3")
    for number in range(200):
        writer.event(event(number))
    wait_until(lambda: "locked" in writer.trouble, "the trouble")
    assert stored(f"sqlite:///{file}") == []  # reading goes on
    other.communicate()
    wait_until(lambda: not writer.trouble, "the recovery")
    writer.close()
    assert (writer.error, len(stored(f"sqlite:///{file}"))) == (None, 200)


def test_a_server_that_is_restarted_gets_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres_server() as server:  # one of its own, because it is stopped
        url = server.new_database()
        writer = StoreWriter(url, "hall-3", close_s=60.0)
        stop = threading.Event()
        written = 0

        def write() -> None:
            nonlocal written
            while not stop.is_set() and written < 5000:
                writer.event(event(written))
                written += 1
                time.sleep(0.001)

        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: written > 50, "some events")
        server.stop()
        wait_until(lambda: writer.trouble, "the trouble")
        server.start()
        wait_until(lambda: not writer.trouble, "the recovery")
        stop.set()
        thread.join()
        writer.close()
        assert writer.error is None
        assert [one.start_s for one in stored(url)] == list(range(written))


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A disk of so many megabytes at a folder; skips the test where none may be mounted."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_nothing_that_fits_into_memory_once_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder, 2):
        url = f"sqlite:///{folder / 'store.sqlite'}"
        writer = StoreWriter(url, "hall-3")
        writer.event(event(0))
        wait_until(lambda: not writer._waiting and not writer._writing, "the first event")
        ballast = folder / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        for number in range(1, 3000):
            writer.event(event(number))
        wait_until(lambda: "disk is full" in writer.trouble, "the trouble")
        assert stored(url)[0].start_s == 0  # what was there can be read
        ballast.unlink()
        wait_until(lambda: not writer.trouble, "the recovery")
        writer.close()
        assert writer.error is None
        assert [one.start_s for one in stored(url)] == list(range(3000))


def test_what_a_live_stream_hears_is_in_the_store(tmp_path: Path) -> None:
    """Sound, a fault and silence of a source that the test writes: the seconds of the minutes are those that passed."""
    config = small_config("alarm.warm_up_s=0", "alarm.block_s=0.1", "alarm.hold_s=0.5", "alarm.release_s=0.5")
    bundle = alarmed_by_loud_noise(config)
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    writer = StoreWriter(url, "hall-3")
    source = HandFedSource(live=False)
    began = time.time()
    engine = build_engine(
        [plan(bundle, source, config=config, name="pump", sinks=[Recorder(writer)])], device="cpu", precision="float32"
    )
    with engine:
        for amplitude, seconds in ((0.1, 20), (0.4, 5), (0.1, 15)):
            source.write(noise(seconds * RATE, seed=seconds, amplitude=amplitude))
        source.end()
        wait_until(lambda: engine.finished, "the end of the sound")
    writer.close()
    assert writer.error is None
    with Store.open(url, create=False) as store:
        [stream] = queries.streams(store)
        found = queries.events(store, newest_first=False)
        values = queries.minutes(store, stream.id, since=began - 60, until=began + 3600)
    [anomaly] = [one for one in found if one.kind == "anomaly"]
    assert anomaly.onset == pytest.approx(found[0].onset, abs=3.0)
    assert anomaly.peak_share is not None
    assert anomaly.peak_share > 1
    assert anomaly.mean_share is not None
    assert 0 < anomaly.mean_share <= anomaly.peak_share
    assert sum(values.seconds[state].sum() for state in STATES) == pytest.approx(40, abs=1.5)
    assert values.seconds["anomaly"].sum() >= 4
    assert np.nanmax(values.share_max) == pytest.approx(anomaly.peak_share, abs=1e-2)
    assert np.isfinite(values.level).any()
