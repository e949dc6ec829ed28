"""From requests to streams: settings in force, models loaded once, sources of the right channels, batches by model."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.config.loader import SettingsSource, load_config
from monitor.core.errors import BundleError, ConfigError, DataError, MonitorError
from monitor.detection.drift import Drift, DriftFile
from monitor.outputs.drift_saver import DriftSaver
from monitor.runtime.builder import (
    LoadedRequest,
    StreamRequest,
    build_engine,
    file_sources,
    load_requests,
    model_name,
)
from monitor.sources.device.microphone import Microphone
from monitor.sources.device.microphones import Microphones
from monitor.sources.device.shared_device import MicrophoneSource
from support.builders import RATE, SMALL, noise, small_bundle, small_config, write_sound
from support.listening import HandFedSource, plan, wait_until

STREAMS = "streams:\n  - {name: press, bundle: model.safetensors, device: x}\n"


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """Saves a small model under a name."""

    def store(name: str = "model.safetensors", *, preset: str = "default", overrides: tuple[str, ...] = ()) -> Path:
        small = [one for one in SMALL if preset == "default" or not one.startswith("score")]
        config = load_config(Path(os.devnull), preset=preset, overrides=(*small, *overrides))
        save_bundle(small_bundle(config), tmp_path / name)
        return tmp_path / name

    return store


def settings(text: str = "", *, overrides: tuple[str, ...] = (), preset: str = "default") -> SettingsSource:
    """Settings of a file in the folder of the test, and of a command line."""
    Path("settings.yaml").write_text(text)
    return SettingsSource.read(Path("settings.yaml"), overrides=overrides, preset=preset)


def of_streams(source: SettingsSource) -> list[StreamRequest]:
    """The requests of the streams in a settings file."""
    return [
        StreamRequest(one.bundle, one.name, one.device, one.channel, one.file, one.alarm)
        for one in source.config.streams
    ]


# Settings in force


@pytest.mark.parametrize("preset", ["default", "toyadmos"])
def test_a_stream_in_the_settings_takes_the_alarm_of_its_model_just_as_the_model_alone_does(
    stored: Callable[..., Path], preset: str
) -> None:
    """The article's model decides on every score, and keeps doing so as one of several."""
    model = stored(preset=preset, overrides=("alarm.remind_s=77",))
    source = settings(STREAMS)
    [listed] = load_requests(of_streams(source), source)
    [alone] = load_requests([StreamRequest(model)], source)
    assert listed.config == alone.config
    assert listed.config.alarm == listed.bundle.config.alarm
    assert (listed.config.alarm.k, listed.config.alarm.n) == ((1, 1) if preset == "toyadmos" else (2, 3))
    assert listed.config.alarm.remind_s == 77


def test_what_the_file_states_counts_even_where_it_is_the_default(stored: Callable[..., Path]) -> None:
    """And for each stream its own alarm settings go before those of all, and the command line before any."""
    stored(preset="toyadmos")
    text = "alarm: {k: 2, n: 3, hold_s: 5.0}\n" + STREAMS
    source = settings(text + "  - {name: fan, bundle: model.safetensors, alarm: {n: 4, hold_s: 1.5}}\n")
    press, fan = load_requests(of_streams(source), source)
    assert (press.config.alarm.k, press.config.alarm.n, press.config.alarm.hold_s) == (2, 3, 5.0)
    assert (fan.config.alarm.k, fan.config.alarm.n, fan.config.alarm.hold_s) == (2, 4, 1.5)
    assert fan.config.alarm.block_s == press.config.alarm.block_s == 0.0, "what nobody states is the model's"
    commanded = SettingsSource.read(Path("settings.yaml"), overrides=["alarm.hold_s=9"])
    assert [one.config.alarm.hold_s for one in load_requests(of_streams(commanded), commanded)] == [9, 9]


