"""Promises of a training on several processes: the same as on one, once written, and it ends in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_recording

from monitor.bundle.bundle import load_bundle
from train.commands import train as run

SETTINGS = (
    "train.epochs=3", "train.batch_size=97", "model.hidden=[64,32]", "model.bottleneck=16", "model.dropout=0.2",
    "score.window_s=1.0",
)  # fmt: skip
EAGER = "import sys, train.fitting.loop, monitor.cli.main; train.fitting.loop.CHECKPOINT_EVERY_S = 0; sys.exit(monitor.cli.main.run(sys.argv[1:]))"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short recordings, whose windows are no multiple of the batch."""
    root = tmp_path_factory.mktemp("recordings")
    for number in range(6):
        write_recording(root / f"{number}.wav", seconds=5.0, seed=number)
    return root


@pytest.fixture(scope="module")
def together(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a finished training on two processes, and what it printed."""
    out = tmp_path_factory.mktemp("together") / "out"
    done = monitor(training(recordings, out), processes=2)
    assert done.returncode == 0, done.stderr
    return out, done.stdout, done.stderr


def monitor(
    arguments: list[str], *, processes: int, program: str = "import monitor.__main__"
) -> subprocess.CompletedProcess[str]:
    """Runs the program in so many processes, as torchrun starts them, or in one without it."""
    starter = [sys.executable]
    if processes > 1:
        starter += ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone", "--no-python"]
        starter += [sys.executable]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(
        [*starter, "-c", program, *arguments], env=environment, check=False, capture_output=True, text=True, timeout=120
    )


def training(data: Path, out: Path) -> list[str]:
    return ["train", str(data), "--out", str(out), *(f"--set={setting}" for setting in SETTINGS)]


def history(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def test_a_training_on_two_processes_has_the_loss_curve_of_one_and_leaves_the_same_files(
    recordings: Path, together: tuple[Path, str, str], tmp_path: Path
) -> None:
    """With dropout, a last batch that cannot be halved, and batch norm over the whole batch."""
    two, stdout, stderr = together
    one = tmp_path / "one"
    assert monitor(training(recordings, one), processes=1).returncode == 0
    for alone, both in zip(history(one), history(two), strict=True):
        assert both["loss"] == pytest.approx(alone["loss"], rel=2e-4)
        assert both["held_out_loss"] == pytest.approx(alone["held_out_loss"], rel=2e-3)
        assert both["learning_rate"] == alone["learning_rate"]
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in two.iterdir())
    assert stdout.count("Model, figures and pictures are in") == 1
    assert stderr.count("epoch 3/3") == 1
    assert "2 processes" in stderr
    ours, theirs = (load_bundle(out / run.BUNDLE_FILE).model.state_dict() for out in (one, two))
    assert list(ours) == list(theirs)


def test_a_training_on_two_processes_resumes_where_it_was(
    recordings: Path, together: tuple[Path, str, str], tmp_path: Path
) -> None:
    out = tmp_path / "resumed"
    stop = EAGER.replace("sys.exit", "from train.commands.progress import ConsoleProgress as P\ntell = P.epoch\n"
                         "def epoch(self, done, epochs):\n    tell(self, done, epochs)\n"
                         "    if done.epoch == 3: raise KeyboardInterrupt\nP.epoch = epoch\nsys.exit")  # fmt: skip
    stopped = monitor(training(recordings, out), processes=2, program=stop)
    assert stopped.returncode != 0
    assert "--resume goes on" in stopped.stderr
    assert not (out / run.BUNDLE_FILE).exists()
    resumed = monitor([*training(recordings, out), "--resume"], processes=2)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 2/3" not in resumed.stderr
    assert "epoch 3/3" in resumed.stderr
    assert [line["loss"] for line in history(out)] == [line["loss"] for line in history(together[0])]


def test_where_the_first_process_cannot_begin_all_end_and_the_reason_is_said_once() -> None:
    Path("empty").mkdir()
    ended = monitor(training(Path("empty"), Path("out")), processes=2)
    assert ended.returncode == 1
    assert ended.stderr.count("no recordings") == 1
    assert ended.stderr.count("could not begin; it says why") == 1
    assert not (Path("out") / run.BUNDLE_FILE).exists()


def test_where_another_process_fails_the_first_ends_with_a_sentence_and_writes_no_model(recordings: Path) -> None:
    failing = (
        "import os, monitor.cli.main, train.fitting.loop\nstep = train.fitting.loop.Trainer.epoch\n"
        "def epoch(self, number, *rest):\n"
        "    if number == 2 and os.environ['RANK'] == '1': os._exit(9)\n"
        "    return step(self, number, *rest)\n"
        "train.fitting.loop.Trainer.epoch = epoch\nmonitor.cli.main.main()"
    )
    ended = monitor(training(recordings, Path("out")), processes=2, program=failing)
    assert ended.returncode == 1
    assert "epoch 1/3" in ended.stderr
    assert ended.stderr.count("monitor: Another process of this training has ended") == 1
    assert not (Path("out") / run.BUNDLE_FILE).exists()
    assert "KeyboardInterrupt" not in ended.stderr
