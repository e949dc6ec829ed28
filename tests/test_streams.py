"""Promises of many streams at once: each is judged as if it were alone, and none disturbs another."""

from __future__ import annotations

import csv
import json
import math
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from builders import noise, small_bundle, small_config, write_sound
from test_microphone_parts import Device16k, wait_until

from monitor.bundle.bundle import Bundle, save_bundle
from monitor.cli.main import run as command
from monitor.runtime.engine import Engine
from monitor.core.errors import EXIT_ANOMALY, EXIT_BUNDLE, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, ConfigError
from monitor.config.loader import load_config
from monitor.outputs.sink import ScoreRows
from monitor.core.snapshot import Event, State
from monitor.sources.source import WavReplay
from monitor.runtime.monitored_stream import Station

RATE = 16000


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.error, self.dropped, self.closed = None, 0, 0
        self.rows: list[ScoreRows] = []
        self.events: list[Event] = []

    def frames(self, first: int, power: np.ndarray) -> None:
        """Not kept."""

    def event(self, event: Event) -> None:
        self.events.append(event)

    def scores(self, rows: ScoreRows) -> None:
        self.rows.append(rows)

    def close(self) -> None:
        self.closed += 1

    @property
    def score(self) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(rows.score for rows in self.rows)])


def calm(bundle: Bundle, times: float = 1e9) -> Bundle:
    """The same, with thresholds so many times as high."""
    higher = {name: replace(one, value=times * one.value) for name, one in bundle.thresholds.items()}
    return replace(bundle, thresholds=higher)


def played(bundle: Bundle, files: list[Path], *, name: str = "", speed: float = math.inf) -> tuple[Station, Kept]:
    kept = Kept()
    features = bundle.config.features
    source = WavReplay(files, features.sample_rate, features.channel, speed=speed)
    return Station(bundle, source, bundle.config, model_name="m", name=name, sinks=[kept]), kept


def run_to_end(*stations: Station) -> Engine:
    engine = Engine(stations)
    engine.start()
    engine.wait()
    return engine


@pytest.fixture
def recordings(tmp_path: Path) -> list[list[Path]]:
    """Of five streams, of different lengths, rates and channels."""
    stereo = noise(2 * 44100 * 2, seed=4).reshape(-1, 2)
    return [
        [write_sound(tmp_path / "a.wav", noise(5 * RATE + 123, seed=1))],
        [write_sound(tmp_path / "b0.wav", noise(2 * RATE, seed=2)), write_sound(tmp_path / "b1.wav", noise(RATE + 7))],
        [write_sound(tmp_path / "c.wav", stereo, 44100)],
        [write_sound(tmp_path / "d.wav", noise(RATE, seed=5))],
        [write_sound(tmp_path / "e.wav", noise(60, seed=6))],
    ]


@pytest.mark.parametrize("speed", [math.inf, 10.0])
def test_each_of_several_streams_scores_exactly_as_alone(recordings: list[list[Path]], speed: float) -> None:
    """Of different lengths and rates, some of one model and some of others."""
    models = [calm(small_bundle(seed=seed)) for seed in (0, 1)]
    models.append(calm(small_bundle(small_config("features.hop_length=256"), seed=2)))
    of_stream = [models[0], models[0], models[1], models[0], models[2]]
    together = [
        played(bundle, files, name=f"stream {number}", speed=speed)
        for number, (bundle, files) in enumerate(zip(of_stream, recordings, strict=True))
    ]
    assert run_to_end(*(station for station, _ in together)).error is None
    for bundle, files, (station, kept) in zip(of_stream, recordings, together, strict=True):
        alone, kept_alone = played(bundle, files)
        run_to_end(alone)
        np.testing.assert_allclose(kept.score, kept_alone.score, rtol=1e-5)
        assert [row.name for row in station.results] == [row.name for row in alone.results]
        for ours, theirs in zip(station.results, alone.results, strict=True):
            assert ours.score == pytest.approx(theirs.score, rel=1e-5, nan_ok=True)
            assert ours.seconds == theirs.seconds
        assert station.scored == station.captured == alone.captured
        assert station.latest.finished


