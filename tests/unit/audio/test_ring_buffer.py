"""The ring gives every sample once, intact and in its place, or counts it as lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio import ring_buffer
from monitor.audio.ring_buffer import RingReader, SampleRing, Taken, read_rows
from monitor.config.setting_types import Channel
from monitor.core.errors import DataError
from support.listening import DEADLINE_S


def numbered(first: int, count: int, channels: int = 1) -> np.ndarray:
    """Samples that are their own absolute index, a quarter more in each further channel: (count, channels)."""
    return (np.arange(first, first + count)[:, None] + 0.25 * np.arange(channels)).astype(np.float32)


def heard(block: np.ndarray, channel: Channel) -> np.ndarray:
    """What a reader of this channel takes for a block (n, channels)."""
    return block.mean(axis=1, dtype=np.float64) if channel == "mix" else block[:, channel]


def account(taken: list[Taken], written: int) -> None:
    """Captured = taken + lost, and each sample taken is the one of its index."""
    at = 0
    for one in taken:
        assert one.lost >= 0
        at += one.lost
        assert one.first == at
        assert np.array_equal(one.samples, numbered(at, len(one.samples))[:, 0])
        at += len(one.samples)
    assert at == written


class Block:
    """A block that calls back while the ring copies it, as if another thread ran just then."""

    def __init__(self, samples: np.ndarray, meanwhile: Callable[[], None]) -> None:
        self._samples, self._meanwhile = samples, meanwhile

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, part: slice) -> np.ndarray:
        self._meanwhile()
        return self._samples[part]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 20)),
        st.tuples(st.just("take"), st.integers(0, 60)),
        st.tuples(st.sampled_from(["write all", "skip"]), st.just(0)),
    ),
    max_size=40,
)


@st.composite
def channel_of(draw: st.DrawFn) -> tuple[int, Channel]:
    """How many channels a ring has, and which one is read."""
    channels = draw(st.integers(1, 4))
    return channels, draw(st.just("mix") | st.integers(0, channels - 1))


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, capacity=st.integers(20, 45), channels=channel_of())
def test_every_sample_is_taken_once_in_order_or_counted_lost(
    steps: list[tuple[str, int]], capacity: int, channels: tuple[int, Channel]
) -> None:
    """Against a plain list of all that was ever written."""
    count, channel = channels
    ring = SampleRing(capacity, count)
    reader = RingReader(ring, channel)
    written = np.empty((0, count), np.float32)
    read = 0
    for step, n in steps:
        if step == "take":
            waiting = len(written) - read
            assert reader.available == waiting
            taken = reader.take(n)
            # Nothing is lost unless more waits than the ring holds; then the newest half ring is what is left.
            assert taken.lost == (0 if waiting <= capacity else waiting - capacity // 2)
            assert taken.first == read + taken.lost
            assert len(taken.samples) == min(n, waiting - taken.lost)
            assert taken.samples.dtype == np.float32
            expected = heard(written[taken.first : taken.first + len(taken.samples)], channel)
            np.testing.assert_array_equal(taken.samples, expected.astype(np.float32))
            read = taken.first + len(taken.samples)
        elif step == "skip":
            assert reader.skip() == len(written) - read
            read = len(written)
        else:
            block = numbered(len(written), capacity if step == "write all" else n, count)
            ring.write(block)
            written = np.concatenate((written, block))
        assert reader.written == ring.written == len(written)
        assert reader.read == read
        assert reader.free == capacity - (len(written) - read)


def test_an_empty_ring_gives_nothing() -> None:
    taken = RingReader(SampleRing(10, 2)).take(5)
    assert taken.samples.shape == (0,)
    assert (taken.first, taken.lost) == (0, 0)


@pytest.mark.parametrize(("channel", "available"), [(2, 2), (1, 1), (127, 8)])
def test_a_channel_that_the_ring_does_not_have_is_refused(channel: int, available: int) -> None:
    with pytest.raises(DataError, match=f"no channel {channel}, only {available} channel"):
        RingReader(SampleRing(10, available), channel)


@pytest.mark.parametrize("channel", ["mix", 0])
def test_what_was_taken_is_a_copy_and_what_was_written_is_copied(channel: Channel) -> None:
    ring = SampleRing(8)
    reader = RingReader(ring, channel)
    block = numbered(0, 8)
    ring.write(block)
    block[:] = -1
    taken = reader.take(8)
    ring.write(numbered(100, 8))
    assert np.array_equal(taken.samples, numbered(0, 8)[:, 0])


def test_a_block_longer_than_the_ring_is_refused_and_leaves_it_as_it_was() -> None:
    ring = SampleRing(8)
    reader = RingReader(ring)
    ring.write(numbered(0, 3))
    with pytest.raises(ValueError, match="does not fit"):
        ring.write(numbered(3, 9))
    assert np.array_equal(reader.take(10).samples, numbered(0, 3)[:, 0])


def test_writing_needs_no_memory_but_the_rings() -> None:
    ring = SampleRing(16)
    before = ring.samples
    for start in range(0, 200, 7):
        ring.write(numbered(start, 7))
    assert ring.samples is before


def test_each_reader_of_a_ring_has_all_of_its_channel_at_its_own_pace() -> None:
    ring = SampleRing(100, 2)
    quick, slow = RingReader(ring, 0), RingReader(ring, 1)
    sound = numbered(0, 500, 2)
    taken = []
    for start in range(0, 500, 20):
        ring.write(sound[start : start + 20])
        taken.append(quick.take(100).samples)
        if start == 60:
            np.testing.assert_array_equal(slow.take(100).samples, sound[:80, 1])
    np.testing.assert_array_equal(np.concatenate(taken), sound[:, 0])
    late = slow.take(500)
    assert late.lost == late.first - 80 > 0
    np.testing.assert_array_equal(late.samples, sound[late.first :, 1])


# Several readers at once


@settings(max_examples=100, deadline=None)
@given(
    channels=st.integers(1, 4),
    columns=st.lists(st.just("mix") | st.integers(0, 3), min_size=1, max_size=5),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
)
def test_readers_that_are_read_together_get_what_each_gets_alone(
    channels: int, columns: list[Channel], sizes: list[int]
) -> None:
    """Also where the ring begins anew, and where samples were overwritten: then nothing is read."""
    ring = SampleRing(40, channels)
    chosen: list[Channel] = [one if one == "mix" else one % channels for one in columns]
    together, alone = ([RingReader(ring, one) for one in chosen] for _ in range(2))
    for size in sizes:
        ring.write(numbered(ring.written, size, channels))
        available = together[0].available
        count = available - size // 3
        out = np.zeros((len(chosen), count), np.float32)
        read = read_rows(together, out)
        assert read == [available <= 40] * len(together)
        for reader, other, row in zip(together, alone, out, strict=True):
            if available <= 40:
                np.testing.assert_array_equal(row, other.take(count).samples)
            else:
                assert reader.take(count).lost == other.take(count).lost > 0
            assert reader.read == other.read


def test_what_is_overwritten_after_it_was_looked_at_is_not_read_but_counted_lost() -> None:
    ring = SampleRing(40)
    reader = RingReader(ring)
    ring.write(numbered(0, 30, 1))
    seen = reader.next(20)
    ring.write(numbered(30, 11, 1))
    assert seen[0] == 40, "it is the ring itself, without a copy"
    assert not reader.advance(20)
    assert reader.take(20).lost > 0


# Both at the same time


@settings(max_examples=150, deadline=None)
@given(
    capacity=st.integers(16, 40),
    steps=st.lists(st.tuples(st.integers(0, 8), st.lists(st.integers(0, 30), max_size=2)), max_size=30),
)
def test_a_reader_in_the_midst_of_a_write_gets_only_whole_samples(
    capacity: int, steps: list[tuple[int, list[int]]]
) -> None:
    """The reader reads just before a part of a block is copied: what is being overwritten is never handed out."""
    ring = SampleRing(capacity)
    reader = RingReader(ring)
    taken: list[Taken] = []
    for size, amounts in steps:

        def read(amounts: list[int] = amounts) -> None:
            taken.extend(reader.take(n) for n in amounts)

        ring.write(Block(numbered(ring.written, size), read))  # type: ignore[arg-type]
    while reader.available:
        taken.append(reader.take(capacity))
    account(taken, ring.written)


@pytest.mark.parametrize("copies", [1, 2])
def test_what_is_overwritten_while_it_is_copied_is_counted_lost_and_not_handed_out(
    copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer runs in the midst of the reader's copy: before its first part, and before its second one."""
    ring = SampleRing(20)
    ring.write(numbered(0, 10))
    reader = RingReader(ring)
    reader.skip()
    ring.write(numbered(10, 20))  # round the ring's end: it is read in two parts
    select, seen = ring_buffer.select_channel, []

    def interrupted(block: np.ndarray, channel: Channel) -> np.ndarray:
        seen.append(len(block))
        if len(seen) == copies:
            ring.write(numbered(30, 5))
        return select(block, channel)

    monkeypatch.setattr(ring_buffer, "select_channel", interrupted)
    torn = reader.take(20)
    monkeypatch.undo()
    assert seen == [10, 10]
    assert len(torn.samples) == 0
    assert torn.lost == 15
    rest = reader.take(20)
    assert (rest.first, rest.lost) == (25, 0)
    assert np.array_equal(rest.samples, numbered(25, 10)[:, 0])


