"""Trainings with two processes, all in one run of torchrun, because its start takes seconds.

Run as `torchrun --nproc-per-node=2 two_processes.py RECORDINGS FOLDER`. Each scenario runs the program like its
command line. The output and the exit code of each process are written to FOLDER.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from torch import Tensor
from torch.distributed import TCPStore

from monitor.cli.main import main
from train.commands.progress import ConsoleProgress
from train.fitting import loop
from train.fitting.checkpoint import Epoch

SETTINGS = (
    "train.epochs=3", "train.batch_size=97", "model.hidden=[64,32]", "model.bottleneck=16", "model.dropout=0.2",
    "score.window_s=1.0",
)  # fmt: skip
RANK = int(os.environ.get("RANK", "0"))
DEADLINE_S = 600.0  # for all scenarios, many times their usual time; then each process prints its stack and ends


def training(data: Path, out: Path, *options: str) -> list[str]:
    """Returns the command line of a training."""
    return ["train", str(data), "--out", str(out), *(f"--set={setting}" for setting in SETTINGS), *options]


@contextlib.contextmanager
def first_step_kept(file: Path) -> Iterator[None]:
    """A context in which the loss and the gradients of a training's first step are saved to a file."""
    take, kept = loop.Trainer.step, False

    def step(self: loop.Trainer, windows: Tensor) -> Tensor:
        nonlocal kept
        loss = take(self, windows)
        if not kept:
            kept, mean = True, self._group.mean(loss)
            if self._group.first:
                gradients = {name: p.grad.numpy() for name, p in self.model.named_parameters() if p.grad is not None}
                np.savez(file, loss=mean, **gradients)
        return loss

    with patch.object(loop.Trainer, "step", step):
        yield


@contextlib.contextmanager
def interrupted_in_epoch(number: int) -> Iterator[None]:
    """A context in which Ctrl-C interrupts the first process after epoch `number`, before its checkpoint is written."""
    show = ConsoleProgress.epoch

    def epoch(self: ConsoleProgress, done: Epoch, epochs: int) -> None:
        show(self, done, epochs)
        if done.epoch == number:
            raise KeyboardInterrupt

    with patch.object(ConsoleProgress, "epoch", epoch):
        yield


@contextlib.contextmanager
def second_process_dies_in_epoch(number: int) -> Iterator[None]:
    """A context in which the second process exits without a message at the beginning of epoch `number`."""
    train = loop.Trainer.epoch

    def epoch(self: loop.Trainer, which: int, *rest: object) -> tuple[float, float]:
        if which == number and RANK == 1:
            os._exit(9)
        return train(self, which, *rest)  # type: ignore[arg-type]

    with patch.object(loop.Trainer, "epoch", epoch):
        yield


Context = Callable[[], contextlib.AbstractContextManager[None]]


def scenarios(data: Path, folder: Path) -> Iterator[tuple[str, list[str], Context]]:
    """Yields the name of each scenario, its command line, and the context in which it runs."""
    yield "whole", training(data, folder / "whole"), lambda: first_step_kept(folder / "first_step.npz")
    (folder / "empty").mkdir(exist_ok=True)
    yield "nothing", training(folder / "empty", folder / "nothing"), contextlib.nullcontext
    other = data if RANK == 0 else folder / "fewer"
    if RANK == 1:
        other.mkdir(exist_ok=True)
        for file in sorted(data.iterdir())[1:]:
            shutil.copy(file, other)
    yield "differing", training(other, folder / "differing"), contextlib.nullcontext
    yield "interrupted", training(data, folder / "resumed"), lambda: interrupted_in_epoch(2)
    yield "resumed", training(data, folder / "resumed", "--resume"), contextlib.nullcontext
    yield (
        "bereft",
        training(data, folder / "bereft"),
        lambda: second_process_dies_in_epoch(2),
    )  # last, because torchrun ends then


class Rendezvous:
    """Stores through which the two processes connect. The store of torchrun can be used for one training only."""

    def __init__(self) -> None:
        self._torchruns = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        self._servers: list[TCPStore] = []

    def arrange(self, name: str) -> None:
        """Creates a store for the next training, and puts its address in the environment."""
        if RANK == 0:
            server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, multi_tenant=True)
            self._servers.append(server)
            self._torchruns.set(f"tests/{name}", str(server.port))
        os.environ |= {
            "TORCHELASTIC_USE_AGENT_STORE": "False",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": self._torchruns.get(f"tests/{name}").decode(),
        }


def run_all(data: Path, folder: Path) -> None:
    """Runs the scenarios in this process, one of the two."""
    loop.CHECKPOINT_EVERY_S = 0.0
    rendezvous = Rendezvous()
    for number, (name, arguments, context) in enumerate(scenarios(data, folder)):
        if number:
            rendezvous.arrange(name)
        sys.argv[1:] = arguments
        printed = folder / f"{name}-{RANK}"
        with (
            printed.with_suffix(".out").open("w") as out,
            printed.with_suffix(".err").open("w", buffering=1) as err,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            context(),
        ):
            try:
                main()
            except SystemExit as end:
                printed.with_suffix(".code").write_text(str(end.code or 0))
        gc.collect()  # closes connections as the end of the process would, so that the other process notices


if __name__ == "__main__":
    with (Path(sys.argv[2]) / f"stacks-{RANK}").open("w") as stacks:
        faulthandler.dump_traceback_later(DEADLINE_S, exit=True, file=stacks)
        run_all(Path(sys.argv[1]), Path(sys.argv[2]))
