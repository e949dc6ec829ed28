"""Measures what several processes gain in training, and what their exchanges cost: with those of this computer."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import multiprocessing

from monitor.bench.timing import Section, Timings, time_all
from monitor.config.schema import Config
from monitor.core.thread_pool import available_processors
from monitor.model.device import native_bfloat16
from train.fitting.distributed import ProcessGroup
from train.fitting.loop import Trainer

BATCHES = (100, 512, 2048, 8192)  # windows in a step
WINDOWS = 2048  # that are trained on in a run, in at least one step
ROUNDS = 3


def measure(config: Config) -> Section:
    """Compares two processes of a thread each with one process of one thread, and with one of all threads."""
    if available_processors() < 2:
        return Section({}, ["left out: two processes need two processors"])
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.json")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        multiprocessing.start_processes(  # type: ignore[attr-defined,no-untyped-call]
            _process, (config, port, results), nprocs=2, start_method="spawn"
        )
        figures = json.loads(results.read_bytes())
    return Section(figures, [_line(name, figure) for name, figure in figures.items()])


def _process(rank: int, config: Config, port: int, results: Path) -> None:
    """One of the two processes."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    figures = compare(config)
    if rank == 0:
        results.write_text(json.dumps(figures))
    dist.destroy_process_group()


def compare(config: Config) -> dict[str, dict[str, float]]:
    """Times training steps in the processes of the default process group, each of which calls this.

    While the first process computes alone, the others wait and compute nothing.

    Returns:
        for each batch size the windows a second of all processes together, their speed relative to one process of one
        thread (on other hosts: what a host gains) and of all threads, and the share of a step that is exchange.
    """
    figures: dict[str, dict[str, float]] = {}
    for batch in BATCHES:
        precision = "bfloat16" if batch >= 512 and native_bfloat16("cpu") else "float32"
        timings, windows = _times(config, batch, precision)
        figures[f"{batch}_{precision}"] = {
            "windows_per_second": windows / timings.seconds("together"),
            "over_one_thread": timings.ratio("one thread", "together"),
            "over_all_threads": timings.ratio("all threads", "together"),
            "exchange": 1 - 1 / timings.ratio("together", "own part"),
        }
    return figures


def _times(config: Config, batch: int, precision: str) -> tuple[Timings, int]:
    """Times of candidates in alternation, and the number of windows that each trains on."""
    group = ProcessGroup(dist.get_rank(), dist.get_world_size())
    steps = max(1, WINDOWS // batch)

    def run(size: int, threads: int, group: ProcessGroup) -> Callable[[], None]:
        train = config.train.model_copy(update={"batch_size": size, "precision": precision})
        # With a large number of windows, the trainer does not reduce the batch size.
        trainer = Trainer(config.model_copy(update={"train": train}), 10**9, torch.device("cpu"), group)
        windows = torch.randn(size, config.features.window_size)

        def train_steps() -> None:
            torch.set_num_threads(threads)
            for _ in range(steps):
                trainer.step(windows[group.share(size)])

        return train_steps

    alone = ProcessGroup()
    candidates = {
        "one thread": _in_first(run(batch, 1, alone)),
        "all threads": _in_first(run(batch, available_processors(), alone)),
        "own part": _in_all(run(max(2, batch // group.size), 1, alone)),
        "together": _in_all(run(batch, 1, group)),
    }
    return time_all(candidates, rounds=ROUNDS), steps * batch


def _in_all(work: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        dist.barrier()
        work()
        dist.barrier()

    return run


def _in_first(work: Callable[[], None]) -> Callable[[], None]:
    return _in_all(work if dist.get_rank() == 0 else lambda: None)


def _line(name: str, figure: dict[str, float]) -> str:
    batch, precision = name.split("_")
    return (
        f"batch {batch:>5}, {precision:8} {figure['windows_per_second']:8,.0f} windows/s in two processes: "
        f"{figure['over_one_thread']:.2f} of one with one thread, {figure['over_all_threads']:.2f} of one with all; "
        f"{figure['exchange']:.0%} exchange"
    )