@pytest.mark.parametrize("setting", ["features.n_mels=32", "model.bottleneck=9", "score.window_s=1.5"])
def test_a_stream_whose_model_was_trained_with_other_settings_is_refused_with_both_values(
    stored: Callable[..., Path], setting: str
) -> None:
    """Be they stated in the file or on the command line, for a stream as for a model alone."""
    model = stored()
    (group, key), value = setting.partition("=")[0].split("."), setting.partition("=")[2]
    for source in (settings(STREAMS, overrides=(setting,)), settings(f"{group}: {{{key}: {value}}}\n" + STREAMS)):
        for requests in (of_streams(source), [StreamRequest(model)]):
            with pytest.raises(ConfigError) as caught:
                load_requests(requests, source)
            message = str(caught.value)
            assert f"{group}.{key} is {value}" in message
            assert str(getattr(getattr(small_config(), group), key)) in message
            assert "model.safetensors" in message


def test_settings_that_agree_with_the_model_are_no_contradiction(stored: Callable[..., Path]) -> None:
    stored()
    source = settings("features: {n_mels: 64}\nscore: {window_s: 0.3}\n" + STREAMS)
    assert len(load_requests(of_streams(source), source)) == 1


# Models


def test_a_model_of_several_streams_is_loaded_once(stored: Callable[..., Path]) -> None:
    one, other = stored(), stored("other.safetensors", overrides=("score.kind=error",))
    loaded = load_requests([StreamRequest(one, "a"), StreamRequest(other, "b"), StreamRequest(one, "c")], settings())
    assert loaded[0].bundle is loaded[2].bundle is not loaded[1].bundle
    assert [each.request.name for each in loaded] == ["a", "b", "c"]


