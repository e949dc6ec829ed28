"""`monitor bench`: every section gives its figures, rivals beside ours, and only what was asked for runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from monitor.bundle.bundle_io import save_bundle
from monitor.cli.commands.bench import SECTIONS
from monitor.cli.main import cli, run
from support.builders import SMALL, noise, small_bundle, write_sound
from train.bench import SECTIONS as OFFLINE
from train.data.feature_store import FOOTER

pytestmark = pytest.mark.long

QUICKLY = [f"--set={setting}" for setting in (*SMALL, "features.n_mels=16")]
LITTLE = {
    "monitor.bench.timing.REST_S": 0.0,
    "monitor.bench.peak_flops.SIZE": 64,
    "monitor.bench.autoencoder.SHAPES": ((1, 1), (2, 10)),
    "monitor.bench.autoencoder.TIMED_S": 0.0,
    "monitor.bench.capacity.COUNTS": (1, 3),
    "monitor.bench.capacity.SECONDS": 0.0,
    "monitor.bench.capacity.PARTS_OF": 3,
    "monitor.bench.capacity.LIVE": 9,
    "monitor.bench.capacity.LIVE_S": 0.5,
    "monitor.bench.replay.SECONDS": 3.0,
    "monitor.bench.replay.SINGLY_S": 0.5,
    "monitor.bench.replay.STARTS": 1,
    "monitor.bench.frames.SECONDS": 2,
    "monitor.bench.frames.SHORT_S": 1,
    "monitor.bench.store.STREAMS": 2,
    "monitor.bench.store.DAYS": 2,
    "monitor.bench.network.SOURCES": 1,
    "monitor.bench.network.SECONDS": 0.2,
    "monitor.bench.network.SETTLE_S": 0.0,
    "monitor.bench.uptime.HOURS": 0.12,
    "monitor.bench.uptime.STREAMS": 2,
    "train.bench.cache.FILES": 3,
    "train.bench.cache.LARGE_FILES": 2,
    "train.bench.cache.FILE_S": 1.0,
    "train.bench.training.FILES": 2,
    "train.bench.training.ROUNDS": 1,
    "train.bench.training.STEP_BATCHES": (64,),
    "train.bench.steps.WINDOWS": 1,
    "train.bench.steps.PRODUCT": 64,
}


@pytest.fixture(autouse=True)
def little_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LITTLE.items():
        monkeypatch.setattr(name, value)


def figures_of(*sections: str) -> dict[str, dict[str, object]]:
    only = [f"--only={section}" for section in sections]
    assert run(["bench", "--json", "bench.json", *only, *QUICKLY]) == 0
    found: dict[str, dict[str, object]] = json.loads(Path("bench.json").read_text())
    return found


def test_only_the_sections_asked_for_run_and_each_prints_a_few_short_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(figures_of("frames", "machine")) == ["machine", "frames", "targets"]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] in (
        ["machine", "frames"],
        ["machine", "frames", "targets"],
    )
    assert all(len(line) <= 120 for line in lines)


def test_streams_are_measured_for_each_number_of_them_and_so_is_how_late_live_ones_are() -> None:
    figures: Any = figures_of("streams")["streams"]
    assert [one["count"] for one in figures["float32"]] == [1, 3]
    assert set(figures["costs"]["float32"]) == {"network_us", "beside_network_us", "detection_us", "collecting_us"}
    assert all(one > 0 for name, one in figures["costs"]["float32"].items() if name != "beside_network_us")
    assert figures["streams_at_most"]["float32"] > 0
    for one in figures["float32"]:
        assert one["turns"] >= 3
        assert one["kept_up_with"] == pytest.approx(one["count"] / one["computing_s"])
    assert figures["live"]["count"] == 9
    assert figures["live"]["processing_s"].keys() == {"count", "median", "p99", "worst"}


def test_a_replay_is_measured_beside_one_window_at_a_time_and_so_are_starts_and_memory() -> None:
    figures = figures_of("replay")["replay"]
    assert figures.keys() == {
        "times_real_time",
        "at_most",
        "over_one_window_at_a_time",
        "help_s",
        "second_scored_s",
        "memory_bytes",
    }


def test_the_autoencoder_is_measured_beside_torch_and_onnxruntime(capsys: pytest.CaptureFixture[str]) -> None:
    figures: Any = figures_of("model")
    assert list(figures["model"]) == ["1 x 1", "2 x 10"]
    assert all(microseconds > 0 for microseconds in figures["model"]["1 x 1"].values())
    assert {target["unit"] for target in figures["targets"]} >= {"times onnx, float32, at worst"}
    assert all(len(line) <= 120 for line in capsys.readouterr().out.splitlines())


def test_bfloat16_and_int8_are_compared_on_a_models_own_test_recordings(
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
    for precision in ("bfloat16", "int8"):
        assert 0 < figures[precision]["error_change_p99"] < 0.01
        assert 0 < figures[precision]["score_change_p99"] < 0.05
        assert len(figures[precision]["auc"]) == 2
    capsys.readouterr()
    assert run(["bench", "--only", "precision"]) == 2
    assert "add --bundle and --data" in capsys.readouterr().err


def test_frames_are_measured_beside_torchaudio_and_librosa() -> None:
    figures = figures_of("frames")["frames"]
    assert list(figures) == ["one recording", "recordings of 1 s"]
    for found in figures.values():
        assert {"ours", "torchaudio", "librosa"} <= found["times_real_time"].keys()
        assert {"torchaudio", "librosa"} <= found["over"].keys()


def test_the_store_is_measured_with_a_year_of_minute_values() -> None:
    figures: Any = figures_of("store")["store"]
    assert (figures["streams"], figures["days"], figures["rows"]) == (2, 2, 2 * 2 * 1440)
    assert figures["year_bytes"] == pytest.approx(figures["bytes"] * 365 / 2)
    assert figures["year_by_hour_s"] > 0


def test_receiving_from_the_network_is_measured_for_each_codec() -> None:
    figures: Any = figures_of("network")["network"]
    assert list(figures["codecs"]) == ["PCM", "mu-law", "AAC", "MP3", "Opus", "Vorbis", "FLAC"]
    assert all(cost["decoder_mb"] > 1 for cost in figures["codecs"].values())


def test_the_cache_is_measured_beside_the_articles_way_and_says_what_an_hour_takes() -> None:
    figures = figures_of("cache")["cache"]
    assert figures.keys() >= {"times_real_time", "again_times_real_time", "over_article"}
    # 101 frames of 16 bands in two bytes each, and what ends the file, in a second
    assert figures["bytes_an_hour"] == pytest.approx(3600 * (101 * 16 * 2 + FOOTER.size))


def test_training_is_measured_beside_its_bare_steps_a_loader_and_the_disk() -> None:
    figures = figures_of("training")["training"]
    assert figures.keys() >= {"windows", "epoch_100_float32", "epoch_512_float32", "loader", "from_disk"}
    epoch: Any = figures["epoch_100_float32"]
    assert epoch.keys() == {"windows_per_second", "share_of_bare_step"}


def test_every_section_can_be_chosen_and_is_explained_in_the_help() -> None:
    further = {"latency", "replay", "machine", "model", "streams", "frames", "store", "network", "uptime", "precision"}
    assert set(OFFLINE) | further == set(SECTIONS)
    helped = CliRunner().invoke(cli, ["bench", "--help"]).output
    assert all(f"\n  {section} " in helped for section in SECTIONS)


def test_without_torch_the_sections_that_do_not_need_it_run_and_the_others_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("torch", "torchaudio"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("monitor.bench.latency.SETTLE_S", 0.0)
    assert run(["bench", "--json", "bench.json", "--seconds", "1", *QUICKLY]) == 0
    left_out = ("model", "frames", "training", "distributed", "gpu", "precision")
    assert json.loads(Path("bench.json").read_text()).keys() == {*SECTIONS, "targets"} - {*left_out}
    [line] = [line for line in capsys.readouterr().err.splitlines() if "PyTorch" in line]
    assert line.endswith(f"left out are the sections that need it: {', '.join(left_out)}.")


def test_uptime_says_what_each_part_of_the_hours_cost_and_whether_memory_grew() -> None:
    figures: Any = figures_of("uptime")["uptime"]
    assert (figures["streams"], len(figures["cpu_s_an_hour"])) == (2, 40)
    assert figures["ratio"] > 0
    assert figures["growth_mib_an_hour"] >= 0
