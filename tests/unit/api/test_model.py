"""The Python API: a model takes the sound that people have, and says of it what the program says."""

from __future__ import annotations

import csv
import doctest
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import monitor
from monitor.api.result import joined
from monitor.cli.main import run
from support.builders import noise, pieces, sine, small_bundle, write_sound
from support.logs import logged


def small_model() -> monitor.Model:
    return monitor.Model(small_bundle())


def same(one: monitor.Result, other: monitor.Result) -> None:
    """All arrays agree to rounding: the products of a matrix differ in the last bit with its size."""
    for name in ("time_s", "error", "score", "contribution"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=2e-4, atol=2e-4, err_msg=name)
    assert one.state.tolist() == other.state.tolist()
    assert [(e.kind, e.start_s, e.end_s) for e in one.events] == [(e.kind, e.start_s, e.end_s) for e in other.events]


def test_the_docstring_of_the_package_is_true(model: Path) -> None:
    found = doctest.testmod(monitor, extraglobs={"MODEL": model}, verbose=False)
    assert found.attempted >= 10
    assert found.failed == 0


def test_importing_the_package_imports_nothing_heavy() -> None:
    names = "[name for name in ('numpy', 'torch', 'scipy', 'matplotlib', 'pydantic') if name in sys.modules]"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys, monitor; print({names})"], check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "[]"


def test_every_public_name_can_be_imported_and_is_documented() -> None:
    for name in monitor.__all__:
        assert getattr(monitor, name).__doc__, name
    with pytest.raises(AttributeError, match="no_such_thing"):
        monitor.no_such_thing  # noqa: B018
    assert set(monitor.__all__) <= set(dir(monitor))


def test_a_recording_gets_the_scores_that_replay_writes(model: Path, tmp_path: Path) -> None:
    samples = np.concatenate((sine(6.0, hz=300), sine(4.0, hz=2000, amplitude=0.4)))
    file = write_sound(tmp_path / "one.wav", samples)
    arguments = ["replay", str(model), str(file), "--speed", "max", "--headless", "--scores", "scores.csv"]
    assert run(arguments) == 0
    with Path("scores.csv").open() as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))

    result = monitor.load(model).score(samples, 16000)

    assert len(result) == len(rows) == 1001
    np.testing.assert_allclose(result.error, [float(row["error"]) for row in rows], rtol=1e-4)
    written = np.array([float(row["score"]) if row["score"] else np.nan for row in rows])
    np.testing.assert_allclose(result.score, written, rtol=1e-4)
    assert result.threshold == pytest.approx(float(rows[0]["threshold"]), rel=1e-5)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, 20_000), min_size=1, max_size=5), rate=st.sampled_from((8000, 16000, 44100)))
def test_sound_in_pieces_gets_the_same_results_as_at_once(cuts: list[int], rate: int) -> None:
    model, samples = small_model(), noise(2 * rate)
    stream = model.stream(rate)
    found = [stream.push(samples[part]) for part in pieces(len(samples), cuts)] + [stream.flush()]
    same(joined(found), model.score(samples, rate))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_there_is_a_result_for_every_hundredth_of_a_second_at_any_rate(rate: int) -> None:
    result = small_model().score(sine(2.0, rate=rate), rate)
    assert len(result) == 201
    assert result.time_s[[0, 1, -1]] == pytest.approx([0, 0.01, 2.0])
    assert result.contribution.shape == (201, 64)
    assert result.band_hz.shape == (64,)
    assert np.all(np.diff(result.band_hz) > 0)


def test_contributions_add_up_to_the_score_without_their_signs() -> None:
    result = small_model().score(noise(32000), 16000)
    scored = np.isfinite(result.score)
    assert scored.sum() > 100
    np.testing.assert_allclose(np.abs(result.contribution[scored]).sum(axis=1), result.score[scored], rtol=1e-4)
    assert not result.contribution[~scored].any()


@pytest.mark.parametrize(
    ("dtype", "full"), [(np.int16, 2**15), (np.int32, 2**31), (np.float64, 1.0), (np.float32, 1.0), (np.float16, 1.0)]
)
def test_integers_and_floats_are_heard_as_loud_as_each_other(dtype: type, full: float) -> None:
    samples = noise(16000)
    given_as = np.round(samples * full).astype(dtype) if full > 1 else samples.astype(dtype)
    found = small_model().score(given_as, 16000)
    np.testing.assert_allclose(found.error, small_model().score(samples, 16000).error, rtol=0.02)


def test_unsigned_bytes_have_silence_in_their_middle() -> None:
    silence = np.full(16000, 128, np.uint8)
    np.testing.assert_array_equal(
        small_model().score(silence, 16000).error, small_model().score(np.zeros(16000), 16000).error
    )


def test_channels_are_averaged_or_one_is_chosen() -> None:
    left, right = sine(1.0, hz=400), sine(1.0, hz=3000)
    both, model = np.stack((left, right), axis=1), small_model()
    same(model.score(both, 16000), model.score((left + right) / 2, 16000))
    same(model.score(both, 16000, channel=1), model.score(right, 16000))


