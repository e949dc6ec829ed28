"""All array backends give the same values."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.array_backend import (
    as_real_pairs,
    namespace,
    numbers_of,
    on_device,
    run_or_numbers,
    sliding_maxima,
    sliding_minima,
    sliding_rows,
    sliding_segments,
    to_numpy,
)
from support.backends import BACKENDS, backend


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_host_buffer_has_the_computed_values_after_synchronize(name: str, dtype: type) -> None:
    """Also a host buffer that is a slice of a larger one."""
    arrays = backend(name)
    buffer = arrays.host_buffer((3, 4), dtype)
    buffer[:] = -1.0
    for group in (slice(0, 2), slice(2, 3)):
        host = buffer[group]
        computed = arrays.device_buffer(host)
        computed[:] = arrays.upload(np.full(host.shape, 2.0, dtype)) * 3
        arrays.download(computed, host)
    arrays.synchronize()
    assert buffer.dtype == dtype
    assert (buffer == 6).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_an_uploaded_array_has_the_same_values_and_type_when_it_is_back_on_the_host(name: str) -> None:
    for values in (random(3, 4), np.arange(5), random(4, 6)[:, ::2], random(3, 4).T, np.zeros((0, 3), np.float32)):
        uploaded = backend(name).upload(values)
        assert np.array_equal(to_numpy(uploaded), values)
        assert to_numpy(uploaded).dtype == values.dtype


@pytest.mark.parametrize("name", BACKENDS)
def test_the_functions_for_an_array_are_those_of_its_backend(name: str) -> None:
    arrays = backend(name)
    xp = namespace(arrays.upload(random(2, 3)))
    assert xp is arrays.xp
    assert np.array_equal(xp.flip(arrays.upload(np.arange(4)), axis=0), [3, 2, 1, 0])


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("size", "step"), [(1, 1), (4, 1), (5, 3), (4, 6), (20, 1)])
def test_segments_start_every_step(name: str, size: int, step: int) -> None:
    values = random(2, 20)
    found = np.asarray(sliding_segments(backend(name).upload(values), size, step))
    expected = [values[:, start : start + size] for start in range(0, 20 - size + 1, step)]
    assert np.array_equal(found, np.stack(expected, axis=1))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("size", [1, 2, 7, 8, 30])
def test_runs_of_rows_are_flattened_and_there_are_none_of_too_few_rows(name: str, size: int) -> None:
    for rows in (random(2, 7, 3), random(4, 14, 6)[::2, ::2, ::2]):
        found = np.asarray(sliding_rows(backend(name).upload(rows), size))
        assert found.shape == (2, max(0, 7 - size + 1), size * 3)
        for start in range(found.shape[1]):
            assert np.array_equal(found[:, start], rows[:, start : start + size].reshape(2, -1))


@pytest.mark.parametrize("name", BACKENDS)
def test_complex_numbers_are_viewed_as_pairs_of_real_and_imaginary_part(name: str) -> None:
    spectra = (random(2, 3) + 1j * random(2, 3)).astype(np.complex64)
    found = np.asarray(as_real_pairs(backend(name).upload(spectra)))
    assert np.array_equal(found, np.stack([spectra.real, spectra.imag], axis=-1).reshape(2, 6))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("size", [1, 2, 3, 8, 20, 21])
@pytest.mark.parametrize("runs", [0, 1, 2, 40])
def test_sliding_extremes_are_those_of_each_run_however_many_runs_there_are(name: str, size: int, runs: int) -> None:
    arrays, values = backend(name), random(3, size + runs - 1, 5) - 0.5
    around = [values[:, start : start + size] for start in range(runs)]
    for sliding, extreme in ((sliding_maxima, np.max), (sliding_minima, np.min)):
        expected = np.stack([extreme(one, axis=1) for one in around], axis=1) if runs else np.zeros((3, 0, 5))
        assert np.array_equal(np.asarray(sliding(arrays.upload(values), size)), expected)
        out = arrays.upload(np.full((3, runs, 7), 9, np.float32))
        sliding(arrays.upload(values), size, out[..., 1:6])
        assert np.array_equal(np.asarray(out)[..., 1:6], expected)
        assert (np.asarray(out)[..., [0, 6]] == 9).all()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("numbers", [[], [0], [3], [2, 3], [3, 2], [2, 4], [1, 2, 3, 4], [1, 3, 2, 4], [0, 2, 3]])
def test_a_run_of_numbers_selects_the_same_as_the_numbers(name: str, numbers: list[int]) -> None:
    arrays, wanted = backend(name), np.array(numbers, np.int64)
    found = run_or_numbers(wanted)
    assert isinstance(found, slice) == (len(numbers) > 0 and numbers == list(range(numbers[0], numbers[-1] + 1)))
    assert numbers_of(found).tolist() == numbers
    values = random(5, 3)
    assert np.array_equal(np.asarray(arrays.upload(values)[on_device(found, arrays)]), values[wanted])


def test_a_view_of_runs_cannot_be_written_to() -> None:
    """Because a number in it belongs to several runs."""
    values = random(2, 20)
    for view in (sliding_segments(values, 5, 3), sliding_rows(values[..., None], 4)):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0, 0] = 1.0
