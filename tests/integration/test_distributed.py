"""A training on several processes is that of one; it resumes; and where one process is lost the others say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle_io import load_bundle
from monitor.config.loader import load_config
from monitor.core.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK
from support import two_processes
from support.recordings import RememberedProgress, write_recording
from train.commands.train import BUNDLE_FILE, CHECKPOINT_FILE, train

pytestmark = pytest.mark.long

TOO_LITTLE_SOUND = EXIT_FAILURE  # the model is written, but the first process says not to rely on it


@dataclass(frozen=True)
class Ran:
    """What the two processes of each scenario in `support.two_processes` have left."""

    folder: Path
    exit_code: int  # of torchrun, after the last scenario

    def printed(self, name: str, rank: int = 0, kind: str = "err") -> str:
        return (self.folder / f"{name}-{rank}.{kind}").read_text()

    def code(self, name: str, rank: int = 0) -> int:
        return int(self.printed(name, rank, "code"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short recordings: neither a batch of their windows nor the last one, which is smaller, can be halved."""
    root = tmp_path_factory.mktemp("recordings")
    for number in range(6):
        write_recording(root / f"{number}.wav", seconds=3.3, seed=number)
    return root


@pytest.fixture(scope="module")
def ran(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All scenarios, by one start of torchrun."""
    folder = tmp_path_factory.mktemp("two")
    repository = Path(two_processes.__file__).parents[2]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository)}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [*command, two_processes.__file__, recordings, folder],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if any((folder / f"stacks-{rank}").read_text() for rank in range(2)):
        left = [*folder.glob("stacks-*"), *folder.glob("*.err")]
        pytest.fail("\n\n".join([done.stderr, *(f"{file.name}:\n{file.read_text()}" for file in left)]))
    return Ran(folder, done.returncode)


def history(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def test_a_training_on_two_processes_computes_what_one_does_and_leaves_the_same_files(
    recordings: Path, ran: Ran, tmp_path: Path
) -> None:
    """With noise, dropout, and batch norm over whole batches, which cannot be halved.

    The first step tells mistakes from rounding. Later ones cannot: a number that is 0 but for rounding is let through
    by a ReLU or not, and then the weights slowly part.
    """
    one, two = tmp_path / "one", ran.folder / "whole"
    with two_processes.first_step_kept(tmp_path / "first_step.npz"):
        train(load_config(overrides=two_processes.SETTINGS), recordings, one, RememberedProgress())
    assert (ran.code("whole"), ran.code("whole", 1)) == (TOO_LITTLE_SOUND, EXIT_OK)
    with np.load(tmp_path / "first_step.npz") as alone, np.load(ran.folder / "first_step.npz") as both:
        assert both["loss"] == pytest.approx(float(alone["loss"]), rel=1e-5)
        for name in alone:
            assert np.linalg.norm(both[name] - alone[name]) <= 0.1 * np.linalg.norm(alone[name]), name
    for line, other in zip(history(one), history(two), strict=True):
        assert other["loss"] == pytest.approx(line["loss"], rel=5e-3)
        assert other["held_out_loss"] == pytest.approx(line["held_out_loss"], rel=5e-3)
        assert other["learning_rate"] == line["learning_rate"]
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in two.iterdir())
    ours, theirs = (load_bundle(out / BUNDLE_FILE).weights for out in (one, two))
    assert list(ours) == list(theirs)


def test_only_the_first_process_prints(ran: Ran) -> None:
    assert "2 processes" in ran.printed("whole")
    assert ran.printed("whole").count("epoch 3/3") == 1
    assert ran.printed("whole", kind="out").count("Model, figures and pictures are in") == 1
    of_ours = [line for line in ran.printed("whole", 1).splitlines() if not line.startswith("Matplotlib ")]
    assert (of_ours, ran.printed("whole", 1, "out")) == ([], "")


def test_an_interrupted_training_on_two_processes_resumes_to_the_same_weights(ran: Ran) -> None:
    assert (ran.code("interrupted"), ran.code("interrupted", 1)) == (EXIT_INTERRUPTED, EXIT_FAILURE)
    assert "--resume to continue" in ran.printed("interrupted")
    assert ran.printed("interrupted", 1).count("monitor: Another process of this training has ended") == 1
    assert (ran.code("resumed"), ran.code("resumed", 1)) == (TOO_LITTLE_SOUND, EXIT_OK)
    assert "epoch 1/3" not in ran.printed("resumed")
    assert "epoch 2/3" in ran.printed("resumed")
    whole, resumed = (ran.folder / name for name in ("whole", "resumed"))
    assert [line["loss"] for line in history(resumed)] == [line["loss"] for line in history(whole)]
    ours, theirs = (load_bundle(out / BUNDLE_FILE).weights for out in (resumed, whole))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_if_the_first_process_cannot_begin_all_end_and_it_alone_gives_the_reason(ran: Ran) -> None:
    assert (ran.code("nothing"), ran.code("nothing", 1)) == (EXIT_FAILURE, EXIT_FAILURE)
    assert ran.printed("nothing").count("no recordings") == 1
    assert "no recordings" not in ran.printed("nothing", 1)
    assert ran.printed("nothing", 1).count("could not begin; it says why") == 1
    assert not (ran.folder / "nothing").exists()


def test_processes_with_other_recordings_do_not_train_together(ran: Ran) -> None:
    assert (ran.code("differing"), ran.code("differing", 1)) == (EXIT_FAILURE, EXIT_FAILURE)
    assert "other recordings or settings than the first one" in ran.printed("differing", 1)
    assert "could not begin; it says why" in ran.printed("differing")
    assert not (ran.folder / "differing").exists()


def test_if_another_process_dies_the_first_ends_with_a_sentence_and_writes_no_model(ran: Ran) -> None:
    assert (ran.exit_code, ran.code("bereft")) == (1, EXIT_FAILURE)
    said = ran.printed("bereft")
    assert "epoch 1/3" in said
    assert said.count("monitor: Another process of this training has ended") == 1
    assert "KeyboardInterrupt" not in said
    assert not (ran.folder / "bereft" / BUNDLE_FILE).exists()
    assert (ran.folder / "bereft" / CHECKPOINT_FILE).exists()
