"""`monitor evaluate --suite`: trainings and evaluations of several data sets in one command, and their table."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle_io import load_bundle
from monitor.cli.main import run as command
from monitor.core.errors import EXIT_FAILURE, EXIT_OK
from support.recordings import RememberedProgress, write_recording
from train.commands.suite import evaluate_suite
from train.evaluation.suite_file import read_suite
from train.fitting.checkpoint import Epoch

pytestmark = pytest.mark.long

SUITE = """\
out: results
seeds: 3
hours: 0.02
fault_s: 8
faults: 3
settings:
  features.n_mels: 16
  train.epochs: 2
  train.batch_size: 128
  score.window_s: 1.0
  model.hidden: [32, 16]
  model.bottleneck: 8
sets:
  - {name: machine, data: machine}
  - {name: without faults, data: without-faults}
"""


@dataclass(frozen=True)
class Site:
    """A folder with a suite, its data sets and results."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "suite.yaml"

    @property
    def model(self) -> Path:
        return self.folder / "results/machine/seed-3/model.safetensors"

    def trainings(self) -> dict[str, bytes]:
        """The course of each training, which says how fast it was: a repeated one differs."""
        return {str(path): path.read_bytes() for path in sorted(self.folder.glob("results/*/*/history.jsonl"))}

    def result(self) -> dict[str, object]:
        content: dict[str, object] = json.loads((self.folder / "results/suite.json").read_text())
        return content

    def evaluate(self, *arguments: str) -> tuple[int, str, str]:
        """Runs the suite; returns the exit code, and what was printed on standard output and error."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = command(["evaluate", "--suite", str(self.file), *arguments])
        return code, out.getvalue(), err.getvalue()


@dataclass(frozen=True)
class Done:
    """A suite that has been run, and what was printed."""

    site: Site
    code: int
    out: str
    err: str
    complete: dict[str, bytes]  # the trainings that were complete when the first attempt was interrupted
    incomplete: RememberedProgress  # of the training that was interrupted


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A suite that was interrupted in the second training, and then run again."""
    site = Site(tmp_path_factory.mktemp("suite"))
    site.file.write_text(SUITE)
    for name, count, fault in (("train_normal", 6, None), ("test_normal", 3, None), ("test_anomaly", 2, "gear")):
        for number in range(count):
            file = site.folder / "machine" / name / f"{number}.wav"
            write_recording(file, seconds=4.0, seed=number + 100 * (name != "train_normal"), fault=fault)
        if fault is None:
            shutil.copytree(site.folder / "machine" / name, site.folder / "without-faults" / name)
    (site.folder / "without-faults/test_normal/damaged.wav").write_text("no sound")

    incomplete = RememberedProgress()

    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    incomplete.on_epoch = interrupt

    def progress_of(label: str) -> contextlib.nullcontext[RememberedProgress]:
        return contextlib.nullcontext(incomplete if label.startswith("without faults") else RememberedProgress())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.fitting.loop.CHECKPOINT_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            evaluate_suite(read_suite(site.file), progress_of)
    trainings = site.trainings()
    return Done(site, *site.evaluate(), trainings, incomplete)


@pytest.fixture
def site(done: Done, tmp_path: Path) -> Site:
    """A copy of the finished suite with one of its sets, to change something in."""
    for name in ("machine", "suite.yaml", "results/machine", "results/suite.json"):
        source, target = done.site.folder / name, tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    own = Site(tmp_path / "copy")
    own.file.write_text("".join(line for line in SUITE.splitlines(keepends=True) if "without" not in line))
    return own


def test_every_set_and_score_is_in_one_table(done: Done) -> None:
    assert done.code == EXIT_OK, done.err
    lines = done.out.splitlines()
    [machine] = [number for number, line in enumerate(lines) if line.strip() == "machine"]
    [quiet] = [number for number, line in enumerate(lines) if line.strip() == "without faults"]
    rows = {line.split("  ")[1]: line.split() for line in lines[machine + 1 : quiet]}
    assert next(iter(rows)) == "fused"
    assert {"mahalanobis", "spectrum", "error", "plain Mahalanobis", "nearest neighbour"} <= set(rows)
    assert len(rows["fused"]) == 10
    assert len(rows["spectrum"]) == 4, "a rival has AUC, pAUC and that of any window"


def test_the_course_of_the_suite_has_a_line_for_each_training(done: Done) -> None:
    assert "machine, seed 3 (1 of 2): AUC " in done.err
    assert "without faults, seed 3 (2 of 2): no AUC." in done.err
    assert "loss" not in done.err


