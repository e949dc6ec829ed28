"""The learning rates of the two schedules."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.config.loader import load_config
from monitor.config.schema import Train
from train.fitting.schedule import learning_rate


def test_the_articles_rate_is_constant_to_epoch_100_and_then_falls_linearly_to_1e_6() -> None:
    article = load_config(preset="toyadmos").train
    rates = [learning_rate(article, epoch, 0, 10) for epoch in range(1, 201)]
    assert rates[:100] == [1e-4] * 100
    assert rates[199] == pytest.approx(1e-6)
    assert rates[149] == pytest.approx((1e-4 + 1e-6) / 2)
    assert np.diff(rates[99:]) == pytest.approx(np.full(100, (1e-6 - 1e-4) / 100))


def test_the_one_cycle_rate_rises_to_its_top_and_falls_to_almost_nothing() -> None:
    train = Train(epochs=10, learning_rate=2e-3)
    rates = [learning_rate(train, 1 + step // 100, step % 100, 100) for step in range(1000)]
    top = int(np.argmax(rates))
    assert 290 <= top <= 310
    assert max(rates) == pytest.approx(2e-3, rel=1e-3)
    assert (np.diff(rates[:top]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert rates[-1] < 1e-7
