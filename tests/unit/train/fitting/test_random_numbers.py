"""Noise and dropout of training steps are as random as they have to be, and follow from the seed."""

from __future__ import annotations

import pytest
import torch

from train.fitting import random_numbers
from train.fitting.random_numbers import NoisePool, dropout_mask
from train.fitting.whole_batch import WholeDropout

CPU = torch.device("cpu")
ROWS, FEATURES = 500, 37


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_numbers, "POOL", 3000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("keep", [0.01, 0.5, 0.8, 0.99, 0.999999])
def test_a_mask_keeps_the_share_that_is_set(keep: float, dtype: torch.dtype) -> None:
    mask = dropout_mask(ROWS, FEATURES, keep, torch.empty(0, dtype=dtype))
    assert (mask.shape, mask.dtype) == ((ROWS, FEATURES), dtype)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    spread = (keep * (1 - keep) / mask.numel()) ** 0.5
    assert abs(float(mask.float().mean()) - keep) < 4 * spread + 2**-16


def test_no_two_rows_or_features_are_switched_off_together() -> None:
    mask = dropout_mask(2000, 40, 0.8, torch.empty(0))
    for values in (mask, mask[:40].T):
        correlation = torch.corrcoef(values.T) - torch.eye(40)
        assert float(correlation.abs().max()) < 5 * len(values) ** -0.5


def test_dropout_leaves_the_mean_as_it_is_and_does_nothing_outside_training() -> None:
    dropout, ones = WholeDropout(0.2, lambda draw, rows: draw(rows)), torch.ones(ROWS, FEATURES)
    assert torch.equal(dropout.eval()(ones), ones)
    dropped = dropout.train()(ones)
    assert dropped.unique().tolist() == [0.0, 1.25]
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)


def test_noise_is_white(small_pool: None) -> None:
    pool = NoisePool(20, FEATURES, CPU)
    noise = torch.cat([pool.take(20).clone() for _ in range(4)])
    assert float(noise.mean()) == pytest.approx(0, abs=5 / noise.numel() ** 0.5)
    assert float(noise.std()) == pytest.approx(1, abs=5 / noise.numel() ** 0.5)


def test_steps_have_noise_of_their_own_also_when_the_pool_is_full(small_pool: None) -> None:
    pool = NoisePool(20, FEATURES, CPU)
    steps = [pool.take(rows).clone() for rows in [20] * 30 + [7, 20]]
    assert all(len(set(step[:, 0].tolist())) == len(step) for step in steps)
    assert not any(torch.equal(one[:7], other[:7]) for n, one in enumerate(steps) for other in steps[:n])


def test_a_short_epoch_has_new_numbers_in_every_step(small_pool: None) -> None:
    pool = NoisePool(20, FEATURES, CPU)
    values = torch.cat([pool.take(20).flatten().clone() for _ in range(4)])
    assert len(values.unique()) == len(values)


@pytest.mark.parametrize("before", [0, 1, 9], ids=["new", "one step before", "full before"])
def test_the_noise_of_an_epoch_depends_only_on_the_seed(before: int, small_pool: None) -> None:
    """So a resumed training has the noise of one without interruption."""
    pool, fresh = NoisePool(20, FEATURES, CPU), NoisePool(20, FEATURES, CPU)
    for _ in range(before):
        pool.take(20)
    epochs = []
    for each in (pool, fresh):
        torch.manual_seed(4)
        each.renew()
        epochs.append(torch.stack([each.take(20).clone() for _ in range(12)]))
    assert torch.equal(*epochs)


def test_a_step_may_be_larger_than_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_numbers, "POOL", 100)
    pool = NoisePool(20, FEATURES, CPU)
    first, second = pool.take(20).clone(), pool.take(20).clone()
    assert not torch.equal(first, second)
    for rows in (3, 20, 20):
        assert pool.take(rows).shape == (rows, FEATURES)
