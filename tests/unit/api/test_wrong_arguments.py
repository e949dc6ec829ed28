"""The Python API with arguments that are of another kind: a sentence that names the argument, and what it should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monitor
from support.builders import noise, small_bundle, write_sound

SOUND = noise(16000)


def model() -> monitor.Model:
    return monitor.Model(small_bundle())


def source() -> monitor.BlockSource:
    return monitor.BlockSource([SOUND], 16000)


Call = Callable[[Any], object]
CALLS: list[tuple[Call, list[Any], str]] = [
    (monitor.load, [None, 3, b"x"], "the model must be a path"),
    (lambda rate: model().stream(rate), ["a", None, True, [16000], np.array([8000]), float("nan")], "sample_rate must"),
    (lambda rate: model().score(SOUND, rate), ["16000", 1j], "sample_rate must"),
    (lambda samples: model().score(samples, 16000), [None, "a", [[1, 2], [3]], np.zeros((2, 2, 2))], "samples must be"),
    (lambda channel: model().stream(16000, channel=channel), ["left", -1, 1.0, True, [0]], "a channel is a number"),
    (lambda source: model().plan(source), [None, "a.wav", SOUND], "source must be a monitor.BlockSource"),
    (lambda sinks: model().plan(source(), sinks=sinks), [None, monitor.Sink(), [monitor.Sink], ["x"]], "sinks must be"),
    (lambda name: model().plan(source(), name=name), [3], "name must be a text"),
    (lambda config: model().plan(source(), config=config), [{"alarm": 1}], "config must be settings"),
    (monitor.Session, [None, "a", [None]], "plans must be a list"),
    (lambda device: monitor.Session([], device=device), ["gpu", None], "device must be one of auto, cpu, cuda"),
    (lambda one: monitor.Session([], precision=one), ["int4"], "precision must be one of auto, float32, bfloat16,"),
    (lambda limit: monitor.Session([]).run(duration_s=limit), ["a", float("nan")], "duration_s must be a number"),
    (lambda blocks: monitor.BlockSource(blocks, 16000), [None, 3, "abc"], "blocks must be arrays"),
    (lambda rate: monitor.BlockSource([SOUND], rate), ["a", None, 0, -3, 16000.5], "sample_rate must"),
    (lambda speed: monitor.BlockSource([SOUND], 16000, speed=speed), ["a", 0, -1, float("nan")], "speed must be"),
    (lambda paths: monitor.FileReplay(paths, 16000), [None, [None], []], "paths"),
    (lambda data: monitor.train(data, "out"), [None, 3], "data must be a path"),
    (lambda out: monitor.train(".", out), [None], "out must be a path"),
    (lambda settings: monitor.train(".", "out", settings=settings), ["a", ["features.n_mels=64"]], "settings must be"),
]


@pytest.mark.parametrize(
    ("call", "argument", "message"), [(call, one, message) for call, wrong, message in CALLS for one in wrong]
)
def test_an_argument_of_another_kind_is_named_in_a_sentence(call: Call, argument: object, message: str) -> None:
    with pytest.raises(monitor.MonitorError) as caught:
        call(argument)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("block", [None, "x", np.zeros((2, 100_000)), [[1.0], [2.0, 3.0]]])
def test_a_block_that_is_no_sound_ends_its_source_with_its_number(block: object) -> None:
    session = monitor.Session([model().plan(monitor.BlockSource([SOUND, block], 16000))])  # type: ignore[list-item]
    session.run()
    assert str(session.error).startswith("blocks, block 1: samples must be ")


def test_blocks_of_integers_are_heard_as_loud_as_floats() -> None:
    levels = []
    for block in (SOUND, np.round(SOUND * 2**15).astype(np.int16)):
        session = monitor.Session([model().plan(monitor.BlockSource([block], 16000))])
        session.run()
        levels.append(session.streams[0].latest.peak_dbfs)
    assert levels[1] == pytest.approx(levels[0], abs=0.01)


def test_a_source_and_a_session_say_that_they_can_run_only_once() -> None:
    session = monitor.Session([model().plan(heard := source())])
    session.run()
    with pytest.raises(monitor.ConfigError, match="a session can run only once"):
        session.run()
    with pytest.raises(monitor.DataError, match="blocks: a source can be heard only once"):
        monitor.Session([model().plan(source()), model().plan(heard)]).run()


def test_recordings_are_named_by_text_or_path_one_or_several(tmp_path: Path) -> None:
    file = write_sound(tmp_path / "one.wav", SOUND)
    for paths in (file, str(file), [file], [str(file)]):
        assert monitor.FileReplay(paths, 16000).name == "one.wav"
