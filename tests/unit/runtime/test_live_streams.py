"""Settings that are read again: what has changed is applied, and nothing else notices."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.config.schema import Config
from monitor.core.errors import BundleError, ConfigError, MonitorError, SourceLost
from monitor.core.events import State
from monitor.outputs.sink import Sink
from monitor.runtime.output_set import SharedOutput
from support.builders import RATE, noise, small_bundle, small_config
from support.listening import RememberingSink, alarmed_by_loud_noise, never_alarmed, wait_until
from support.live_streams import Hall, hall

PROMPT = (
    "alarm.warm_up_s=0.2", "alarm.hold_s=0.1", "alarm.release_s=0.3", "alarm.cool_down_s=0", "alarm.lasting=false",
    "alarm.block_s=0.1",
)  # fmt: skip
PRESS, FAN, SAW = (
    "name: press, bundle: a.safetensors, device: one",
    "name: fan, bundle: b.safetensors, device: two",
    "name: saw, bundle: c.safetensors, device: three",
)


def models() -> dict[str, Bundle]:
    """A model for each stream, so that none is computed in a batch with another."""
    config = small_config(*PROMPT)
    return {f"{name}.safetensors": never_alarmed(small_bundle(config, seed=seed)) for seed, name in enumerate("abc")}


def alarmed() -> dict[str, Bundle]:
    """One model for which loud noise is an anomaly."""
    return {"a.safetensors": alarmed_by_loud_noise(small_config(*PROMPT))}


def limit_of(bundle: Bundle) -> float:
    return bundle.thresholds["score"].value


def test_a_stream_that_is_not_touched_has_the_same_scores_to_the_last_bit_and_no_event() -> None:
    """While of the two others one gets another limit and one is removed, and a fourth is added."""
    sound = {name: noise(3 * RATE, seed=seed) for seed, name in enumerate(("press", "fan", "saw", "belt"))}
    first, rest = ({name: part[s] for name, part in sound.items()} for s in (slice(RATE), slice(RATE, None)))
    without = Hall(hall(PRESS, FAN, SAW), models())
    three = ("press", "fan", "saw")
    without.hear({name: sound[name] for name in three})
    changed = Hall(hall(PRESS, FAN, SAW), models())
    changed.hear({name: first[name] for name in three})
    press, fan = changed.stream("press"), changed.stream("fan")
    assert changed.reload(
        hall(PRESS, "name: belt, bundle: c.safetensors, device: four", FAN + ", alarm: {threshold: 5}")
    ) == ("belt: added", "saw: removed", "fan: alarm.threshold 5 (was null)")
    assert [stream.name for stream in changed.session.streams] == ["press", "belt", "fan"]
    assert (changed.stream("press"), changed.stream("fan")) == (press, fan)
    changed.hear({name: rest[name] for name in ("press", "fan", "belt")})
    for hall_ in (without, changed):
        hall_.end()
    [expected], [found] = without.sinks["press"], changed.sinks["press"]
    assert np.array_equal(found.score, expected.score, equal_nan=True)
    assert [rows.first for rows in found.rows] == [rows.first for rows in expected.rows]
    assert found.events == expected.events == []
    assert np.array_equal(changed.sinks["fan"][0].score, without.sinks["fan"][0].score, equal_nan=True)
    assert (press.scored, press.discarded) == (3 * RATE, 0)
    assert len(changed.sinks["belt"][0].score) == 201
    assert len(changed.sinks["saw"][0].score) == 101, "all that it has heard is scored"


def test_an_anomaly_goes_on_under_its_id_and_ends_by_the_new_limit() -> None:
    quiet, loud = noise(RATE, seed=5), 4 * noise(3 * RATE, seed=6)
    model = alarmed()
    one = Hall(hall(PRESS), model)
    [sink] = one.sinks["press"]
    one.hear({"press": quiet})
    one.hear({"press": loud[:RATE]})
    [begun] = sink.events
    assert begun.end_s is None
    one.reload(hall(PRESS + f", alarm: {{threshold: {2 * limit_of(model['a.safetensors']) / 3}}}"))
    one.hear({"press": loud[RATE : 2 * RATE]})
    assert sink.events == [begun], "it is an anomaly by the lower limit, too"
    assert one.stream("press").anomalies == 1
    one.reload(hall(PRESS + ", alarm: {threshold: 1e9}"))
    one.hear({"press": loud[2 * RATE :]})
    assert [event.id for event in sink.events] == [begun.id] * 2
    assert sink.events[1].end_s == pytest.approx(3.0, abs=0.15)
    assert not sink.events[1].cut_off
    one.publish()
    shown = one.stream("press").latest
    assert shown.state is State.NORMAL
    assert (shown.threshold, shown.events[-1].id) == (1e9, begun.id)
    assert shown.threshold_note.startswith("set by hand")
    assert len(shown.score_history) >= 39, "the history goes on, too"


def test_a_lower_limit_alarms_at_the_next_decision_by_the_scores_so_far() -> None:
    model = alarmed()
    one = Hall(hall(PRESS), model)
    [sink] = one.sinks["press"]
    one.hear({"press": noise(2 * RATE, seed=5)})
    assert not sink.events
    one.reload(hall(PRESS + ", alarm: {threshold: 1e-9}"))
    one.hear({"press": noise(RATE // 10, seed=7)})
    [event] = sink.events
    assert event.threshold == 1e-9
    assert event.reported_s == pytest.approx(2.0, abs=0.15)


def test_what_keys_have_done_to_a_limit_stays_until_its_settings_change() -> None:
    model = alarmed()
    one = Hall(hall(PRESS), model)
    limit = limit_of(model["a.safetensors"])
    one.session.scale_threshold(1.05, "press")
    one.hear({"press": noise(RATE)})
    assert one.reload(hall(PRESS, rest="mqtt: {every_s: 9}\n")) == ("mqtt.every_s",)
    one.publish()
    assert one.stream("press").latest.threshold == pytest.approx(1.05 * limit)
    one.reload(hall(PRESS + ", alarm: {k: 3}"))
    one.publish()
    assert one.stream("press").latest.threshold == pytest.approx(limit)


def test_a_machine_that_was_off_is_on_again_where_it_now_never_counts_as_off() -> None:
    one = Hall(hall(PRESS + ", alarm: {off_below_dbfs: -10}"), models())
    one.hear({"press": noise(3 * RATE)})
    [begun] = one.sinks["press"][0].events
    assert (begun.kind, begun.end_s) == ("off", None)
    one.reload(hall(PRESS + ", alarm: {off_below_dbfs: never}"))
    one.hear({"press": noise(RATE)})
    _, ended = one.sinks["press"][0].events
    assert (ended.id, ended.end_s) == (begun.id, pytest.approx(3.0, abs=0.15))


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ("name: press, bundle: other.safetensors, device: one", "a model with other features"),
        ("name: press, bundle: a.safetensors, device: two", "another microphone"),
        ("name: press, bundle: a.safetensors, device: one, channel: 1", "another channel"),
        ("name: press, bundle: a.safetensors, device: two, channel: 1", "another microphone, another channel"),
    ],
)
def test_a_stream_with_another_model_microphone_or_channel_begins_anew_alone(now: str, reason: str) -> None:
    other = never_alarmed(small_bundle(small_config(*PROMPT, "features.n_mels=32")))
    one = Hall(hall(PRESS, FAN), models() | {"other.safetensors": other})
    one.hear({"press": noise(RATE), "fan": noise(RATE)})
    press, fan = one.session.streams
    assert one.reload(hall(now, FAN)) == (f"press: {reason}, begins anew",)
    again, same = one.session.streams
    assert same is fan
    assert again is not press
    assert press.latest.finished
    assert again.name == "press"
    one.hear({"press": noise(RATE), "fan": noise(RATE)})
    old, new = one.sinks["press"]
    wait_until(lambda: old.closed, "the end of the old sink")
    one.end()
    assert [len(sink.score) for sink in (old, new)] == [101, 101]
    assert len(one.sinks["fan"]) == 1


def test_a_model_under_another_name_with_the_same_content_changes_nothing() -> None:
    files = models()
    one = Hall(hall(PRESS), files)
    save_bundle(files["a.safetensors"], Path("copy.safetensors"))
    [press] = one.session.streams
    assert one.reload(hall("name: press, bundle: copy.safetensors, device: one")) == ()
    assert one.session.streams == (press,)


def test_an_ongoing_anomaly_of_a_removed_stream_ends_and_is_counted_still() -> None:
    one = Hall(hall(PRESS, "name: fan, bundle: a.safetensors, device: two"), alarmed())
    one.hear({"press": 4 * noise(2 * RATE), "fan": noise(2 * RATE)})
    [sink] = one.sinks["press"]
    one.reload(hall("name: fan, bundle: a.safetensors, device: two"))
    begun, ended = sink.events
    assert (ended.id, ended.cut_off) == (begun.id, True)
    assert one.session.anomalies == 1
    wait_until(lambda: sink.closed, "the end of its sink")


def test_a_stream_that_has_ended_is_started_again() -> None:
    one = Hall(hall(PRESS, FAN), models())
    one.stream("press").fail(MonitorError("by nobody's fault"))
    one.hear({"fan": noise(RATE)})
    assert one.reload(hall(PRESS, FAN)) == ("press: had ended, begins anew",)
    one.hear({"press": noise(RATE), "fan": noise(RATE)})
    assert one.session.error is None
    assert len(one.sinks["press"][1].score) > 80


def test_a_stream_that_could_not_be_started_is_added_once_its_model_is_there() -> None:
    files = models()
    one = Hall(hall(PRESS, FAN), {"a.safetensors": files["a.safetensors"]})
    assert [shown.stream for shown in one.session.latest] == ["press", "fan"]
    assert isinstance(one.session.error, BundleError)
    save_bundle(files["b.safetensors"], Path("b.safetensors"))
    assert one.reload(hall(PRESS, FAN)) == ("fan: added",)
    assert [shown.failure for shown in one.session.latest] == ["", ""]
    assert one.session.error is None


# What is wrong leaves all as it was


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("streams: [", ConfigError, "hall.yaml"),
        (hall(PRESS + ", alarm: {threshold: 5, treshold: 4}"), ConfigError, "treshold"),
        (hall(PRESS + ", alarm: {k: 9}"), ConfigError, "k is 9"),
        (hall(PRESS, "name: saw, bundle: nowhere.safetensors"), BundleError, "saw: nowhere.safetensors"),
        (hall(PRESS, "name: saw, bundle: damaged.safetensors"), BundleError, "saw: damaged.safetensors"),
        (hall(PRESS, "name: saw, bundle: c.safetensors, device: gone"), SourceLost, "'gone'"),
        (hall(PRESS, rest="features: {n_mels: 32}\n"), ConfigError, "features.n_mels"),
        (hall(PRESS, SAW, rest="mqtt: {broker: refused}\n"), MonitorError, "the broker"),
    ],
)
def test_if_anything_is_wrong_nothing_is_applied(text: str, error: type[MonitorError], words: str) -> None:
    """Although in each of these settings fan is removed, and in one press has another limit."""

    def outputs(config: Config, _names: Sequence[str]) -> list[SharedOutput]:
        def make() -> list[Sink]:
            raise MonitorError("the broker is refused")

        broker = config.mqtt.broker
        return [SharedOutput("mqtt", broker, make)] if broker else []

    one = Hall(hall(PRESS, FAN), models(), outputs)
    Path("damaged.safetensors").write_bytes(Path("a.safetensors").read_bytes()[:-9])
    one.sources.missing.add("gone")
    before, threads = one.session.streams, set(threading.enumerate())
    one.write(text)
    with pytest.raises(error, match=words):
        one.streams.prepare(one.read())
    assert one.session.streams == before
    assert set(threading.enumerate()) <= threads
    one.hear({"press": noise(RATE), "fan": noise(RATE)})
    one.end()
    assert [len(one.sinks[name][0].score) for name in ("press", "fan")] == [101, 101]
    assert [one.sinks[name][0].closed for name in ("press", "fan")] == [0, 0]


def test_all_models_that_cannot_be_loaded_are_named() -> None:
    one = Hall(hall(PRESS), models())
    one.write(hall(PRESS, "name: x, bundle: nowhere.safetensors", "name: y, bundle: nobody.safetensors"))
    with pytest.raises(BundleError) as caught:
        one.streams.prepare(one.read())
    assert len(caught.value.messages) == 2


def test_settings_that_need_a_restart_are_named_and_stay_as_they_were() -> None:
    one = Hall(hall(PRESS), models())
    text = "train: {device: cpu, epochs: 3}\naudio: {latency_s: 0.5}\nstate: {folder: elsewhere}\n"
    one.write(hall(PRESS + ", alarm: {threshold: 4}", rest=text))
    for _ in range(2):
        prepared = one.streams.prepare(one.read())
        assert prepared.needs_restart == ("audio.latency_s", "train.device", "state.folder")
        assert prepared.config.state.folder is None
        assert prepared.config.train.device == "auto"
        one.streams.apply(prepared)
    assert prepared.changed == (), "it is said again, what was applied is not"


# Outputs


def test_outputs_whose_settings_change_are_made_anew_and_no_event_is_lost_or_doubled() -> None:
    made: list[RememberingSink] = []

    def make() -> list[Sink]:
        made.append(RememberingSink())
        return [made[-1]]

    def outputs(config: Config, _names: Sequence[str]) -> list[SharedOutput]:
        return [SharedOutput("mqtt", config.mqtt, make)]

    one = Hall(hall(PRESS, FAN), models(), outputs)
    one.hear({"press": noise(RATE), "fan": noise(RATE)})
    assert one.reload(hall(PRESS, FAN, rest="mqtt: {every_s: 9}\n")) == ("mqtt.every_s",)
    before, after = made
    wait_until(lambda: before.closed, "the end of the old output")
    one.hear({"press": noise(RATE, seed=1), "fan": noise(RATE, seed=1)})
    one.end()
    for name in ("press", "fan"):
        [kept] = one.sinks[name]
        assert kept.closed == 0
        rows = [(rows.first, len(rows.score)) for sink in made for rows in sink.rows if rows.stream == name]
        assert rows == [(rows.first, len(rows.score)) for rows in kept.rows]
    assert before.rows
    assert after.rows


def test_an_output_that_cannot_be_opened_is_told_once_and_no_stream_is_to_blame() -> None:
    def make() -> list[Sink]:
        raise MonitorError("the port is taken")

    def outputs(config: Config, _names: Sequence[str]) -> list[SharedOutput]:
        return [SharedOutput("metrics", config.metrics, make)] if config.metrics.port else []

    with pytest.raises(MonitorError) as caught:
        Hall(hall(PRESS, FAN, rest="metrics: {port: 9000}\n"), models(), outputs)
    assert caught.value.messages == ("the port is taken",)
    one = Hall(hall(PRESS), models(), outputs)
    with pytest.raises(MonitorError) as caught:
        one.reload(hall(PRESS, FAN, SAW, rest="metrics: {port: 9000}\n"))
    assert caught.value.messages == ("the port is taken",)


class Incomplete(RememberingSink):
    """An output that has lost something."""

    def close(self) -> None:
        super().close()
        self.error = MonitorError("broker: 3 events missing.")


def test_what_an_output_has_lost_that_is_replaced_is_logged_and_is_no_error_of_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def outputs(config: Config, _names: Sequence[str]) -> list[SharedOutput]:
        return [SharedOutput("mqtt", config.mqtt, lambda: [Incomplete()])]

    one = Hall(hall(PRESS), models(), outputs)
    one.reload(hall(PRESS, rest="mqtt: {every_s: 9}\n"))
    wait_until(lambda: "3 events missing" in caplog.text, "the end of the old output")
    assert one.session.error is None


# Many times


def test_a_removed_stream_frees_its_memory_at_once() -> None:
    one = Hall(hall(PRESS, FAN), models(), live=True)
    gone = weakref.ref(one.stream("fan"))
    gc.disable()
    try:
        one.write(hall(PRESS))
        one.streams.apply(one.streams.prepare(one.read()))
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.long
def test_many_reloads_leave_neither_threads_nor_open_files_nor_streams() -> None:
    one = Hall(hall(PRESS, FAN), models())
    files, gone = Path("/proc/self/fd"), []
    for turn in range(8):
        again = FAN if turn % 2 else SAW
        gone.append(weakref.ref(one.session.streams[1]))
        one.reload(hall(PRESS + f", alarm: {{threshold: {turn + 1}}}", again))
        if turn == 2:
            wait_until(lambda: all("output" not in thread.name for thread in threading.enumerate()), "closed sinks")
            threads, opened = set(threading.enumerate()), len(list(files.iterdir()))
    wait_until(lambda: set(threading.enumerate()) <= threads, "the end of all further threads")
    assert len(list(files.iterdir())) <= opened
    assert [stream() for stream in gone] == [None] * len(gone)
