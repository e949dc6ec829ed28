"""The file of a suite: what is in it counts, and mistakes in it are reported with their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.core.errors import ConfigError
from monitor.guide import page
from train.evaluation.suite_file import read_suite

SETS = "sets:\n  - {name: fan, data: fan}\n"


def written(text: str, folder: Path) -> Path:
    """A suite's file with this text."""
    folder.mkdir(exist_ok=True)
    file = folder / "suite.yaml"
    file.write_text(text)
    return file


def test_paths_are_relative_to_the_file_and_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    suite = read_suite(written(f"out: results\n{SETS}", tmp_path / "suites"))
    assert suite.out == tmp_path / "suites" / "results"
    assert [(one.name, one.data) for one in suite.sets] == [("fan", tmp_path / "suites" / "fan")]
    assert suite.seeds == (0, 1, 2)
    assert (suite.streams.hours, suite.streams.fault_s, suite.streams.faults) == (24, 60, 300)
    assert suite.runs == 3


def test_the_example_in_the_manual_is_a_suite(tmp_path: Path) -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```", page("labels"), flags=re.MULTILINE | re.DOTALL)
    suite = read_suite(written(example, tmp_path))
    assert [one.name for one in suite.sets] == ["fan", "car"]
    car = suite.sets[1].config
    assert (car.features.n_fft, car.features.fmax, car.train.epochs) == (1024, None, 20)


def test_the_command_line_counts_before_a_set_and_a_set_before_the_suite_and_the_suite_before_the_preset(
    tmp_path: Path,
) -> None:
    text = (
        "out: results\npreset: toyadmos\nsettings:\n  train.epochs: 7\n  train.batch_size: 64\n  features.n_fft: 1024\n"
        "sets:\n  - name: a\n    data: a\n    settings: {train.epochs: 8, features.n_fft: 2048, model.hidden: [9, 5]}\n"
        "  - {name: b, data: b}\n"
    )
    suite = read_suite(written(text, tmp_path), overrides=["features.n_fft=512"], seeds=(5,))
    a, b = (one.config for one in suite.sets)
    assert (a.train.epochs, b.train.epochs) == (8, 7)
    assert a.train.batch_size == b.train.batch_size == 64
    assert a.features.n_fft == b.features.n_fft == 512
    assert a.model.hidden == (9, 5)
    assert a.calibration.method == b.calibration.method == "labelled"
    assert suite.seeds == (5,)


def test_the_settings_file_in_the_current_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("train:\n  epochs: 1\n")
    assert read_suite(written(f"out: results\n{SETS}", tmp_path)).sets[0].config.train.epochs != 1


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (SETS, "", ["out is missing"]),
        ("out: r\n", "", ["sets is missing"]),
        ("out: r\nsets: []\n", "2:1", ["sets is empty"]),
        ("out: r\nsets: fan\n", "2:1", ["sets has to be a list"]),
        (f"out: r\nseed: 1\n{SETS}", "2:1", ["unknown key seed", "seeds, out"]),
        ("out: r\nsets:\n  - {name: fan, data: fan, seed: 1}\n", "3:28", ["unknown key seed", "name, data, settings"]),
        ("out: r\nsets:\n  - {name: fan}\n", "3:5", ["sets[0].data is missing"]),
        ("out: r\nsets:\n  - {name: a/b, data: d}\n", "3:6", ["sets[0].name", "without slashes"]),
        ("out: r\nsets:\n  - {name: .., data: d}\n", "3:6", ["sets[0].name", "a dot"]),
        ("out: r\nsets:\n  - {name: A, data: d}\n  - {name: a, data: e}\n", "2:1", ["'a' is there twice"]),
        (f"out: r\nseeds: [0, x]\n{SETS}", "2:12", ["seeds[1]", "integer", "'x'"]),
        (f"out: r\nseeds: [0, -1]\n{SETS}", "2:12", ["greater than or equal to 0"]),
        (f"out: r\nseeds: [1, 1]\n{SETS}", "2:1", ["a seed is there twice"]),
        (f"out: r\nseeds: []\n{SETS}", "2:1", ["seeds is empty"]),
        (f"out: r\nseeds: {{a: 1}}\n{SETS}", "2:1", ["such as [0, 1, 2]"]),
        (f"out: r\nhours: 0\n{SETS}", "2:1", ["hours", "greater than 0"]),
        (f"out: r\nfaults: many\n{SETS}", "2:1", ["faults", "integer", "'many'"]),
        (f"out: r\npreset: best\n{SETS}", "2:1", ["preset", "'default' or 'toyadmos'", "'best'"]),
        (f"out: r\nsettings: {{n_fft: 1024}}\n{SETS}", "2:1", ["n_fft", "features.n_fft: 1024"]),
        (f"out: r\nsettings:\n  features:\n    n_fft: 1024\n{SETS}", "2:1", ["features.n_fft: 1024"]),
        (f"out: r\nsettings: 5\n{SETS}", "2:1", ["settings has to be a group"]),
        (f"out: r\nsettings: {{train.seed: 1}}\n{SETS}", "2:1", ["train.seed", "`seeds`"]),
        (f"out: r\nsettings:\n  features.n_ftt: 512\n{SETS}", "3:3", ["unknown setting features.n_ftt"]),
        (
            "out: r\nsets:\n  - name: fan\n    data: d\n    settings:\n      features.n_fft: many\n",
            "6:7",
            ["features.n_fft", "integer", "'many'"],
        ),
        ("out: r\nsets: [\n", "3:1", ["not YAML"]),
    ],
)
def test_a_mistake_is_reported_in_a_sentence_with_its_place(
    text: str, place: str, words: list[str], tmp_path: Path
) -> None:
    file = written(text, tmp_path)
    with pytest.raises(ConfigError) as caught:
        read_suite(file)
    [message] = caught.value.messages
    assert message.startswith(f"{file}:{place}: " if place else f"{file}: ")
    for word in words:
        assert word in message
    assert message.endswith(".")
    assert not re.search(r"\bNone\b|pydantic|Input should", message)


def test_seeds_are_not_given_as_a_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set train\.seed=1: give the seeds of a suite with --seeds"):
        read_suite(written(f"out: r\n{SETS}", tmp_path), overrides=["train.seed=1"])


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_suite(tmp_path / "none.yaml")
