"""Sources of generated sound write the expected samples and end at their length."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from monitor.core.errors import MonitorError
from monitor.sources.generated import BlockSource, GeneratedSource
from monitor.sources.source import Mark
from support.builders import RATE, noise
from support.sources import Counter, all_of
from train.demo.machine import Machine, MachineSound


@pytest.mark.parametrize("length_s", [0.0, 1 / RATE, 0.5, 1.23457])
def test_generated_sound_ends_at_its_length_to_the_sample(length_s: float) -> None:
    source = GeneratedSource(Counter(), RATE, "counter", length_s=length_s, speed=math.inf, buffer_s=1.0)
    samples, marks = all_of(source)
    assert np.array_equal(samples, np.arange(round(length_s * RATE)))
    assert marks == [Mark(0, "recording", "counter", length_s), Mark(len(samples), "end")]


def test_generated_sound_without_a_length_goes_on_until_it_is_stopped() -> None:
    source = GeneratedSource(Counter(), RATE, "counter", length_s=None, speed=math.inf, buffer_s=0.5)
    source.start()
    at = 0
    while at < 100_000:
        taken = source.reader.take(5000)
        assert np.array_equal(taken.samples, np.arange(at, at + len(taken.samples)))
        at += len(taken.samples)
    source.stop()
    assert [mark.kind for mark in source.marks] == ["recording", "end"]
    assert source.marks[0].duration_s is None


def test_the_simulated_machine_is_written_exactly_as_generated() -> None:
    def machine() -> MachineSound:
        return MachineSound(Machine(sample_rate=RATE, seed=4))

    samples, _ = all_of(GeneratedSource(machine(), RATE, "machine", length_s=1.0, speed=math.inf))
    assert np.array_equal(samples, np.asarray(machine().read(RATE), np.float32))


def test_a_generator_that_fails_is_kept_as_the_sources_error() -> None:
    class Failing:
        def read(self, _: int, /) -> np.ndarray:
            raise MonitorError("no more")

    source = GeneratedSource(Failing(), RATE, "failing", length_s=1.0, speed=math.inf)
    samples, marks = all_of(source)
    assert str(source.error) == "no more"
    assert (len(samples), marks[-1]) == (0, Mark(0, "end"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_blocks_of_any_length_and_number_type_are_written_one_after_another(dtype: type) -> None:
    blocks = [noise(n, seed=n).astype(dtype) for n in (1, 0, 700, 16_000)]
    samples, marks = all_of(BlockSource(blocks, RATE, name="mine"))
    assert np.array_equal(samples, np.concatenate(blocks).astype(np.float32))
    assert marks == [Mark(0, "recording", "mine"), Mark(len(samples), "end")]


def test_the_channels_of_blocks_are_averaged() -> None:
    block = noise(1000, streams=2).T
    samples, _ = all_of(BlockSource([block], RATE))
    np.testing.assert_allclose(samples, block.mean(axis=1), rtol=1e-6)


def test_blocks_may_come_from_a_function_that_is_called_when_the_source_starts() -> None:
    called = []

    def blocks() -> Iterator[np.ndarray]:
        called.append(True)
        yield from np.split(noise(1000), 10)

    source = BlockSource(blocks, RATE)
    assert not called
    samples, _ = all_of(source)
    assert np.array_equal(samples, noise(1000))
