"""The processes of one training, as torchrun starts them: who does what, and what they add up.

Each process computes a part of every batch. What they share is added up so that the loss curve is that of one
process with the same batches: gradients, batch norm's statistics, losses. One process alone is a team of one, and
then nothing here costs anything.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from monitor.core.errors import ConfigError, MonitorError
from monitor.model.autoencoder import Autoencoder

PATIENCE = datetime.timedelta(days=2)  # for the first process to make the frames; one that dies is noticed at once

T = TypeVar("T")


class Team:
    """The processes that train together; `rank` is this one's number, from 0, and `size` how many there are."""

    def __init__(self, rank: int = 0, size: int = 1, on_machine: int = 1) -> None:
        self.rank, self.size, self.on_machine = rank, size, on_machine
        self._whole, self._rows = 0, slice(0, 0)

    @property
    def first(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The rows of the next batch that this process computes."""
        self._whole = batch
        self._rows = slice(batch * self.rank // self.size, batch * (self.rank + 1) // self.size)
        return self._rows

    def mean_loss(self, reconstruction: Tensor, windows: Tensor) -> Tensor:
        """The mean squared error of this process' rows, weighted so that the mean over processes is the batch's."""
        if self.size == 1:
            return F.mse_loss(reconstruction, windows)
        total = F.mse_loss(reconstruction, windows, reduction="sum")
        return total * (self.size / (self._whole * windows.shape[1]))

    def mean(self, value: Tensor) -> float:
        """The mean over all processes of a number that each of them has."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return float(value) / self.size

    def spread(self, model: Autoencoder) -> nn.Module:
        """The model as a team trains it: the same parameters under the same names, gradients added up."""
        if self.size == 1:
            return model
        for name, module in list(model.named_children()):
            if isinstance(module, nn.BatchNorm1d):
                setattr(model, name, _WholeBatchNorm.of(module))
            elif isinstance(module, nn.Dropout):
                setattr(model, name, _WholeDropout(module.p, self))
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def first_then_all(self, work: Callable[[], T]) -> T:
        """Does work that leaves files behind: the first process alone, then the others, who find them.

        Raises:
            MonitorError: in all processes, if the first one fails.
        """
        if self.size == 1:
            return work()
        if not self.first:
            self._agree(False)
            return work()
        try:
            done = work()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # interrupted, the others may be gone already
                self._agree(True)
            raise
        self._agree(False)
        return done

    def _agree(self, failed: bool) -> None:
        flag = torch.tensor(float(failed))
        dist.all_reduce(flag)
        if flag and not failed:
            raise MonitorError("The first process of this training could not begin; it says why.")

    def draw(self, features: int, like: Tensor, keep: float) -> Tensor:
        """This process' rows of a mask of ones and zeros that is drawn for the whole batch."""
        mask = torch.empty(self._whole, features, dtype=like.dtype, device=like.device).bernoulli_(keep)
        return mask[self._rows]

    def noise(self, like: Tensor) -> Tensor:
        """This process' rows (b, features) of white noise that is drawn for the whole batch."""
        if self.size == 1:
            return torch.randn_like(like)
        return torch.randn(self._whole, like.shape[1], device=like.device)[self._rows]


@contextlib.contextmanager
def assembled(device: torch.device) -> Iterator[tuple[Team, torch.device]]:
    """The team of the processes that torchrun has started, and this one's device; a team of one without torchrun.

    Raises:
        ConfigError: if the processes cannot find each other, or there are more of them than GPUs.
        MonitorError: in the others, when one of them ends before the training does.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2 or "RANK" not in os.environ:
        yield Team(), device
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"Process {local + 1} has no GPU, there are {torch.cuda.device_count()}: start as many processes "
                "as there are GPUs, or take --device cpu."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"The processes of this training do not find each other ({reason}).") from None
    try:
        yield Team(dist.get_rank(), size, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))), device
    except BaseException as error:
        # What the frames of a failure hold of the group must go before the group: it waits for its threads, and one
        # of them may wait for the interpreter.
        traceback.clear_frames(error.__traceback__)
        if not _another_has_ended(error):
            raise
        raise MonitorError(
            "Another process of this training has ended, and this one cannot go on alone. Where there is a checkpoint, "
            "the same command with --resume goes on there."
        ) from None
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def _another_has_ended(error: BaseException) -> bool:
    """Whether this process lost its connection to another, or torchrun ends it because another has ended.

    Which of the two comes first is a matter of chance.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGTERM in error.args
    text = str(error).lower()
    lost = isinstance(error, dist.DistError) or any(word in text for word in ("gloo", "nccl", "connection", "peer"))
    return isinstance(error, RuntimeError) and lost


class _WholeBatchNorm(nn.BatchNorm1d):
    """Batch norm with the statistics of the whole batch, whatever part of it this process has."""

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> _WholeBatchNorm:
        """The same parameters and statistics under the same names."""
        whole = cls(norm.num_features, norm.eps, norm.momentum, device=norm.weight.device)
        whole.load_state_dict(norm.state_dict())
        return whole

    def forward(self, input: Tensor) -> Tensor:
        """Rows (b, features) of a batch in, normalised by the mean and variance of all its rows, the same shape."""
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return super().forward(input)
        x = input.float()
        rows = x.new_tensor([float(len(x))])
        sums = all_reduce(torch.cat((x.sum(dim=0), x.square().sum(dim=0), rows)))  # type: ignore[no-untyped-call]
        count = sums[-1].detach()
        mean, squares = (sums[:-1] / count).chunk(2)
        variance = (squares - mean.square()).clamp_min(0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        normal: Tensor = (x - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return normal.to(input.dtype)


class _WholeDropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch, as one process would draw it."""

    def __init__(self, share: float, team: Team) -> None:
        super().__init__()
        self._keep, self._team = 1 - share, team

    def forward(self, x: Tensor) -> Tensor:
        """Rows (b, features) of a batch, some numbers left out and the others scaled up, the same shape."""
        if not self.training or self._keep == 1:
            return x
        return x * (self._team.draw(x.shape[1], x, self._keep) / self._keep)