def test_a_reader_never_goes_back_even_while_a_block_of_more_than_half_the_ring_is_written() -> None:
    ring = SampleRing(10)
    reader = RingReader(ring)
    ring.write(numbered(0, 6))
    taken = [reader.take(5)]
    ring.write(Block(numbered(6, 10), lambda: taken.append(reader.take(10))))  # type: ignore[arg-type]
    while reader.available:
        taken.append(reader.take(10))
    account(taken, 16)


def test_with_a_thread_that_writes_and_one_that_reads_every_sample_is_intact_or_counted() -> None:
    """A writer that never waits and a reader that comes late and now and then pauses, so that it is overrun."""
    total, ring = 400_000, SampleRing(3000)
    reader = RingReader(ring)
    taken: list[Taken] = []
    overrun, done = threading.Event(), threading.Event()

    def write() -> None:
        at, size = 0, 1
        while at < total:
            size = size * 7 % 311 + 1
            ring.write(numbered(at, min(size, total - at)))
            at += min(size, total - at)
            if at > 4000:
                overrun.set()
            if at % 5 == 0:
                time.sleep(0)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert overrun.wait(DEADLINE_S)
    while not (done.is_set() and not reader.available):
        taken.append(reader.take(500))
        if len(taken) % 50 == 49:
            time.sleep(0.005)
    thread.join()
    account(taken, total)
    assert any(one.lost for one in taken)
    assert any(len(one.samples) for one in taken)


def test_a_writer_that_waits_for_room_loses_nothing() -> None:
    """So a replay at full speed is complete."""
    total, ring = 30_000, SampleRing(1000)
    reader = RingReader(ring)
    taken: list[Taken] = []

    def write() -> None:
        for at in range(0, total, 200):
            while reader.free < 200:
                time.sleep(0)
            ring.write(numbered(at, 200))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    while reader.read < total:
        taken.append(reader.take(333))
        assert not taken[-1].lost
    thread.join()
    account(taken, total)


def test_a_thread_that_waits_for_samples_is_woken_when_they_are_there() -> None:
    ring = SampleRing(1000)
    ring.wait(0, DEADLINE_S)  # they are there already
    found: list[int] = []

    def wait() -> None:
        while ring.written < 300:
            ring.wait(300, DEADLINE_S)
        found.append(ring.written)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    for at in range(0, 300, 100):
        assert not found
        ring.write(numbered(at, 100))
    thread.join(DEADLINE_S)
    assert found == [300]


def test_where_no_samples_come_the_wait_ends_by_itself() -> None:
    ring = SampleRing(1000)
    ring.wait(1, 0.001)
    assert ring.written == 0
