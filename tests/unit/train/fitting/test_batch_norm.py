"""Batch norm over several processes has the exact statistics, and the gradients, of the whole batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import pytest
import torch
from torch import Tensor, nn

from support.listening import DEADLINE_S
from train.fitting import whole_batch

FEATURES = 5


class Parts:
    """Exchanges what several threads give, as torch.distributed does of several processes."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._barrier = Barrier(count)
        self._given: dict[int, Tensor] = {}

    def get_world_size(self) -> int:
        return self._count

    def all_gather(self, into: list[Tensor], own: Tensor) -> None:
        for to, given in zip(into, self._exchanged(own), strict=True):
            to.copy_(given)

    def all_reduce(self, own: Tensor) -> None:
        own.copy_(torch.stack(self._exchanged(own)).sum(0))

    def _exchanged(self, own: Tensor) -> list[Tensor]:
        self._given[get_ident()] = own.clone()
        self._barrier.wait(DEADLINE_S)
        all_ = list(self._given.values())
        if self._barrier.wait(DEADLINE_S) == 0:
            self._given.clear()
        self._barrier.wait(DEADLINE_S)
        return all_


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    both = Parts(2)
    monkeypatch.setattr(whole_batch, "dist", both)
    return both


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (30.0, 0.01), (-1000.0, 0.1), (1e-3, 1e-5)])
@pytest.mark.parametrize("rows", [8, 97])
def test_a_batch_in_two_parts_is_normalised_as_in_one(parts: Parts, mean: float, deviation: float, rows: int) -> None:
    """Also where the mean is large compared with the deviation: E[x²] - E[x]² would have no digit left."""
    torch.manual_seed(0)
    batch = mean + deviation * torch.randn(rows, FEATURES)
    whole = nn.BatchNorm1d(FEATURES)
    expected = whole.double()(batch.double()).float()
    copies = [whole_batch.WholeBatchNorm.of(nn.BatchNorm1d(FEATURES)).train() for _ in range(2)]
    cut = rows * 2 // 5
    with ThreadPoolExecutor(2) as threads:
        found = torch.cat(list(threads.map(lambda norm, part: norm(part), copies, (batch[:cut], batch[cut:]))))
    rounding = 2e-6 * max(1.0, abs(mean) / deviation)  # of the batch itself in float32, in deviations
    assert torch.allclose(found, expected, atol=5 * rounding)
    for norm in copies:
        assert torch.allclose(norm.running_var.double(), whole.running_var, rtol=1e-3)
        assert torch.allclose(norm.running_mean.double(), whole.running_mean, rtol=1e-5, atol=1e-5 * deviation)


@pytest.mark.parametrize("cut", [0, 1, 3])  # of more processes than rows one has none
def test_the_gradients_of_two_parts_are_those_of_the_whole_batch(parts: Parts, cut: int) -> None:
    torch.manual_seed(0)
    batch, target = torch.randn(7, FEATURES), torch.randn(7, FEATURES)
    whole = nn.BatchNorm1d(FEATURES)
    nn.init.normal_(whole.weight)
    nn.init.normal_(whole.bias)
    copies = [whole_batch.WholeBatchNorm.of(whole) for _ in range(2)]
    expected = batch.clone().requires_grad_()
    (whole(expected) * target).sum().backward()

    def gradient(norm: nn.Module, rows: slice) -> Tensor:
        own = batch[rows].clone().requires_grad_()
        (norm(own) * target[rows]).sum().backward()
        assert own.grad is not None
        return own.grad

    with ThreadPoolExecutor(2) as threads:
        found = torch.cat(list(threads.map(gradient, copies, (slice(0, cut), slice(cut, 7)))))
    assert expected.grad is not None
    assert torch.allclose(found, expected.grad, atol=1e-5)
    for name in ("weight", "bias"):
        both = sum(getattr(norm, name).grad for norm in copies)
        assert torch.allclose(both, getattr(whole, name).grad, atol=1e-5)
