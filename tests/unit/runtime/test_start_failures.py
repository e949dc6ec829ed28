"""A stream that cannot be started keeps no other from being monitored, and is shown as lost with its reason."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.cli.main import run as command
from monitor.config.loader import SettingsSource
from monitor.core.errors import EXIT_BUNDLE, EXIT_FAILURE, EXIT_OK, BundleError, DataError
from monitor.core.events import State
from monitor.dashboard.layout import Screen, Streams
from monitor.dashboard.render.theme import MONO
from monitor.dashboard.render.view import View
from monitor.runtime.builder import StreamRequest, file_sources, load_requests, make_plans, with_recordings
from monitor.runtime.session import Session
from monitor.runtime.start_failures import FailedStream, StartFailures
from support.builders import RATE, noise, small_bundle, write_sound
from support.settings import written
from support.snapshots import snapshot
from support.special_files import special_file_of

HALL = """streams:
- {name: press, bundle: model.safetensors, file: [good.wav]}
- {name: fan, bundle: nowhere.safetensors, file: [good.wav]}
- {name: saw, bundle: model.safetensors, file: [nowhere.wav]}
- {name: belt, bundle: model.safetensors, file: [empty]}
"""


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """A settings file of four streams, three of which cannot be started."""
    save_bundle(small_bundle(), tmp_path / "model.safetensors")
    write_sound(tmp_path / "good.wav", noise(2 * RATE))
    (tmp_path / "empty").mkdir()
    return written(HALL, "hall.yaml")


def session_of(hall: Path) -> Session:
    settings = SettingsSource.read(hall)
    requests = [StreamRequest(one.bundle, one.name, files=one.file) for one in settings.config.streams]
    failures = StartFailures(tolerate=True)
    loaded = load_requests(with_recordings(requests, failures), settings, failures)
    playable = file_sources(loaded, speed=float("inf"), gapless=False, failures=failures)
    return Session(make_plans(playable, lambda _: [], failures), device="cpu", failures=failures)


def test_the_other_streams_are_monitored_and_those_that_failed_are_lost_with_their_reason(
    hall: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="monitor"):
        session = session_of(hall)
        session.run()
    press, *others = session.latest
    assert (press.stream, press.failure, press.finished) == ("press", "", True)
    assert press.position_s == 2.0
    assert [(one.stream, one.state, one.finished) for one in others] == [
        ("belt", State.LOST, True),
        ("fan", State.LOST, True),
        ("saw", State.LOST, True),
    ]
    for one, words in zip(others, ("without recordings", "No such file", "no such file"), strict=True):
        assert words in one.failure
        assert f"{one.stream}: " in caplog.text
    assert isinstance(session.error, DataError)
    for name in ("fan", "saw", "belt"):
        assert f"{name}: " in str(session.error)


def test_the_limit_of_a_stream_that_failed_can_be_changed_without_harm(hall: Path) -> None:
    session = session_of(hall)
    session.scale_threshold(1.05, "fan")
    session.run()


def test_a_single_stream_and_streams_that_all_fail_end_at_once(tmp_path: Path) -> None:
    settings = SettingsSource.read()
    missing = [StreamRequest(tmp_path / f"{name}.safetensors", name) for name in ("a", "b")]
    for requests, failures in ((missing[:1], StartFailures()), (missing, StartFailures(tolerate=True))):
        with pytest.raises(BundleError) as caught:
            load_requests(requests, settings, failures)
        assert len(caught.value.messages) == len(requests)


def test_replay_plays_the_others_says_what_is_wrong_and_ends_with_its_code(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["replay", "--config", str(hall), "--headless", "--speed", "max"]) == EXIT_FAILURE
    printed = capsys.readouterr()
    assert "good.wav" in printed.out
    for name in ("fan", "saw", "belt"):
        assert f"{name}: " in printed.err
        assert f"{name}: not monitored: " in printed.out
        assert f"{name}: listening" not in printed.out
    hall.write_text(HALL.replace("nowhere.wav", "good.wav").replace("[empty]", "[good.wav]"))
    assert command(["replay", "--config", str(hall), "--headless", "--speed", "max"]) == EXIT_BUNDLE


def test_check_tells_of_every_stream_whether_it_could_be_monitored(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["check", str(hall)]) == EXIT_OK
    capsys.readouterr()
    assert command(["check", str(hall), "--files"]) == EXIT_BUNDLE
    printed = capsys.readouterr()
    limits = "(limits made in float32)"
    assert printed.out.splitlines() == [f"press: usable: model model.safetensors {limits}, 1 recording of 2 s."]
    first, second, third = printed.err.splitlines()
    assert first.startswith("monitor: fan: nowhere.safetensors: ")
    assert second.startswith("saw: nowhere.wav: ")
    assert third.startswith("belt: empty: ")
    hall.write_text("\n".join(HALL.splitlines()[:2]))
    assert command(["check", str(hall), "--files"]) == EXIT_OK


def test_check_finds_a_setting_that_contradicts_the_model(hall: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hall.write_text("features: {n_mels: 32}\n" + "\n".join(HALL.splitlines()[:2]))
    assert command(["check", str(hall), "--files"]) != EXIT_OK
    assert "press: features.n_mels is 32" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a socket"])
def test_a_device_a_pipe_and_a_socket_are_no_recordings_and_are_not_waited_for(
    hall: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = special_file_of(kind, tmp_path)
    assert command(["replay", "model.safetensors", str(path), "--headless"]) == EXIT_FAILURE
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (40, 10)])
def test_a_stream_that_failed_can_be_drawn_in_the_table_and_alone(size: tuple[int, int]) -> None:
    failed = FailedStream("fan", Path("nowhere.safetensors"), "fan.wav", BundleError("No such file.")).snapshot()
    table = Streams((snapshot(stream="press"), failed), (0, 1), 1)
    for shown, words in ((failed, "No such file"), (table, "LOST")):
        lines = Screen(shown, View()).lines(*size, MONO)
        text = "\n".join("".join(segment.text for segment in line) for line in lines)
        assert words in text
