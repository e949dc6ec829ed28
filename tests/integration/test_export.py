"""`monitor export`: what other programs compute from an exported model is what the monitor computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.cli.main import run as command
from monitor.config.loader import load_config
from monitor.core.errors import EXIT_BUNDLE, EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from monitor.detection.alarm import Alarm
from monitor.detection.cusum import Limits
from monitor.guide import page
from monitor.integrations.onnx_export import model_graph
from monitor.integrations.onnx_export.model_graph import onnx_model
from monitor.integrations.onnx_export.verification import OnnxStream
from monitor.scoring.scorer import rolling_length
from monitor.streaming.stream_batch import StreamBatch
from support.builders import small_bundle, write_sound
from train.demo.demo import learn
from train.demo.machines import MACHINES
from train.demo.stream import SoundStream

HOUR_S = float(os.environ.get("SOAK_ACCELERATED_SECONDS", "3600"))
FAULT_S, PIECE_S = 60.0, 10.0


def test_an_exported_model_has_the_scores_of_the_program_at_every_window_of_a_recording(
    bundle: Bundle, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page of the manual says how to use it: its example is run as it stands there."""
    assert command(["export", str(model), "--onnx", "pump.onnx"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "pump.onnx: " in said
    assert "monitor guide export" in said
    onnx.checker.check_model(str(tmp_path / "pump.onnx"), full_check=True)
    samples = MACHINES["motor"].sound(16_000, 5, fault="bearing").read(160_080)
    write_sound(tmp_path / "today.wav", samples)
    names: dict[str, object] = {}
    exec(page("export").split("```python\n")[1].split("```")[0], names)
    stream = StreamBatch(bundle)
    [portion] = stream.push(samples[None, :160_000], [0]).portions()
    expected = np.concatenate((portion.score, stream.flush(0, samples[160_000:]).score))
    np.testing.assert_allclose(names["scores"], expected, rtol=1e-4, equal_nan=True)
    limit = bundle.thresholds["score"].value
    assert f"highest score {np.nanmax(expected):.2f}, limit {limit:.2f}" in capsys.readouterr().out


def test_the_metadata_have_what_a_reader_needs_beside_the_graph(bundle: Bundle, model: Path) -> None:
    assert command(["export", str(model), "--onnx", "pump.onnx"]) == EXIT_OK
    session = onnxruntime.InferenceSession("pump.onnx", providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["model_id"] == bundle.model_id
    assert facts["program"].startswith("acoustic-monitor ")
    settings = json.loads(facts["settings"])
    assert settings["features"] == bundle.config.features.model_dump(mode="json")
    assert settings["alarm"]["k"] == bundle.config.alarm.k
    standardization = json.loads(facts["standardization"])
    np.testing.assert_array_equal(np.float32(standardization["mean"]), bundle.mean)
    np.testing.assert_array_equal(np.float32(standardization["deviation"]), bundle.deviation)
    limits = json.loads(facts["limits"])
    for name, threshold in bundle.thresholds.items():
        assert limits[name] == {one: threshold.at(one) for one in ("low", "normal", "high")}
    np.testing.assert_array_equal(json.loads(facts["normal_scores"]), bundle.normal_scores)
    stored = onnx.load("pump.onnx")
    for constant in stored.graph.initializer:  # a plant changes its limits without exporting again
        assert not np.isin(onnx.numpy_helper.to_array(constant), list(limits["score"].values())).any(), constant.name


def test_an_older_export_is_replaced_and_a_model_is_not_overwritten(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(model.read_bytes())
    (tmp_path / "pump.onnx").write_bytes(b"older")
    assert command(["export", str(copy), "--onnx", "pump.onnx"]) == EXIT_OK
    onnx.checker.check_model(str(tmp_path / "pump.onnx"))
    assert command(["export", str(copy), "--onnx", str(copy)]) == EXIT_USAGE
    assert "would be overwritten" in capsys.readouterr().err
    assert copy.read_bytes() == model.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "pump.onnx"}


def test_a_file_that_cannot_be_written_and_a_model_that_is_damaged_are_refused_in_a_sentence(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    assert command(["export", str(model), "--onnx", "taken/pump.onnx"]) == EXIT_USAGE
    assert "taken/pump.onnx: there is no folder taken" in capsys.readouterr().err
    (tmp_path / "damaged.safetensors").write_bytes(model.read_bytes()[:-1])
    assert command(["export", "damaged.safetensors", "--onnx", "pump.onnx"]) == EXIT_BUNDLE
    assert "damaged.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "pump.onnx").exists()


def test_an_export_whose_results_differ_from_the_programs_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(small_bundle(), tmp_path / "model.safetensors")
    other = onnx_model(small_bundle(seed=1))
    monkeypatch.setattr(model_graph, "onnx_model", lambda _: other)
    assert command(["export", "model.safetensors", "--onnx", "pump.onnx"]) == EXIT_FAILURE
    assert "computes other results" in capsys.readouterr().err
    assert not (tmp_path / "pump.onnx").exists()


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_without_the_libraries_one_sentence_says_what_to_install(tmp_path: Path, library: str) -> None:
    save_bundle(small_bundle(), tmp_path / "model.safetensors")
    program = f"""
import sys
sys.modules[{library!r}] = None  # as if it were not installed
from monitor.cli.main import run
sys.exit(run(["export", "model.safetensors", "--onnx", "pump.onnx"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_USAGE
    assert done.stderr.strip().splitlines() == [
        f"monitor: an ONNX file needs the library {library}: pip install 'acoustic-monitor[onnx]'."
    ]


def faulty_sound(name: str, seconds: float, *, healthy_s: float) -> Iterator[np.ndarray]:
    """Samples of a simulated machine, in pieces: healthy most of the time, with one of its faults now and then."""
    machine, number, left = MACHINES[name], 0, seconds
    while left > 0:
        faults = {"fault": machine.faults[number // 2 % len(machine.faults)]} if number % 2 else {}
        sound: SoundStream = machine.sound(16_000, 3000 + number, **faults)
        length_s = min(left, FAULT_S / 2 if number % 2 else healthy_s)
        for _ in range(round(length_s / PIECE_S)):
            yield sound.read(round(PIECE_S * 16_000))
        left, number = left - length_s, number + 1


def assert_same_alarms(bundle: Bundle, pieces: Iterator[np.ndarray]) -> None:
    """Scores sound by the program and by its exported model, and compares the scores and all reports of anomalies."""
    ours, theirs = StreamBatch(bundle), OnnxStream(onnx_model(bundle).SerializeToString())
    limits, features = Limits.of(bundle, bundle.config.alarm), bundle.config.features
    alarms = [
        Alarm(bundle.config.alarm, limits, features.hop_s, rolling_length(bundle.config.score, features)) for _ in "12"
    ]
    reported: list[list[tuple[object, ...]]] = [[], []]
    for samples in pieces:
        [portion] = ours.push(samples[None], [0]).portions()
        found = theirs.push(portion.frames)["score"]
        np.testing.assert_allclose(found, portion.score, rtol=1e-4, equal_nan=True)
        for alarm, scores, events in zip(alarms, (portion.score, found), reported, strict=True):
            for anomaly in alarm.push(scores):
                events.append((alarm.state, anomaly.start, anomaly.end, anomaly.cause, anomaly.reported))
    assert reported[0] == reported[1]
    assert reported[0]


def test_an_exported_model_gives_the_same_alarms(bundle: Bundle) -> None:
    assert_same_alarms(bundle, faulty_sound("motor", 100, healthy_s=40))


@pytest.mark.soak
@pytest.mark.parametrize("machine", list(MACHINES))
def test_an_exported_model_gives_the_same_alarms_over_an_hour(machine: str, tmp_path: Path) -> None:
    """A model trained as the demo trains it, or that of EXPORT_MODELS/<machine>.safetensors if that is given."""
    given = os.environ.get("EXPORT_MODELS")
    if given:
        trained = Path(given) / f"{machine}.safetensors"
    else:
        trained = learn(load_config(Path(os.devnull)), tmp_path, MACHINES[machine])
    assert_same_alarms(load_bundle(trained), faulty_sound(machine, HOUR_S, healthy_s=240))


@pytest.mark.parametrize("words", [["export", "MODEL", "--onnx"], ["report", "--state", ".", "--out"]])
def test_a_mistyped_folder_of_an_output_is_not_created(
    words: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mistyped" / "file"
    assert command([*(str(model) if word == "MODEL" else word for word in words), str(out)]) == EXIT_USAGE
    assert f"{out}: there is no folder {out.parent}" in capsys.readouterr().err
    assert not out.parent.exists()
