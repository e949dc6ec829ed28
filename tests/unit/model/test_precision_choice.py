"""The choice of the precision that the network is computed in."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.core.errors import ConfigError
from monitor.model import precision_choice
from monitor.model.network import Compute
from monitor.model.precision_choice import calibration_precision, listening_precision, seconds_per_window
from support.builders import small_config

CONFIG = Config()


@pytest.fixture(autouse=True)
def nothing_measured_yet() -> None:
    precision_choice._fastest.cache_clear()


def measured(monkeypatch: pytest.MonkeyPatch, **microseconds: float) -> list[str]:
    """Pretends that these times are measured; other precisions lack a library. Returns what is asked for."""
    asked: list[str] = []

    def answer(config: Config, compute: Compute, streams: int) -> float:
        asked.append(compute.precision)
        if compute.precision not in microseconds:
            raise ConfigError("is not installed")
        return microseconds[compute.precision] / 1e6

    monkeypatch.setattr(precision_choice, "seconds_per_window", answer)
    return asked


def test_a_precision_that_is_asked_for_is_taken() -> None:
    for precision in ("float32", "bfloat16", "int8"):
        for streams in (1, 1000):
            assert listening_precision(precision, CONFIG, streams, "cpu") == precision


def test_a_few_streams_are_computed_in_float32_without_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = measured(monkeypatch, float32=30, int8=10)
    assert [listening_precision("auto", CONFIG, streams, "cpu") for streams in (1, 15)] == ["float32"] * 2
    assert not asked, "as the help of listening.precision says"
    assert listening_precision("auto", CONFIG, 16, "cpu") == "int8"


def test_one_stream_imports_neither_torch_nor_onnxruntime() -> None:
    program = """
import sys
from monitor.config.loader import load_config
from monitor.config.schema import Config
from monitor.model.precision_choice import listening_precision
print(listening_precision("auto", Config(), 1, "cpu"), *{"torch", "onnxruntime"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["float32"]


def test_many_streams_are_computed_in_what_is_measured_to_be_fastest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision_choice, "native_bfloat16", lambda _: True)
    asked = measured(monkeypatch, float32=30, int8=10, bfloat16=12)
    with caplog.at_level(logging.INFO):
        assert listening_precision("auto", CONFIG, 64, "cpu") == "int8"
    assert "in int8: measured were float32 30.0 µs, int8 10.0 µs, bfloat16 12.0 µs a window" in caplog.text
    assert listening_precision("auto", CONFIG, 1000, "cpu") == "int8"
    assert asked == ["float32", "int8", "bfloat16"], "measured once"


def test_streams_with_models_of_their_own_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, float32=30, int8=10)
    assert listening_precision("auto", CONFIG, 1, "cpu", in_all=40) == "int8"


def test_a_processor_without_instructions_for_int8_stays_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, float32=30, int8=28)
    assert listening_precision("auto", CONFIG, 64, "cpu") == "float32"


def test_int8_is_a_choice_only_where_all_bands_are_of_similar_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of power the loudest band would make the others coarse."""
    measured(monkeypatch, float32=30, int8=10)
    for change in ("features.scale=power", "features.standardize=false"):
        config = load_config(Path(os.devnull), overrides=(change,))
        assert listening_precision("auto", config, 64, "cpu") == "float32"


def test_without_onnxruntime_many_streams_stay_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, float32=30)
    assert listening_precision("auto", CONFIG, 64, "cpu") == "float32"


def test_bfloat16_is_a_choice_only_where_torch_is_in_use_or_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_choice, "native_bfloat16", lambda _: True)
    features = CONFIG.features
    assert precision_choice._candidates(features, "cpu") == ("float32", "int8", "bfloat16")
    assert precision_choice._candidates(features, "cuda") == ("float32", "bfloat16")
    monkeypatch.delitem(sys.modules, "torch")
    assert precision_choice._candidates(features, "cpu") == ("float32", "int8")
    assert "torch" not in sys.modules


def test_a_window_is_measured_in_each_precision() -> None:
    for precision in ("float32", "int8", "bfloat16"):
        assert 0 < seconds_per_window(small_config(), Compute.on("cpu", precision), 3) < 1


def test_int8_on_a_gpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="on a processor only"):
        Compute.on("cuda", "int8")


def test_limits_are_made_in_the_precision_that_is_asked_for_or_as_before() -> None:
    assert calibration_precision("auto") == "float32"
    assert calibration_precision("auto", "int8") == "int8"
    assert calibration_precision("int8", "float32") == "int8"
    assert calibration_precision("float32", "int8") == "float32"