def test_all_models_that_cannot_be_used_are_named_at_once(stored: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("this is none")
    requests = [
        StreamRequest(tmp_path / "missing.safetensors", "press"),
        StreamRequest(stored(), "fan"),
        StreamRequest(tmp_path / "text.safetensors", "saw"),
    ]
    with pytest.raises(BundleError) as caught:
        load_requests(requests, settings())
    first, second = str(caught.value).splitlines()
    assert first.startswith("press: ")
    assert "missing.safetensors" in first
    assert second.startswith("saw: ")


@pytest.mark.parametrize(
    ("path", "name"),
    [("runs/pump/model.safetensors", "pump, 2024-05-06"), ("runs/site-b.safetensors", "site-b, 2024-05-06")],
)
def test_a_model_is_called_by_its_folder_or_by_its_own_name_and_the_day_it_was_trained(path: str, name: str) -> None:
    bundle = small_bundle()
    bundle.provenance["date"] = "2024-05-06T07:08:09"
    assert model_name(Path(path), bundle) == name


# Sources


def loaded_request(bundle: Bundle, *overrides: str, **request: object) -> LoadedRequest:
    """A request of a bundle that is in memory."""
    config = load_config(Path(os.devnull), overrides=overrides)
    return LoadedRequest(StreamRequest(Path("m.safetensors"), **request), bundle, config)  # type: ignore[arg-type]


def test_recordings_are_played_with_the_channel_that_was_asked_for_or_that_of_the_training(tmp_path: Path) -> None:
    """And as much of them waits as the settings allow."""
    left, right = np.full(RATE, 0.5, np.float32), np.full(RATE, -0.25, np.float32)
    file = write_sound(tmp_path / "stereo.wav", np.stack((left, right), 1))
    mixed, second = small_bundle(), small_bundle(small_config("features.channel=1"))
    requests = [
        loaded_request(mixed, "audio.buffer_s=2", files=(file,)),
        loaded_request(mixed, files=(file,), channel=0),
        loaded_request(second, files=(file,)),
        loaded_request(second, files=(file,), channel="mix"),
    ]
    sources = [source for _, source in file_sources(requests, speed=math.inf, gapless=False)]
    heard = []
    for source in sources:
        source.start()
        wait_until(lambda source=source: [mark.kind for mark in source.marks][-1:] == ["end"], "the end of the file")
        heard.append(float(source.reader.take(RATE).samples.mean()))
    assert heard == pytest.approx([0.125, 0.5, -0.25, 0.125])
    assert sources[0].reader.ring.capacity == 2 * RATE


def test_all_files_that_cannot_be_opened_are_named_at_once_with_their_streams(tmp_path: Path) -> None:
    good = write_sound(tmp_path / "good.wav", noise(RATE))
    (tmp_path / "text.wav").write_text("no sound")
    requests = [
        loaded_request(small_bundle(), name=name, files=(tmp_path / file,))
        for name, file in (("press", "missing.wav"), ("fan", good.name), ("saw", "text.wav"))
    ]
    with pytest.raises(DataError) as caught:
        file_sources(requests, speed=math.inf, gapless=False)
    first, second = str(caught.value).splitlines()
    assert first.startswith("press: ")
    assert "missing.wav" in first
    assert second.startswith("saw: ")


def test_streams_of_one_device_share_a_microphone_of_their_highest_rate_and_each_reads_its_own_channel() -> None:
    slow, fast = small_bundle(), small_bundle(small_config("features.sample_rate=48000"))
    requests = [
        loaded_request(slow, name="a", device="USB", channel=0),
        loaded_request(fast, name="b", device="USB", channel=3),
        loaded_request(slow, "audio.device=Other", name="c"),
        loaded_request(slow, name="d", device="USB"),
    ]
    sources = Microphones().sources([one.listener for one in requests])
    usb, second, other, fourth = (microphone_of(source) for source in sources)
    assert usb is second is fourth is not other
    assert (usb.name, usb.sample_rate, other.name, other.sample_rate) == ("USB", 48000, "Other", 16000)
    assert [source.channel for source in sources] == [0, 3, "mix", "mix"]
    assert usb.ring.samples.shape[1] == 4
    assert [usb.listeners, other.listeners] == [3, 1]


def microphone_of(source: MicrophoneSource) -> Microphone:
    assert isinstance(source.microphone, Microphone)
    return source.microphone


# Streams


def test_streams_of_one_model_are_computed_as_one_batch_and_stay_in_their_order() -> None:
    one, other = small_bundle(seed=1), small_bundle(seed=2)
    same = small_bundle(seed=1)  # loaded a second time
    plans = [
        plan(bundle, HandFedSource(name=name), name=name)
        for name, bundle in (("a", one), ("b", other), ("c", one), ("d", same))
    ]
    streams = build_engine(plans, device="cpu").streams
    assert [stream.name for stream in streams] == ["a", "b", "c", "d"]
    batches = [stream.batch for stream in streams]
    assert batches[0] is batches[2] is batches[3] is not batches[1]
    assert [len(batches[0]), len(batches[1])] == [3, 1]
    assert [stream.number for stream in streams] == [0, 0, 1, 2]


def test_what_a_stream_has_learnt_is_taken_up_and_saved_only_where_that_is_enabled(tmp_path: Path) -> None:
    bundle = save_bundle(small_bundle(), tmp_path / "model.safetensors")
    config = load_config(Path(os.devnull), overrides=("drift.enabled=true", "drift.cap=1"))
    learnt = Drift(bundle, config.drift)
    learnt.offsets["residual"][0] = 0.5
    file = DriftFile.beside(tmp_path / "model.safetensors", bundle, "press")
    file.save(learnt.offsets, learnt.share)

    def made(one: str, settings: object = config) -> tuple[Drift | None, int]:
        request = LoadedRequest(StreamRequest(tmp_path / "model.safetensors", one), bundle, settings)  # type: ignore[arg-type]
        planned = request.plan(HandFedSource())
        savers = [sink for sink in planned.sinks if isinstance(sink, DriftSaver)]
        for saver in savers:
            saver.close()
        return planned.drift, len(savers)

    press, saved = made("press")
    assert press is not None
    assert (press.offsets["residual"][0], saved) == (0.5, 1)
    fan, saved = made("fan")
    assert fan is not None
    assert (fan.offsets["residual"][0], saved) == (0.0, 1)
    assert made("press", load_config(Path(os.devnull))) == (None, 0)
    file.path.write_bytes(b"nonsense")
    with pytest.raises(MonitorError, match="--undo"):
        made("press")
