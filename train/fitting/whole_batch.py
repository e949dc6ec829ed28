"""Layers of a network in training that treat a batch as a whole, of which each of several processes has a part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.fitting.random_numbers import dropout_mask

# From a function that draws random numbers for as many rows as a batch has, and the number of this process's rows: the
# random numbers of these.
OwnRows = Callable[[Callable[[int], Tensor], int], Tensor]


class WholeBatchNorm(nn.BatchNorm1d):
    """Batch norm with the statistics of the whole batch, over all processes."""

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> WholeBatchNorm:
        """A copy of a batch norm layer, with the same parameters and statistics under the same names."""
        whole = cls(norm.num_features, norm.eps, norm.momentum, device=norm.weight.device)
        whole.load_state_dict(norm.state_dict())
        return whole

    def forward(self, input: Tensor) -> Tensor:
        """Normalises this process's rows (b, features) of a batch by the mean and variance of all its rows."""
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return super().forward(input)
        normal, mean, variance, count = _Normalized.apply(  # type: ignore[no-untyped-call]
            input.float(), self.weight, self.bias, self.eps
        )
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        result: Tensor = normal.to(input.dtype)
        return result


class _Normalized(torch.autograd.Function):
    """Normalises values by the statistics of all processes' rows, with one exchange forward and one backward.

    An exchange of a few numbers takes as long as a large product of this network, so their count decides whether
    several processes are faster than one. torch's SyncBatchNorm does the same, but only on GPUs.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x (b, features) -> normalised (b, features); mean and variance (features,) and number of all rows (1,)."""
        # Forty times as fast as var_mean on a processor.
        means, variances = torch.batch_norm_update_stats(x, None, None, 0.0) if len(x) else x.new_zeros(2, x.shape[1])
        own = torch.cat((means, variances, x.new_tensor([float(len(x))])))
        all_ = x.new_empty(dist.get_world_size(), len(own))
        dist.all_gather(list(all_), own)
        means, variances, rows = torch.split(all_, [x.shape[1], x.shape[1], 1], dim=1)
        count = rows.sum(dim=0)
        mean = (means * rows).sum(dim=0) / count
        # From the processes' own variances: E[x²] - E[x]² would lose all digits where the mean is large compared with
        # the deviation.
        variance = ((variances + (means - mean).square()) * rows).sum(dim=0) / count
        scale = torch.rsqrt(variance + eps)
        deviations = x - mean
        ctx.save_for_backward(deviations, weight, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.addcmul(bias, deviations, scale * weight), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The gradients of x (b, features), weight and bias (features,), of this process's rows."""
        deviations, weight, scale, count = ctx.saved_tensors
        own = torch.stack((gradient.sum(dim=0), (gradient * deviations).sum(dim=0)))
        whole = own.clone()
        dist.all_reduce(whole)
        factor = scale * weight
        offset, slope = factor * whole[0] / count, factor * scale.square() * whole[1] / count
        of_x = torch.addcmul(-offset, gradient, factor).addcmul_(deviations, -slope)
        return of_x, own[1] * scale, own[0], None


class WholeDropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch, as a single process would draw it.

    Args:
        share: probability of a zero.
        own_rows: gives this process's rows of random numbers.
    """

    def __init__(self, share: float, own_rows: OwnRows) -> None:
        super().__init__()
        self._keep, self._own_rows = 1 - share, own_rows

    def forward(self, x: Tensor) -> Tensor:
        """Sets random values of this process's rows (b, features) to zero, and scales up the others."""
        if not self.training or self._keep == 1:
            return x
        mask = self._own_rows(lambda rows: dropout_mask(rows, x.shape[1], self._keep, x), len(x))
        return x * (mask / self._keep)
