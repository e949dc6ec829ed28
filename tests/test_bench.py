"""Promises of `monitor bench`: every section gives its figures, rivals beside ours, only what was asked for runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import SMALL, noise, small_bundle, write_sound
from click.testing import CliRunner

from monitor.bench.peak_flops import window_operations
from monitor.bench.timing import Timings, race
from monitor.bundle.bundle import save_bundle
from monitor.cli.main import cli, run
from monitor.cli.listen import BENCH_SECTIONS
from monitor.config.schema import Config
from train.bench import SECTIONS

QUICKLY = [f"--set={setting}" for setting in SMALL]


@pytest.fixture(autouse=True)
def little_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.bench.peak_flops.SIZE", 64)
    monkeypatch.setattr("monitor.bench.capacity.COUNTS", (1, 3))
    monkeypatch.setattr("monitor.bench.capacity.SECONDS", 0.0)
    monkeypatch.setattr("monitor.bench.capacity.PARTS_OF", 3)
    monkeypatch.setattr("monitor.bench.capacity.LIVE", 9)
    monkeypatch.setattr("monitor.bench.capacity.LIVE_S", 1.0)
    monkeypatch.setattr("monitor.bench.replay.SECONDS", 3.0)
    monkeypatch.setattr("monitor.bench.replay.SINGLY_S", 0.5)
    monkeypatch.setattr("monitor.bench.replay.STARTS", 1)
    monkeypatch.setattr("monitor.bench.frames.SECONDS", 2)
    monkeypatch.setattr("train.bench.cache.FILES", 3)
    monkeypatch.setattr("train.bench.cache.LARGE_FILES", 2)
    monkeypatch.setattr("train.bench.cache.FILE_S", 1.0)
    monkeypatch.setattr("train.bench.training.FILES", 4)


def figures_of(*sections: str) -> dict[str, dict[str, object]]:
    only = [f"--only={section}" for section in sections]
    assert run(["bench", "--json", "bench.json", *only, *QUICKLY]) == 0
    found: dict[str, dict[str, object]] = json.loads(Path("bench.json").read_text())
    return found


def test_only_the_sections_asked_for_run_and_each_prints_a_few_short_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(figures_of("frames", "machine")) == ["machine", "frames"]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["machine", "frames"]
    assert all(len(line) <= 120 for line in lines)


def test_streams_kept_up_with_are_measured_for_each_number_of_them_and_how_late_live_ones_are() -> None:
    figures: Any = figures_of("streams")["streams"]
    assert [one["count"] for one in figures["float32"]] == [1, 3]
    assert figures["costs"]["float32"]["network_us"] > 0
    for one in figures["float32"]:
        assert one["turns"] >= 3
        assert one["kept_up_with"] == pytest.approx(one["count"] / one["computing_s"])
    assert figures["live"]["count"] == 9
    assert figures["live"]["processing_s"]["count"] > 9


def test_a_replay_is_measured_beside_one_window_at_a_time_and_a_start_beside_its_aim() -> None:
    figures = figures_of("replay")["replay"]
    assert figures.keys() == {
        "times_real_time",
        "over_one_window_at_a_time",
        "help_s",
        "second_judged_s",
        "memory_bytes",
    }


def test_bfloat16_is_compared_on_a_models_own_test_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(small_bundle(), tmp_path / "model.safetensors")
    data = tmp_path / "data"
    for number in range(4):
        label = "normal" if number < 2 else "anomaly"
        write_sound(data / "test" / f"{label}_{number}.wav", noise(32000, seed=number, amplitude=0.1 * (1 + number)))
    named = ["--bundle", str(tmp_path / "model.safetensors"), "--data", str(data)]
    assert run(["bench", "--json", "bench.json", "--only", "precision", *named]) == 0
    figures = json.loads(Path("bench.json").read_text())["precision"]
    assert figures["recordings"] == 4
    assert figures["scores"] == 4 * (201 - 29)
    assert 0 < figures["score_change_p99"] < 0.05
    assert len(figures["auc"]) == 2
    capsys.readouterr()
    assert run(["bench", "--only", "precision"]) == 2
    assert "name --bundle and --data" in capsys.readouterr().err


def test_frames_are_measured_beside_torchaudio_and_librosa() -> None:
    figures = figures_of("frames")["frames"]
    assert {"ours", "torchaudio", "librosa", "over_torchaudio", "over_librosa"} <= figures.keys()


def test_the_cache_is_measured_beside_the_articles_way_and_says_what_an_hour_takes() -> None:
    figures = figures_of("cache")["cache"]
    assert figures.keys() >= {"times_real_time", "again_times_real_time", "over_article"}
    # 101 frames of 64 bands in two bytes each, and what ends the file, in a second
    assert figures["bytes_an_hour"] == pytest.approx(3600 * (101 * 64 * 2 + 36))


def test_training_is_measured_beside_its_bare_steps_a_loader_and_the_disk() -> None:
    figures = figures_of("training")["training"]
    assert figures.keys() >= {"windows", "epoch_100_float32", "epoch_512_float32", "loader", "from_disk"}
    assert figures["epoch_100_float32"].keys() == {"windows_per_second", "share_of_bare_step"}  # type: ignore[attr-defined]


def test_a_window_takes_twice_as_many_operations_as_the_model_has_weights() -> None:
    assert window_operations(Config()) == 2 * 2 * (1280 * 512 + 512 * 256 + 256 * 128)


def test_a_ratio_is_the_median_over_rounds_and_not_of_the_sums() -> None:
    timings = Timings({"slow": [4.0, 100.0, 6.0], "fast": [2.0, 1.0, 2.0]})
    assert timings.ratio("slow", "fast") == 3.0
    assert timings.seconds("slow") == 6.0


def test_rivals_run_in_turn() -> None:
    ran: list[str] = []
    race({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, rounds=2)
    assert ran == ["a", "b"] * 3


def test_the_sections_that_can_be_chosen_are_those_there_are() -> None:
    assert set(SECTIONS) | {"latency", "replay", "machine", "streams", "frames", "precision"} == set(BENCH_SECTIONS)
    helped = CliRunner().invoke(cli, ["bench", "--help"]).output
    assert all(f"\n  {section} " in helped for section in BENCH_SECTIONS)
