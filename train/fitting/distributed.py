"""Training in several processes started by torchrun: how they divide each batch, and combine their results.

Each process computes a part of every batch. Gradients, batch norm statistics and losses are summed over the processes,
so that the loss curve is that of a single process with the same batches. A single process is a group of size one, for
which this module adds no cost.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from monitor.core.errors import ConfigError, MonitorError
from monitor.model.autoencoder import Autoencoder

# Long enough for the first process to compute the frames of all recordings. A process that dies is noticed at once.
TIMEOUT = datetime.timedelta(days=2)

T = TypeVar("T")


class ProcessGroup:
    """The processes that train together.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
        local_size: number of processes on this machine.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_size: int = 1) -> None:
        self.rank, self.size, self.local_size = rank, size, local_size
        self._batch, self._rows = 0, slice(0, 0)  # size of the newest batch, and the rows of this process

    @property
    def first(self) -> bool:
        """Whether this is the process that logs and writes files."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The rows that this process computes of the next batch, which has `batch` rows in all processes together."""
        self._batch = batch
        self._rows = slice(batch * self.rank // self.size, batch * (self.rank + 1) // self.size)
        return self._rows

    def mean_loss(self, reconstruction: Tensor, windows: Tensor) -> Tensor:
        """The mean squared error of this process's rows, scaled so that the mean over all processes is the batch's."""
        if self.size == 1:
            return F.mse_loss(reconstruction, windows)
        total = F.mse_loss(reconstruction, windows, reduction="sum")
        return total * (self.size / (self._batch * windows.shape[1]))

    def mean(self, value: Tensor) -> float:
        """The mean of a scalar over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return float(value) / self.size

    def distributed(self, model: Autoencoder) -> nn.Module:
        """Wraps a model for training by the group: the same parameters and names, with averaged gradients."""
        if self.size == 1:
            return model
        for name, module in list(model.named_children()):
            if isinstance(module, nn.BatchNorm1d):
                setattr(model, name, _WholeBatchNorm.of(module))
            elif isinstance(module, nn.Dropout):
                setattr(model, name, _WholeDropout(module.p, self))
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def first_then_all(self, work: Callable[[], T]) -> T:
        """Calls `work`, which leaves files behind, in the first process, then in the others, which find the files.

        Raises:
            MonitorError: in all processes, if the first one fails.
        """
        if self.size == 1:
            return work()
        if not self.first:
            self._exchange_failure(False)
            return work()
        try:
            result = work()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # after an interruption the others may have ended already
                self._exchange_failure(True)
            raise
        self._exchange_failure(False)
        return result

    def _exchange_failure(self, failed: bool) -> None:
        """Waits for all processes; raises an error if another one has failed."""
        flag = torch.tensor(float(failed))
        dist.all_reduce(flag)
        if flag and not failed:
            raise MonitorError("The first process of this training could not begin; it says why.")

    def dropout_mask(self, features: int, like: Tensor, keep: float) -> Tensor:
        """This process's rows (b, features) of a mask drawn for the whole batch: ones with probability `keep`."""
        mask = torch.empty(self._batch, features, dtype=like.dtype, device=like.device).bernoulli_(keep)
        return mask[self._rows]

    def noise(self, like: Tensor) -> Tensor:
        """This process's rows (b, features) of white noise that is drawn for the whole batch."""
        if self.size == 1:
            return torch.randn_like(like)
        return torch.randn(self._batch, like.shape[1], device=like.device)[self._rows]


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[tuple[ProcessGroup, torch.device]]:
    """The group of processes started by torchrun, and the device of this one; without torchrun a group of size one.

    Args:
        device: the chosen device; with several processes each gets its own GPU.

    Raises:
        ConfigError: if the processes cannot connect to each other, or there are more processes than GPUs.
        MonitorError: if another process ends before the training is finished.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2 or "RANK" not in os.environ:
        yield ProcessGroup(), device
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
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"The processes of this training do not find each other ({reason}).") from None
    try:
        yield ProcessGroup(dist.get_rank(), size, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))), device
    except BaseException as error:
        # The stack frames of the error refer to the group, and have to be cleared before the group is destroyed:
        # destroying it waits for its threads, one of which may be waiting for Python's global lock.
        ended = _another_process_ended(error)
        traceback.clear_frames(error.__traceback__)
        if not ended:
            raise
        raise MonitorError(
            "Another process of this training has ended, so this one ends as well. If there is a checkpoint, run the "
            "same command with --resume to continue."
        ) from None
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def _another_process_ended(error: BaseException) -> bool:
    """Whether the cause of an error is that another process has ended.

    Then either the connection to it is lost, or torchrun ends this process: which comes first is random.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGTERM in error.args
    return isinstance(error, dist.DistError) or (type(error) is RuntimeError and _raised_in_communication(error))


def _raised_in_communication(error: RuntimeError) -> bool:
    """Whether an error was raised in torch's communication between processes: errors of gloo have no own class."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(part in Path(frames[-1].filename).parts for part in ("distributed", "autograd"))


class _WholeBatchNorm(nn.BatchNorm1d):
    """Batch norm with the statistics of the whole batch, over all processes."""

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> _WholeBatchNorm:
        """A copy of a batch norm layer, with the same parameters and statistics under the same names."""
        whole = cls(norm.num_features, norm.eps, norm.momentum, device=norm.weight.device)
        whole.load_state_dict(norm.state_dict())
        return whole

    def forward(self, input: Tensor) -> Tensor:
        """Normalises this process's rows (b, features) of a batch by the mean and variance of all its rows."""
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return super().forward(input)
        x = input.float()
        rows = x.new_tensor([float(len(x))])
        sums = all_reduce(torch.cat((x.sum(dim=0), rows)))  # type: ignore[no-untyped-call]
        count = sums[-1].detach()
        mean = sums[:-1] / count
        # Two passes: E[x²] - E[x]² in one would lose all digits where the mean is large compared with the deviation.
        deviations = x - mean
        variance = all_reduce(deviations.square().sum(dim=0)) / count  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        normal: Tensor = deviations * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return normal.to(input.dtype)


class _WholeDropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch, as a single process would draw it."""

    def __init__(self, share: float, group: ProcessGroup) -> None:
        super().__init__()
        self._keep, self._group = 1 - share, group

    def forward(self, x: Tensor) -> Tensor:
        """Sets random values of this process's rows (b, features) to zero, and scales up the others."""
        if not self.training or self._keep == 1:
            return x
        return x * (self._group.dropout_mask(x.shape[1], x, self._keep) / self._keep)
