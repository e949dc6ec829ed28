"""The ring gives every sample once, intact and in its place, or counts it as lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.ring_buffer import RingReader, SampleRing, Taken


def numbered(first: int, count: int, channels: int = 1) -> np.ndarray:
    """Samples that say their own absolute index: (count, channels)."""
    return (np.arange(first, first + count)[:, None] + 0.25 * np.arange(channels)).astype(np.float32)


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


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, capacity=st.integers(20, 45), channels=st.integers(1, 3))
def test_every_sample_is_taken_once_in_order_or_counted_lost(steps, capacity: int, channels: int) -> None:
    """Against a plain list of all that was ever written."""
    ring = SampleRing(capacity, channels)
    written: list[np.ndarray] = []
    read = 0
    for step, n in steps:
        if step == "take":
            waiting = len(written) - read
            assert ring.available == waiting
            taken = ring.take(n)
            # Nothing is lost unless more waits than the ring holds; then the newest half ring is what is left.
            assert taken.lost == (0 if waiting <= capacity else waiting - capacity // 2)
            assert taken.first == read + taken.lost
            assert len(taken.samples) == min(n, waiting - taken.lost)
            expected = written[taken.first : taken.first + len(taken.samples)]
            assert taken.samples.dtype == np.float32
            assert np.array_equal(taken.samples, np.reshape(expected, (-1, channels)))
            read = taken.first + len(taken.samples)
        elif step == "skip":
            assert ring.skip() == len(written) - read
            read = len(written)
        else:
            block = numbered(len(written), capacity if step == "write all" else n, channels)
            ring.write(block)
            written += list(block)
        assert ring.written == len(written)
        assert ring.free == capacity - (len(written) - read)


def test_an_empty_ring_gives_nothing() -> None:
    taken = SampleRing(10, 2).take(5)
    assert taken.samples.shape == (0, 2)
    assert (taken.first, taken.lost) == (0, 0)


def test_what_was_taken_is_a_copy_and_what_was_written_is_copied() -> None:
    ring = SampleRing(8)
    block = numbered(0, 8)
    ring.write(block)
    block[:] = -1
    taken = ring.take(8)
    ring.write(numbered(100, 8))
    assert np.array_equal(taken.samples, numbered(0, 8))


def test_a_block_longer_than_the_ring_is_refused_and_leaves_it_as_it_was() -> None:
    ring = SampleRing(8)
    ring.write(numbered(0, 3))
    with pytest.raises(ValueError, match="does not fit"):
        ring.write(numbered(3, 9))
    assert np.array_equal(ring.take(10).samples, numbered(0, 3))


def test_writing_needs_no_memory_but_the_rings() -> None:
    ring = SampleRing(16)
    before = ring.samples
    for start in range(0, 200, 7):
        ring.write(numbered(start, 7))
    assert ring.samples is before


# Both at the same time


@settings(max_examples=150, deadline=None)
@given(
    capacity=st.integers(16, 40),
    steps=st.lists(st.tuples(st.integers(0, 8), st.lists(st.integers(0, 30), max_size=2)), max_size=30),
)
def test_a_reader_in_the_midst_of_a_write_gets_only_whole_samples(capacity: int, steps) -> None:
    """The reader reads just before a part of a block is copied: what is being overwritten is never handed out."""
    ring = SampleRing(capacity)
    got: list[Taken] = []
    for size, amounts in steps:

        def read(amounts=amounts) -> None:
            got.extend(ring.take(n) for n in amounts)

        ring.write(Block(numbered(ring.written, size), read))  # type: ignore[arg-type]
    while ring.available:
        got.append(ring.take(capacity))
    account(got, ring.written)


def test_what_is_overwritten_while_it_is_copied_is_counted_lost_and_not_handed_out(monkeypatch) -> None:
    """The writer runs in the midst of the reader's copy."""
    ring = SampleRing(20)
    ring.write(numbered(0, 20))
    concatenate = np.concatenate

    def interrupted(parts: tuple[np.ndarray, ...]) -> np.ndarray:
        ring.write(numbered(20, 5))
        return concatenate(parts)

    monkeypatch.setattr("monitor.audio.ring_buffer.np.concatenate", interrupted)
    torn = ring.take(20)
    monkeypatch.undo()
    assert len(torn.samples) == 0
    assert torn.lost == 15
    rest = ring.take(20)
    assert (rest.first, rest.lost) == (15, 0)
    assert np.array_equal(rest.samples, numbered(15, 10))


def test_a_reader_never_goes_back_even_while_a_block_of_more_than_half_the_ring_is_written() -> None:
    ring = SampleRing(10)
    ring.write(numbered(0, 6))
    got = [ring.take(5)]
    ring.write(Block(numbered(6, 10), lambda: got.append(ring.take(10))))  # type: ignore[arg-type]
    while ring.available:
        got.append(ring.take(10))
    account(got, 16)


def test_with_a_thread_that_writes_and_one_that_reads_every_sample_is_intact_or_counted() -> None:
    """A writer that never waits and a reader that comes late and now and then sleeps, so that it is overrun."""
    total, ring = 400_000, SampleRing(3000)
    got: list[Taken] = []
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
    assert overrun.wait(60)
    while not (done.is_set() and not ring.available):
        got.append(ring.take(500))
        if len(got) % 50 == 49:
            time.sleep(0.005)
    thread.join()
    account(got, total)
    assert any(taken.lost for taken in got)
    assert any(len(taken.samples) for taken in got)


def test_a_writer_that_waits_for_room_loses_nothing() -> None:
    """So a replay at full speed is complete."""
    total, ring = 100_000, SampleRing(1000)
    got: list[Taken] = []

    def write() -> None:
        for at in range(0, total, 200):
            while ring.free < 200:
                time.sleep(0)
            ring.write(numbered(at, 200))

    thread = threading.Thread(target=write)
    thread.start()
    while sum(len(taken.samples) for taken in got) < total:
        got.append(ring.take(333))
        assert not got[-1].lost
    thread.join()
    account(got, total)


def account(got: list[Taken], written: int) -> None:
    """Captured = taken + lost, and each sample taken is the one of its index."""
    at = 0
    for taken in got:
        assert taken.lost >= 0
        at += taken.lost
        assert taken.first == at
        assert np.array_equal(taken.samples, numbered(at, len(taken.samples)))
        at += len(taken.samples)
    assert at == written


def test_each_reader_of_a_ring_has_all_of_it_at_its_own_pace() -> None:
    ring = SampleRing(100)
    quick, slow = RingReader(ring), RingReader(ring)
    sound = np.arange(500, dtype=np.float32)[:, None]
    heard = []
    for start in range(0, 500, 20):
        ring.write(sound[start : start + 20])
        heard.append(quick.take(100).samples)
        if start == 60:
            np.testing.assert_array_equal(slow.take(100).samples, sound[:80])
    np.testing.assert_array_equal(np.concatenate(heard), sound)
    late = slow.take(500)
    assert late.lost == late.first - 80 > 0
    np.testing.assert_array_equal(late.samples, sound[late.first :])
    assert ring.available == 500