def test_a_set_without_faults_has_false_alarms_and_dashes(done: Done) -> None:
    lines = done.out.splitlines()
    [quiet] = [number for number, line in enumerate(lines) if line.strip() == "without faults"]
    score, auc, pauc, window, fpr, tpr, alarms, bound, missed, delay = lines[quiet + 1].split()
    assert (score, auc, pauc, window, tpr, missed, delay) == ("fused", "-", "-", "-", "-", "-", "-")
    assert float(fpr) <= 1
    assert float(alarms) < float(bound)


def test_the_figures_are_those_of_evaluate(done: Done, tmp_path: Path) -> None:
    arguments = ["--compare", "--stream", "--hours", "0.02", "--fault-seconds", "8", "--faults", "3"]
    assert (
        command(
            ["evaluate", str(done.site.model), str(done.site.folder / "machine"), *arguments, "--json", "alone.json"]
        )
        == EXIT_OK
    )
    alone = json.loads((tmp_path / "alone.json").read_text())
    machine = done.site.result()["sets"][0]  # type: ignore[index]
    found = machine["runs"]["3"]["fused"]
    assert found["auc"] == alone["auc"]
    assert (found["fpr"], found["tpr"]) == (alone["fpr"], alone["tpr"])
    assert found["false_alarms_per_day"] == alone["streams"]["false_alarms_per_day"]
    spectrum = next(row for row in alone["compared"] if row["kind"] == "spectrum")
    assert machine["runs"]["3"]["spectrum"]["pauc"] == spectrum["pauc"]
    assert "| machine | spectrum |" in (done.site.folder / "results/suite.md").read_text()


def test_an_interrupted_suite_goes_on_where_it_was(done: Done) -> None:
    assert [Path(path).parents[1].name for path in done.complete] == ["machine"]
    assert done.complete.items() <= done.site.trainings().items()
    resumed = (done.site.folder / "results/without faults/seed-3/history.jsonl").read_text().splitlines()
    assert json.loads(resumed[0]) == asdict(done.incomplete.epochs[0])
    assert json.loads(resumed[1]) != asdict(done.incomplete.epochs[1])


def test_what_has_not_changed_is_not_done_again(done: Done) -> None:
    before = done.site.trainings()
    code, out, err = done.site.evaluate()
    assert (code, out) == (EXIT_OK, done.out)
    assert "Training on" not in err
    assert done.site.trainings() == before
    assert not (done.site.folder / "results/suite.previous.json").exists()


def test_where_only_the_scoring_changes_the_trained_weights_are_used_again(site: Site) -> None:
    history, bundle = site.trainings(), load_bundle(site.model)
    code, _, err = site.evaluate("--set", "calibration.fpr=0.5")
    assert code == EXIT_OK, err
    assert site.trainings() == history
    again = load_bundle(site.model)
    assert all(np.array_equal(again.weights[name], bundle.weights[name]) for name in bundle.weights)
    assert again.thresholds["recording"].value < bundle.thresholds["recording"].value


def test_another_recording_is_trained_on_and_the_change_of_the_figures_is_shown(site: Site) -> None:
    earlier, history = site.result(), site.trainings()
    shutil.copy(site.folder / "machine/test_normal/0.wav", site.folder / "machine/train_normal/another.wav")
    code, out, err = site.evaluate("--before", str(site.folder / "results/suite.json"))
    assert code == EXIT_OK, err
    assert site.trainings() != history
    assert "Changes since the earlier suite" in out
    assert "Worse, of the model's own score: " in out
    assert json.loads((site.folder / "results/suite.previous.json").read_text()) == earlier


def test_a_set_that_fails_is_named_and_the_others_go_on(site: Site) -> None:
    lines = site.file.read_text().replace("sets:\n", "sets:\n  - {name: broken, data: nowhere}\n")
    site.file.write_text(lines)
    code, out, err = site.evaluate("--json", "-")
    assert code == EXIT_FAILURE
    broken, machine = json.loads(out)["sets"]
    assert "there is no such folder" in broken["error"]
    assert machine["runs"]["3"]["fused"]["auc"] is not None
    assert "broken, seed 3 (1 of 2) failed: " in err
    assert err.splitlines()[-1] == "monitor: 1 of 2 sets failed: broken."


def test_a_set_without_test_recordings_fails_with_advice(site: Site) -> None:
    for name in ("test_normal", "test_anomaly"):
        shutil.rmtree(site.folder / "machine" / name)
    code, out, _ = site.evaluate()
    assert code == EXIT_FAILURE
    assert "has no test recordings: put them into test_normal/ and test_anomaly/." in " ".join(out.split())


def test_a_warning_of_the_same_recording_is_given_once(done: Done) -> None:
    """Training and evaluation each read the recordings, with every seed."""
    assert done.err.count("damaged.wav") == 1