def test_a_stream_that_breaks_ends_alone_and_says_why(
    recordings: list[list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = calm(small_bundle())
    (first, kept), (broken, _), (third, other) = (
        played(bundle, files, name=str(number)) for number, files in enumerate(recordings[:3])
    )
    counted = iter(range(1000))

    def fail(*_: object) -> None:
        if next(counted) == 1:
            raise ZeroDivisionError("by nobody's fault")

    monkeypatch.setattr(broken, "_tap", fail)
    engine = run_to_end(first, broken, third)
    assert "by nobody's fault" in str(broken.error)
    assert engine.error is broken.error
    assert first.error is third.error is None
    assert broken.latest.state is State.LOST
    assert "by nobody's fault" in broken.latest.failure
    assert not first.latest.failure
    for files, sink in ((recordings[0], kept), (recordings[2], other)):
        alone, expected = played(bundle, files)
        run_to_end(alone)
        np.testing.assert_allclose(sink.score, expected.score, rtol=1e-5)


def test_a_sink_that_streams_share_is_closed_once_and_knows_them_by_name(recordings: list[list[Path]]) -> None:
    bundle = small_bundle()
    shared = Kept()
    stations = []
    for number, files in enumerate(recordings[:2]):
        source = WavReplay(files, RATE, speed=math.inf)
        stations.append(
            Station(calm(bundle, 1e-9), source, bundle.config, model_name="m", name=f"s{number}", sinks=[shared])
        )
    run_to_end(*stations)
    assert shared.closed == 1
    assert {rows.stream for rows in shared.rows} == {"s0", "s1"}
    sources = {"s0": {"a.wav"}, "s1": {"b0.wav", "b1.wav"}}
    for event in shared.events:
        assert event.source in sources[event.stream]
    assert {event.stream for event in shared.events if event.kind == "anomaly"} <= {"s0", "s1"}


def test_a_lost_and_a_silent_microphone_delay_no_other() -> None:
    """And every sample of each is accounted for."""
    bundle = calm(small_bundle())
    lost, silent, sound = Device16k(), Device16k(), Device16k()
    stations = [
        Station(bundle, device, bundle.config, model_name="m", name=name)
        for name, device in (("lost", lost), ("silent", silent), ("sound", sound))
    ]
    lost.lost_since = time.monotonic()
    engine = Engine(stations)
    engine.start()
    silent.ring.write(np.zeros((RATE, 1), np.float32))
    for block in np.split(noise(2 * RATE), 200):
        sound.ring.write(block[:, None])
    wait_until(lambda: stations[2].scored == 2 * RATE)
    wait_until(lambda: [shown.state for shown in engine.latest[:2]] == [State.LOST, State.NO_SIGNAL])
    assert stations[2].latest.state not in (State.LOST, State.NO_SIGNAL)
    sound.end()
    wait_until(lambda: stations[2].latest.finished)
    assert not engine.finished
    engine.stop()
    assert [station.captured for station in stations] == [0, RATE, 2 * RATE]
    assert [station.scored for station in stations] == [0, 0, 2 * RATE]


# ---------------------------------------------------------------- by the command line


@pytest.fixture
def hall(tmp_path: Path, recordings: list[list[Path]]) -> Path:
    """Three streams in a settings file, in a folder of its own: one of them is anomalous."""
    folder = tmp_path / "hall"
    save_bundle(calm(small_bundle()), folder / "calm.safetensors")
    save_bundle(calm(small_bundle(seed=3)), folder / "other.safetensors")
    for name, files in (("a.wav", recordings[0]), ("b.wav", recordings[1])):
        (folder / name).write_bytes(files[0].read_bytes())
    file = folder / "hall.yaml"
    file.write_text(
        "alarm:\n  warm_up_s: 0\n"
        "streams:\n"
        "  - name: press 1\n    bundle: calm.safetensors\n    file: a.wav\n"
        "  - name: press 2\n    bundle: calm.safetensors\n    file: [b.wav, a.wav]\n"
        "    alarm: {threshold: 1e-9, evidence: false}\n"
        "  - name: fan\n    bundle: other.safetensors\n    file: b.wav\n"
    )
    return file


def test_a_replay_of_all_streams_names_each_in_summary_events_and_scores(
    hall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths count from the settings file, and a stream's alarm settings are its own."""
    arguments = ["replay", "--config", str(hall), "--speed", "max", "--headless", "--scores", "s.csv"]
    assert command([*arguments, "--events", "e.jsonl", "--fail-on-anomaly"]) == EXIT_ANOMALY
    printed = capsys.readouterr().out
    table = printed[printed.index("stream ") :]
    assert re.findall(r"^(press \d|fan) +\S+\.wav ", table, re.MULTILINE) == ["press 1", "press 2", "press 2", "fan"]
    assert "in press 2 (" in printed
    assert "press 1: NORMAL" in printed
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert {event["stream"] for event in events} == {"press 2"}
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["stream"] for row in rows} == {"press 1", "press 2", "fan"}
    assert {row["source"] for row in rows if row["stream"] == "press 2"} == {"a.wav", "b.wav"}


def test_pictures_of_all_streams_are_in_one_folder_by_their_names(hall: Path, tmp_path: Path) -> None:
    assert command(["replay", "--config", str(hall), "--speed", "max", "--headless", "--pictures", "p"]) == EXIT_OK
    pictures = [path.name for path in (tmp_path / "p").iterdir()]
    assert pictures
    assert all("press-2" in name for name in pictures)


def test_one_stream_is_by_itself_what_the_command_with_its_model_is(hall: Path, tmp_path: Path) -> None:
    lines = hall.read_text().split("  - name: press 2")[0]
    hall.write_text(lines)
    model, sound = hall.with_name("calm.safetensors"), hall.with_name("a.wav")
    base = ["--speed", "max", "--headless", "--scores"]
    assert command(["replay", "--config", str(hall), *base, "one.csv"]) == EXIT_OK
    assert command(["replay", str(model), str(sound), *base, "two.csv"]) == EXIT_OK
    one, two = ((tmp_path / name).read_text().splitlines() for name in ("one.csv", "two.csv"))
    assert [line.removeprefix("stream,").removeprefix("press 1,") for line in one] == two


def test_a_file_that_breaks_off_ends_one_stream_and_is_told_at_the_end(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = hall.with_name("b.flac")
    soundfile.write(sound, noise(4 * RATE), RATE)
    sound.write_bytes(sound.read_bytes()[: sound.stat().st_size // 2])
    hall.write_text(hall.read_text().replace("file: [b.wav, a.wav]", "file: b.flac"))
    code = command(["replay", "--config", str(hall), "--speed", "max", "--headless"])
    printed = capsys.readouterr()
    assert code in (EXIT_OK, EXIT_FAILURE)
    assert "a.wav" in printed.out
    assert "fan" in printed.out


def test_models_and_files_that_cannot_be_used_are_told_all_at_once(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = hall.read_text()
    hall.write_text(text.replace("bundle: calm", "bundle: missing"))
    assert command(["replay", "--config", str(hall), "--headless"]) == EXIT_BUNDLE
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(f"press {number}" in line and "missing" in line for number, line in enumerate(errors, 1))
    hall.write_text(text.replace("a.wav", "nowhere.wav"))
    assert command(["replay", "--config", str(hall), "--headless"]) == EXIT_FAILURE
    errors = capsys.readouterr().err.splitlines()
    assert ["press 1" in errors[0], "press 2" in errors[1]] == [True, True]


@pytest.mark.parametrize("name", ["live", "replay"])
def test_without_a_model_and_without_streams_a_sentence_says_what_to_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([name]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert "streams" in error
    assert len(error.splitlines()) == 1


def test_what_a_stream_has_drifted_by_is_its_own_and_is_taken_back_by_its_name(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["replay", "--config", str(hall), "--speed", "max", "--headless", "--set", "drift.enabled=true"]
    assert command(arguments) == EXIT_OK
    kept = {path.name for path in hall.parent.glob("*.drift.safetensors")}
    assert kept == {"calm.press 1.drift.safetensors", "calm.press 2.drift.safetensors", "other.fan.drift.safetensors"}
    model = hall.with_name("calm.safetensors")
    capsys.readouterr()
    assert command(["drift", str(model), "--stream", "press 2"]) == EXIT_OK
    assert "% of the cap" in capsys.readouterr().out
    assert command(["drift", str(model), "--stream", "press 2", "--undo"]) == EXIT_OK
    assert not hall.with_name("calm.press 2.drift.safetensors").exists()
    assert hall.with_name("calm.press 1.drift.safetensors").exists()


def test_what_is_for_one_microphone_is_refused_for_streams(hall: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["live", "--config", str(hall), "--record", "x.wav"]) == EXIT_USAGE
    assert "--record" in capsys.readouterr().err


# ---------------------------------------------------------------- in the settings


@pytest.mark.parametrize(
    ("streams", "place", "words"),
    [
        ("  - name: a\n    bundle: m\n    bundel: m\n", "4:5", ["unknown setting streams[0].bundel", "bundle"]),
        ("  - name: a\n", "2:5", ["streams[0].bundle is missing"]),
        ("  - name: a\n    bundle: m\n  - name: a\n    bundle: m\n", "4:5", ["streams[1].name", "streams[0]"]),
        ("  - name: a/b\n    bundle: m\n", "2:5", ["streams[0].name", "slash"]),
        ("  - name: ''\n    bundle: m\n", "2:5", ["streams[0].name"]),
        ("  - name: a\n    bundle: m\n    channel: left\n", "4:5", ["streams[0].channel", "mix"]),
        ("  - name: a\n    bundle: m\n    device: x\n    file: y.wav\n", "2:5", ["streams[0]", "not both"]),
        ("  - name: a\n    bundle: m\n    alarm:\n      k: many\n", "5:7", ["streams[0].alarm.k", "integer"]),
        ("  - name: a\n    bundle: m\n    alarm:\n      kk: 1\n", "5:7", ["streams[0].alarm.kk", "cool_down_s"]),
        ("  - name: a\n    bundle: m\n    alarm: {k: 7}\n", "4:5", ["streams[0].alarm", "k is 7", "n only 3"]),
        ("  - name: a\n    bundle: m\n    alarm: loud\n", "4:5", ["streams[0].alarm", "group"]),
        ("  a: m\n", "1:1", ["streams has to be a list"]),
        ("  - a\n", "2:5", ["streams[0]", "group"]),
    ],
)
def test_a_mistake_in_a_stream_is_told_with_file_line_and_column(streams: str, place: str, words: list[str]) -> None:
    Path("settings.yaml").write_text(f"streams:\n{streams}")
    with pytest.raises(ConfigError) as caught:
        load_config(Path("settings.yaml"))
    for line in str(caught.value).splitlines():
        assert line.startswith(f"settings.yaml:{place}: ")
    for word in words:
        assert word in str(caught.value)


def test_check_tells_the_mistakes_of_all_streams_and_shows_them_so_that_they_can_be_read_back(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["check", str(hall)]) == EXIT_OK
    again = hall.with_name("again.yaml")
    again.write_text(capsys.readouterr().out)
    ours, theirs = (load_config(file) for file in (hall, again))
    assert [(s.name, s.alarm) for s in ours.streams] == [(s.name, s.alarm) for s in theirs.streams]
    hall.write_text(hall.read_text().replace("bundle:", "bundel:"))
    assert command(["check", str(hall)]) == EXIT_USAGE
    assert capsys.readouterr().err.count("bundel") == 3


def test_a_streams_alarm_goes_before_that_of_all_and_the_rest_is_common(hall: Path) -> None:
    config = load_config(hall, overrides=["alarm.k=1"])
    alarms = [config.of_stream(stream).alarm for stream in config.streams]
    assert [(one.k, one.warm_up_s, one.threshold) for one in alarms] == [(1, 0, None), (1, 0, 1e-9), (1, 0, None)]


def test_streams_cannot_be_set_on_the_command_line() -> None:
    with pytest.raises(ConfigError, match="settings file"):
        load_config(overrides=["streams.name=x"])


def test_one_that_ends_early_is_finished_while_the_others_go_on(recordings: list[list[Path]]) -> None:
    bundle = calm(small_bundle())
    (long, _), (short, _) = (played(bundle, recordings[number], name=str(number), speed=2.0) for number in (0, 3))
    engine = Engine([long, short])
    engine.start()
    deadline = time.monotonic() + 30
    while not short.latest.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    assert short.latest.finished
    assert not long.latest.finished
    assert long.latest.state in (State.NORMAL, State.LISTENING)
    engine.stop()
