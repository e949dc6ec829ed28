"""A stream that gets another model of the same features goes on: nothing is unheard, unscored or reported twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import with_model_id
from monitor.bundle.versions import ModelVersions, with_lineage
from monitor.core.events import State
from monitor.runtime.batches import front
from monitor.runtime.builder import StreamRequest, load_requests, model_name
from monitor.streaming.stream_batch import StreamBatch
from support.builders import RATE, noise, pieces, small_bundle, small_config
from support.listening import HandFedSource, alarmed_by_loud_noise, never_alarmed, wait_until, with_thresholds
from support.live_streams import HOP, Hall, hall

pytestmark = pytest.mark.long

PROMPT = (
    "alarm.warm_up_s=0.2", "alarm.hold_s=0.1", "alarm.release_s=0.3", "alarm.cool_down_s=0", "alarm.lasting=false",
    "alarm.block_s=0.1",
)  # fmt: skip
CONFIG = small_config(*PROMPT)
A, B = (with_model_id(never_alarmed(small_bundle(CONFIG, seed=seed))) for seed in (1, 2))
FILES = {"a.safetensors": A, "b.safetensors": B}
PRESS, FAN = "name: press, bundle: a.safetensors, device: one", "name: fan, bundle: a.safetensors, device: two"


def with_b(stream: str) -> str:
    return stream.replace("a.safetensors", "b.safetensors")


def scores_of(bundle: Bundle, sound: np.ndarray) -> np.ndarray:
    """The scores of a sound (n,) of whole hops by a model alone."""
    batch = StreamBatch(bundle)
    return batch.push(sound[None], [0]).portions()[0].score


def write(one: Hall, name: str, sound: np.ndarray) -> None:
    """Writes sound (n,) to a stream at once, and lets it be scored."""
    source = one.stream(name).source
    assert isinstance(source, HandFedSource)
    source.write(sound)
    one.engine.take_turns()


@settings(max_examples=8)
@given(
    moment=st.integers(0, RATE),
    sizes=st.lists(st.integers(HOP // 2, 40 * HOP), min_size=1, max_size=4),
    back=st.integers(0, RATE // 2),
)
def test_every_sample_is_scored_and_each_score_is_that_of_the_model_of_its_moment(
    moment: int, sizes: list[int], back: int
) -> None:
    """Whenever the model is exchanged, and exchanged back, and however the sound arrives."""
    sound = noise(2 * RATE, seed=3)
    one = Hall(hall(PRESS), FILES)
    [stream], source = one.session.streams, one.sources.made[0]
    parts, hops = np.split(sound, [moment, moment + back]), []  # hops that were scored before each exchange
    for part, text in zip(parts, (hall(with_b(PRESS)), hall(PRESS), None), strict=True):
        for piece in pieces(len(part), sizes):
            write(one, "press", part[piece])
        if text is not None:
            hops.append(stream.scored // HOP)
            [changed] = one.reload(text)
            assert changed.startswith("press: model ")
            assert changed.endswith(", without a gap")
    assert one.session.streams == (stream,)
    assert stream.source is source
    stream._detector.decide()
    [sink] = one.sinks["press"]
    assert (stream.captured, stream.discarded) == (len(sound), 0)
    assert len(sound) - stream.scored < HOP, "what is no hop yet waits for the next samples"
    starts = [rows.first for rows in sink.rows]
    assert starts == np.cumsum([0, *(len(rows.score) for rows in sink.rows)])[:-1].tolist(), "scores without a gap"
    first, last = (max(0, count - 1 - 9) for count in hops)  # a window is complete so many hops later
    expected = scores_of(A, sound)
    expected[first:last] = scores_of(B, sound)[first:last]
    expected = expected[: len(sink.score)]
    assert np.allclose(sink.score, expected, rtol=1e-4, equal_nan=True)
    assert not sink.events


def test_the_history_the_position_and_the_events_go_on_and_the_new_model_is_shown() -> None:
    one = Hall(hall(PRESS + ", alarm: {off_below_dbfs: -10}"), FILES)
    one.hear({"press": noise(3 * RATE)})
    one.publish()
    before = one.stream("press").latest
    assert [event.kind for event in before.events] == ["off"]
    one.reload(hall(with_b(PRESS) + ", alarm: {off_below_dbfs: -10}"))
    one.hear({"press": noise(RATE)})
    one.publish()
    after = one.stream("press").latest
    assert (before.model_id, after.model_id) == (A.model_id, B.model_id)
    assert after.model.startswith("b, ")
    assert after.position_s == pytest.approx(4.0)
    assert len(after.score_history) == pytest.approx(40, abs=2)
    assert np.array_equal(after.spectrogram[:25], before.spectrogram[:25])
    assert [event.id for event in after.events] == [event.id for event in before.events], "it is still off"
    assert after.uptime_s > before.uptime_s


def test_an_anomaly_goes_on_under_its_id_and_ends_by_the_new_model() -> None:
    loud = alarmed_by_loud_noise(CONFIG)
    calm = with_thresholds(loud, 100.0)
    one = Hall(hall(PRESS), {"a.safetensors": loud, "b.safetensors": calm})
    [sink] = one.sinks["press"]
    one.hear({"press": np.concatenate((noise(RATE, seed=5), 4 * noise(RATE, seed=6)))})
    [begun] = sink.events
    one.reload(hall(with_b(PRESS)))
    assert sink.events == [begun], "the exchange ends nothing"
    one.hear({"press": 4 * noise(RATE, seed=7)})
    assert [event.id for event in sink.events] == [begun.id] * 2
    ended = sink.events[1]
    assert ended.end_s == pytest.approx(2.0, abs=0.15)
    assert ended.model_id == begun.model_id != one.stream("press").bundle.model_id, "that which has reported it"
    assert ended.bands
    one.publish()
    assert one.stream("press").latest.state is State.NORMAL


def test_an_anomaly_that_the_new_model_hears_as_well_is_not_reported_again() -> None:
    loud = alarmed_by_loud_noise(CONFIG)
    one = Hall(hall(PRESS), {"a.safetensors": loud, "b.safetensors": with_thresholds(loud, 0.9)})
    [sink] = one.sinks["press"]
    one.hear({"press": np.concatenate((noise(RATE, seed=5), 4 * noise(RATE, seed=6)))})
    one.reload(hall(with_b(PRESS)))
    one.hear({"press": np.concatenate((4 * noise(RATE, seed=7), noise(2 * RATE, seed=8)))})
    begun, ended = sink.events
    assert ended.id == begun.id
    assert ended.end_s == pytest.approx(3.3, abs=0.3)
    assert ended.peak >= begun.peak * 0.9, "in shares of the limit in force"


def test_the_new_model_reports_at_its_first_decision_what_only_it_finds_unusual() -> None:
    files = {"a.safetensors": A, "b.safetensors": with_thresholds(small_bundle(CONFIG, seed=2), 1e-9)}
    one = Hall(hall(PRESS), files)
    [sink] = one.sinks["press"]
    one.hear({"press": noise(2 * RATE)})
    one.reload(hall(with_b(PRESS)))
    one.hear({"press": noise(RATE)})
    [event] = sink.events
    assert event.model_id == one.stream("press").bundle.model_id
    assert event.start_s >= 1.8


def test_a_stream_joins_the_others_of_its_new_model_and_returns_to_its_own_place() -> None:
    one = Hall(hall(PRESS, FAN, "name: saw, bundle: b.safetensors, device: three"), FILES)
    press, fan, saw = one.session.streams
    assert press.batch is fan.batch
    shared, number = press.batch, press.number
    one.reload(hall(with_b(PRESS), FAN, "name: saw, bundle: b.safetensors, device: three"))
    assert press.batch is not shared
    assert press.batch.bundle.model_id == saw.batch.bundle.model_id
    one.hear({name: noise(RATE) for name in ("press", "fan", "saw")})
    one.reload(hall(PRESS, FAN, "name: saw, bundle: b.safetensors, device: three"))
    assert (press.batch, press.number) == (shared, number)
    one.reload(hall(with_b(PRESS), with_b(FAN), "name: saw, bundle: b.safetensors, device: three"))
    assert press.batch is fan.batch, "streams that change together are computed together"
    one.hear({name: noise(RATE) for name in ("press", "fan", "saw")})
    found, expected = (one.sinks[name][0].score[120:] for name in ("press", "fan"))
    assert np.allclose(found, expected, rtol=1e-4)


def relearnt(bundle: Bundle, times: float) -> Bundle:
    """What `monitor improve` makes of a model: other references and limits, the same network."""
    references = {
        name: replace(one, centre=one.centre * times + (times - 1)) for name, one in bundle.references.items()
    }
    return with_model_id(with_thresholds(replace(bundle, references=references, model_id=""), times))


@pytest.mark.parametrize("modes", [0, 2])
def test_streams_whose_models_were_learnt_from_one_another_share_the_network_and_have_scores_of_their_own(
    modes: int,
) -> None:
    first = with_model_id(never_alarmed(small_bundle(CONFIG, seed=1, modes=modes)))
    models = {"a.safetensors": first} | {
        f"{name}.safetensors": relearnt(first, by) for name, by in (("b", 2), ("c", 3))
    }
    fan, saw = FAN, "name: saw, bundle: c.safetensors, device: three"
    one, sound = Hall(hall(PRESS, fan, saw), models), noise(2 * RATE, seed=4)
    batches = {id(stream.batch) for stream in one.session.streams}
    assert len(batches) == 1, "also when they are started"
    one.hear(dict.fromkeys(("press", "fan", "saw"), sound[:RATE]))
    for streams in ((with_b(PRESS), fan, saw), (with_b(PRESS), with_b(fan), saw), (PRESS, with_b(fan), saw)):
        one.reload(hall(*streams))  # one after another, as commissioning does
    assert sum(stream.batch is one.stream("saw").batch for stream in one.session.streams) >= 2
    assert [stream.bundle.model_id for stream in one.session.streams] == [
        models[f"{name}.safetensors"].model_id for name in "abc"
    ]
    one.hear(dict.fromkeys(("press", "fan", "saw"), sound[RATE:]))
    for name, stream, file in zip("abc", one.session.streams, models, strict=True):
        stream._detector.decide()
        [sink] = one.sinks[stream.name]
        expected = scores_of(models[file], sound)[: len(sink.score)]
        assert np.allclose(sink.score[100:], expected[100:], rtol=1e-4, equal_nan=True), name
        own = StreamBatch(models[file])
        row = own.push(sound[None], [0]).portions()[0].means[-1]
        found = stream.batch.contributions(row, 2.0, stream.number)
        assert np.allclose(found, own.contributions(row, 2.0, 0), rtol=1e-4, atol=1e-6), name


def test_models_of_other_networks_features_or_rhythms_share_nothing() -> None:
    first = with_model_id(small_bundle(CONFIG, seed=1))
    rhythmic = with_model_id(small_bundle(CONFIG, seed=1, rhythm=True))
    others = [
        B, rhythmic, relearnt(rhythmic, 2), with_model_id(small_bundle(CONFIG, seed=1, modes=2)),
        replace(first, deviation=first.deviation * 2),
        replace(first, config=small_config(*PROMPT, "features.fmax=7000")),
    ]  # fmt: skip
    assert len({front(one) for one in (first, *others)}) == 1 + len(others)
    assert front(first) == front(relearnt(first, 2))


def test_what_was_learnt_of_drift_stays_with_its_model() -> None:
    rest = "drift: {enabled: true}\n"
    one = Hall(hall(PRESS, rest=rest), FILES)
    one.hear({"press": noise(RATE)})
    learning = one.stream("press")._detector._evaluation.learning
    assert learning is not None
    for offset in learning.drift.offsets.values():
        offset += 1e-6
    one.reload(hall(with_b(PRESS), rest=rest))
    one.hear({"press": noise(RATE, seed=1)})
    after = one.stream("press")._detector._evaluation.learning
    assert after is not None
    assert after.drift is not learning.drift
    assert not any(offset.any() for offset in after.drift.offsets.values())
    sound = np.concatenate((noise(RATE), noise(RATE, seed=1)))
    assert np.allclose(one.sinks["press"][0].score[95:], scores_of(B, sound)[95:], rtol=1e-4)


def test_what_is_done_with_a_model_at_present_is_shown_and_stays_shown_when_it_is_exchanged() -> None:
    one = Hall(hall(PRESS), FILES)
    one.stream("press").show_note("commissioning: day 1 of 7")
    one.reload(hall(with_b(PRESS)))
    one.publish()
    assert one.stream("press").latest.note == "commissioning: day 1 of 7"


def test_a_model_of_other_features_begins_anew() -> None:
    other = never_alarmed(small_bundle(small_config(*PROMPT, "features.n_mels=32"), seed=2))
    one = Hall(hall(PRESS), {"a.safetensors": A, "b.safetensors": other})
    [press] = one.session.streams
    assert one.reload(hall(with_b(PRESS))) == ("press: a model with other features, begins anew",)
    assert one.session.streams != (press,)
    wait_until(lambda: one.sinks["press"][0].closed, "the end of the old sink")


def test_a_promoted_version_is_shown_as_a_version_of_the_configured_model(tmp_path: Path) -> None:
    one = Hall(hall(PRESS), FILES)
    versions = ModelVersions(tmp_path / "press")
    file = versions.promote(
        with_lineage(B, A, how="relearnt", by="test"), configured=Path("a.safetensors"), by="test", how="relearnt"
    )
    request = StreamRequest(Path("a.safetensors"), "press", version=versions.in_force(Path("a.safetensors")))
    [loaded] = load_requests([request], one.read())
    assert request.version == file
    assert ", version 2 of 20" in model_name(request.model, loaded.bundle)
    assert model_name(request.model, loaded.bundle).startswith("a, ")
    file.write_bytes(b"damaged")
    [fallen_back] = load_requests([request], one.read())
    assert (fallen_back.bundle.model_id, fallen_back.request.version) == (A.model_id, None)