def test_the_arrays_that_were_given_are_not_changed() -> None:
    samples = noise(16000)
    before = samples.copy()
    small_model().score(samples, 44100)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    ("samples", "rate", "channel", "message"),
    [
        (np.zeros((2, 16000)), 16000, None, r"\(2, 16000\).*\.T"),
        (np.zeros((2, 3, 4)), 16000, None, r"\(2, 3, 4\)"),
        (np.zeros((100, 2)), 16000, 2, "channel 2"),
        (np.array([0.0, np.nan, np.inf]), 16000, None, "2 of 3 samples are not finite, the first of them number 1"),
        (np.full(100, 20_000.0), 16000, None, "divided by 32768"),
        (np.zeros(100, complex), 16000, None, "complex128"),
        (np.array(["a"]), 16000, None, "real numbers"),
        (np.zeros(100), 0, None, "sample_rate"),
        (np.zeros(100), 16000.5, None, "16000.5"),
        (np.zeros(100), 10**6, None, "1000000"),
    ],
)
def test_what_is_no_sound_is_refused_in_a_sentence(
    samples: np.ndarray, rate: int, channel: int | None, message: str
) -> None:
    with pytest.raises(monitor.DataError, match=message):
        small_model().score(samples, rate, channel=channel)


def test_sound_too_short_for_anything_is_no_error() -> None:
    for count in (0, 1, 100, 3200):
        result = small_model().score(np.zeros(count), 16000)
        assert len(result) == len(result.state) == (21 if count == 3200 else 0)
        assert np.isnan(result.score).all()


def test_a_stream_that_was_flushed_takes_no_more() -> None:
    stream = small_model().stream(16000)
    stream.push(noise(1600))
    stream.flush()
    with pytest.raises(monitor.DataError, match="flushed"):
        stream.push(noise(1600))
    with pytest.raises(monitor.DataError, match="flushed"):
        stream.flush()


def test_a_flushed_stream_knows_the_score_of_the_whole_recording(model: Path) -> None:
    stream = monitor.load(model).stream(16000)
    stream.push(sine(3.0))
    assert np.isnan(stream.recording_score)
    stream.flush()
    assert stream.recording_score > 0


def test_a_fault_is_an_event_with_a_beginning_and_an_end(model: Path) -> None:
    humming, loud = sine(8.0, hz=300), noise(8 * 16000, amplitude=0.5)
    result = monitor.load(model).score(np.concatenate((humming, loud, humming)), 16000)
    anomalies = [event for event in result.events if event.kind == "anomaly"]
    assert {event.id for event in anomalies}
    assert any(event.end_s is not None for event in anomalies)
    assert "ANOMALY" in result.state[np.abs(result.time_s - 14) < 1]


def test_a_model_says_what_it_is(model: Path) -> None:
    loaded = monitor.load(model)
    assert str(model) in repr(loaded)
    assert loaded.sample_rate == 16000
    assert {"score", "error", "recording"} <= set(loaded.thresholds)
    with pytest.raises(monitor.BundleError):
        monitor.load(model.with_name("none.safetensors"))


def test_a_session_gives_sinks_what_the_model_finds(model: Path) -> None:
    class Collected(monitor.Sink):
        def __init__(self) -> None:
            self.score: list[float] = []
            self.closed = False

        def scores(self, rows: monitor.ScoreRows) -> None:
            self.score += rows.score.tolist()

        def close(self) -> None:
            self.closed = True

    loaded, samples, sink = monitor.load(model), noise(6 * 16000), Collected()
    source = monitor.BlockSource(np.array_split(samples, 50), 16000)
    monitor.Session([loaded.plan(source, sinks=[sink])]).run()
    np.testing.assert_allclose(sink.score, loaded.score(samples, 16000).score, rtol=2e-4)
    assert sink.closed


def test_training_from_python_gives_a_model_and_refuses_what_the_command_refuses(data: Path, tmp_path: Path) -> None:
    small = {"model.hidden": [16, 8], "model.bottleneck": 4, "features.n_mels": 16}
    with logged("monitor") as messages:
        trained = monitor.train(data, tmp_path / "run", epochs=1, settings=small)
    assert "do not rely on this model yet: 60 s of normal sound" in messages[-1]
    assert trained.config.features.n_mels == 16
    assert len(trained.score(noise(16000), 16000)) == 101
    with pytest.raises(monitor.ConfigError, match="n_melz"):
        monitor.train(data, tmp_path / "other", settings={"features.n_melz": 16})
    with pytest.raises(monitor.DataError):
        monitor.train(tmp_path / "nothing", tmp_path / "other")


def test_events_and_results_travel_between_processes(model: Path) -> None:
    result = monitor.load(model).score(noise(16000), 16000)
    same(pickle.loads(pickle.dumps(result)), result)
