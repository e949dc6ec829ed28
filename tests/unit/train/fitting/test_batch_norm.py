"""Batch norm over several processes has the exact statistics of the whole batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import Tensor, nn

from train.fitting import distributed

FEATURES = 5


class Parts:
    """Adds up what several threads give, as `all_reduce` does what several processes give."""

    def __init__(self, count: int) -> None:
        self._barrier = Barrier(count)
        self._given: list[Tensor] = []

    def all_reduce(self, own: Tensor) -> Tensor:
        """The sum over all threads; gradients flow to this thread's part."""
        self._given.append(own)
        self._barrier.wait(30)
        total = torch.stack([part.detach() for part in self._given]).sum(0) - own.detach() + own
        if self._barrier.wait(30) == 0:
            self._given.clear()
        self._barrier.wait(30)
        return total


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    both = Parts(2)
    monkeypatch.setattr(distributed, "all_reduce", both.all_reduce)
    return both


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (30.0, 0.01), (-1000.0, 0.1), (1e-3, 1e-5)])
@pytest.mark.parametrize("rows", [8, 97])
def test_a_batch_in_two_parts_is_normalised_as_in_one(parts: Parts, mean: float, deviation: float, rows: int) -> None:
    """Also where the mean is large compared with the deviation: E[x²] - E[x]² would have no digit left."""
    torch.manual_seed(0)
    batch = mean + deviation * torch.randn(rows, FEATURES)
    whole = nn.BatchNorm1d(FEATURES)
    expected = whole.double()(batch.double()).float()
    copies = [distributed._WholeBatchNorm.of(nn.BatchNorm1d(FEATURES)).train() for _ in range(2)]
    cut = rows * 2 // 5
    with ThreadPoolExecutor(2) as threads:
        found = torch.cat(list(threads.map(lambda norm, part: norm(part), copies, (batch[:cut], batch[cut:]))))
    rounding = 2e-6 * max(1.0, abs(mean) / deviation)  # of the batch itself in float32, in deviations
    assert torch.allclose(found, expected, atol=5 * rounding)
    for norm in copies:
        assert torch.allclose(norm.running_var.double(), whole.running_var, rtol=1e-3)
        assert torch.allclose(norm.running_mean.double(), whole.running_mean, rtol=1e-5, atol=1e-5 * deviation)
