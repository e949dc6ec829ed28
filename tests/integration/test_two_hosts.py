"""A training on two hosts, which share no disk, is that of one; a host that is lost is said, and it resumes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.config.loader import load_config
from monitor.core.errors import EXIT_FAILURE, EXIT_OK
from support import quick_checkpoints, two_processes
from support.listening import wait_until
from support.namespaces import Host, network
from support.recordings import RememberedProgress, write_recording
from train.commands.train import BUNDLE_FILE, CHECKPOINT_FILE, train

pytestmark = pytest.mark.long

EPOCHS = 20  # of the training that is cut: more than it does before the cut is noticed
NOTICED_S = 300.0  # of a busy machine


@dataclass(frozen=True)
class Training:
    """A training on two hosts, each of which has a folder of its own."""

    folder: Path
    processes: list[subprocess.Popen[bytes]]

    @property
    def out(self) -> Path:
        return self.folder / "a" / "out"

    def printed(self, host: str) -> str:
        return (self.folder / f"{host}.log").read_text()

    def codes(self) -> list[int]:
        return [process.wait(NOTICED_S) for process in self.processes]


def started(hosts: tuple[Host, Host], folder: Path, *options: str) -> Training:
    """Starts a training on two hosts; the recordings are in the folder of each."""
    processes = []
    for rank, host in enumerate(hosts):
        own = folder / host.name
        processes.append(
            host.popen(
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nnodes=2",
                "--nproc-per-node=1",
                f"--node-rank={rank}",
                f"--master-addr={hosts[0].address}",
                quick_checkpoints.__file__,
                *two_processes.training(own / "recordings", own / "out", *options),
                folder=own,
                output=folder / f"{host.name}.log",
                environment={
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": str(Path(two_processes.__file__).parents[2]),
                    "XDG_CACHE_HOME": str(own / "cache"),
                },
            )
        )
    return Training(folder, processes)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    with network() as net:
        both = net.host("a"), net.host("b")
        for number in range(6):
            write_recording(tmp_path / "a" / "recordings" / f"{number}.wav", seconds=3.3, seed=number)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        yield both


def history(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def test_a_training_on_two_hosts_without_a_common_disk_has_the_losses_of_one(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    """Without a word about network interfaces, although the hosts' name leads nowhere."""
    both = started(hosts, tmp_path)
    train(
        load_config(overrides=two_processes.SETTINGS), tmp_path / "a" / "recordings", tmp_path / "one",
        RememberedProgress(),
    )  # fmt: skip
    assert both.codes() == [EXIT_FAILURE, EXIT_OK]  # the first one says that there is too little sound
    assert "in each of 2 processes" in both.printed("a")
    for line, other in zip(history(tmp_path / "one"), history(both.out), strict=True):
        assert other["loss"] == pytest.approx(line["loss"], rel=5e-3)
        assert other["held_out_loss"] == pytest.approx(line["held_out_loss"], rel=5e-3)
    assert not (tmp_path / "b" / "out").exists()  # only the first host writes


def test_if_a_host_is_lost_the_first_says_so_and_the_training_can_be_resumed(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    both = started(hosts, tmp_path, f"--epochs={EPOCHS}")
    wait_until(lambda: (both.out / CHECKPOINT_FILE).exists() or both.processes[0].poll() is not None)
    hosts[1].link.cut()
    assert both.codes()[0] == EXIT_FAILURE
    said = both.printed("a")
    assert said.count("monitor: Another process of this training has ended, or its host does not answer") == 1
    assert "monitor" not in [line.split()[0] for line in said.splitlines() if line.startswith("Traceback")]
    assert (both.out / CHECKPOINT_FILE).exists()
    assert not (both.out / BUNDLE_FILE).exists()
    hosts[1].link.mend()
    for name in ("a", "b"):
        (tmp_path / f"{name}.log").unlink()
    again = started(hosts, tmp_path, f"--epochs={EPOCHS}", "--resume")
    assert again.codes() == [EXIT_FAILURE, EXIT_OK]
    assert f"epoch 1/{EPOCHS} " not in again.printed("a")
    assert f"epoch {EPOCHS}/{EPOCHS} " in again.printed("a")
    assert [line["epoch"] for line in history(again.out)] == list(range(1, EPOCHS + 1))
