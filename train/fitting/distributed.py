"""Training in several processes started by torchrun: how they divide each batch, and combine their results.

Each process computes a part of every batch. Gradients, batch norm statistics and losses are summed over the processes,
so that the loss curve is that of a single process with the same batches. A single process is a group of size one, for
which this module adds no cost.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from monitor.core.errors import MonitorError
from monitor.model.autoencoder import Autoencoder
from train.fitting.whole_batch import WholeBatchNorm, WholeDropout

# A process that dies is noticed at once. A host whose cable is cut, or that is switched off, says nothing: it counts as
# lost if a step takes longer than this.
LOST_AFTER = datetime.timedelta(minutes=5)
WAIT = datetime.timedelta(days=2)  # long enough for each host to compute the frames of all recordings

T = TypeVar("T")


class ProcessGroup:
    """The processes that train together.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
        local_size: number of processes on this machine.
        local_rank: number of this process among those of this machine, from 0.
        patient: torch's group of the same processes, in which they wait for each other as long as `WAIT`; None: there
            is only one.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        local_size: int = 1,
        local_rank: int = 0,
        patient: dist.ProcessGroup | None = None,
    ) -> None:
        self.rank, self.size, self.local_size = rank, size, local_size
        self._local_first, self._patient = local_rank == 0, patient
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

    def share_of_mean(self, windows: Tensor) -> float:
        """By what a sum over the values of this process's rows is multiplied to get its part of the batch's mean.

        The mean of these parts over all processes is the mean over the whole batch.
        """
        rows = len(windows) if self.size == 1 else self._batch / self.size
        return 1 / (rows * windows.shape[1])

    def mean(self, value: Tensor) -> float:
        """The mean of a scalar over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return float(value) / self.size

    def replace_layers(self, model: Autoencoder) -> None:
        """Replaces layers of a model by those that treat a batch as a whole, of which each process has a part.

        Dropout is replaced for a single process on a processor, too, where that of torch draws its mask slowly.
        """
        one_gpu = self.size == 1 and next(model.parameters()).is_cuda
        for name, module in list(model.named_children()):
            if isinstance(module, nn.BatchNorm1d) and self.size > 1:
                setattr(model, name, WholeBatchNorm.of(module))
            elif isinstance(module, nn.Dropout) and not one_gpu:
                setattr(model, name, WholeDropout(module.p, self.own_rows))

    def distributed(self, network: nn.Module) -> nn.Module:
        """Wraps a network for training by the group: the same parameters and names, with averaged gradients."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)

    def read(self, work: Callable[[], T]) -> T:
        """Calls `work`, which leaves files behind, in a process of each host, then in the others, which find the files.

        Raises:
            MonitorError: in all processes, if it fails in one of them.
        """
        if self.size == 1:
            return work()
        result = self._all_or_none(work) if self._local_first else self._all_or_none(lambda: None)
        rest = self._all_or_none(work) if not self._local_first else self._all_or_none(lambda: None)
        return result if self._local_first else rest  # type: ignore[return-value]

    def _all_or_none(self, work: Callable[[], T]) -> T:
        """Calls `work`, then waits for all processes; raises an error if it has failed in another one."""
        try:
            result = work()
        except MonitorError:  # if anything else ends this process, the others notice that
            self._failures(failed=True)
            raise
        if self._failures(failed=False):
            raise MonitorError("Another process of this training could not begin; it says why.")
        return result

    def _failures(self, *, failed: bool) -> bool:
        """Waits for all processes; returns whether any has failed."""
        flag = torch.tensor(float(failed))
        dist.all_reduce(flag, group=self._patient)
        return bool(flag)

    def require_same(self, digest: str) -> None:
        """Checks that all processes train with the same recordings and settings.

        Raises:
            MonitorError: in all processes, if they do not.
        """
        if self.size == 1:
            return
        same = self.sent(digest.encode()) == digest.encode()

        def check() -> None:
            if not same:
                raise MonitorError(
                    "This host has other recordings or settings than the first one: give all hosts the same."
                )

        self._all_or_none(check)

    def sent(self, content: bytes) -> bytes:
        """The content that the first process gives, in all processes."""
        length = torch.tensor(len(content))
        dist.broadcast(length, 0, group=self._patient)
        values = torch.frombuffer(bytearray(content), dtype=torch.uint8) if self.first and content else None
        if values is None:
            values = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(values, 0, group=self._patient)
        return values.numpy().tobytes()

    @contextlib.contextmanager
    def file_of_first(self, path: Path) -> Iterator[Path]:
        """A file of the first process, or a copy of it for the duration of the block: hosts need not share a disk."""
        if self.size == 1:
            yield path
            return
        content = self.sent(path.read_bytes() if self.first and path.is_file() else b"")
        if self.first:
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="acoustic-monitor-") as folder:
            copy = Path(folder, path.name)
            if content:
                copy.write_bytes(content)
            yield copy

    def own_rows(self, draw: Callable[[int], Tensor], rows: int) -> Tensor:
        """This process's rows of random numbers that are drawn for the whole batch, as a single process would.

        Args:
            draw: returns random numbers for so many rows.
            rows: number of this process's rows.
        """
        return draw(rows) if self.size == 1 else draw(self._batch)[self._rows]
