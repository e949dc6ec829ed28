"""Models that are handed out: taken, refused with the reason, or waiting; the sound goes on in each case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import safetensors
from safetensors.numpy import load_file, save_file

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.bundle.versions import ModelVersions
from monitor.cli.fleet_link import FleetLink
from monitor.config.loader import load_config
from monitor.core.errors import MonitorError
from monitor.fleet.model_taking import ModelTaker, StreamInForce
from monitor.store import fleet_models
from monitor.store.tables import audit, model_files, model_orders
from support.builders import small_bundle, small_config
from support.fleet import SETTINGS, FleetHall, fleet_hall
from support.listening import never_alarmed, wait_until

PRESS, FAN = "name: press, bundle: a.safetensors, device: one", "name: fan, bundle: f.safetensors, device: two"
MODELS = {f"{name}.safetensors": never_alarmed(small_bundle(seed=seed)) for seed, name in enumerate("abf")}
A, B = Path("a.safetensors"), Path("b.safetensors")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.fixture
def one(url: str) -> Iterator[FleetHall]:
    """A hall with two streams."""
    with fleet_hall([PRESS, FAN], MODELS, url) as made:
        yield made


def test_a_stream_goes_on_with_the_model_that_is_handed_out_to_it_and_the_other_does_not_notice(one: FleetHall) -> None:
    press, fan, before = one.stream("press"), one.stream("fan"), one.stream("fan").bundle
    order = one.take(one.push(B, "press"))
    assert order.refused is None
    assert one.session.streams == (press, fan), "neither has begun anew"
    assert press.bundle.model_id == load_bundle(B).model_id
    assert fan.bundle is before
    [version] = one.versions("press").history()
    assert (version.by, version.how) == ("anna", "handed out by monitor model push")
    with one.store.begin() as connection:
        trail = [(row.what, row.by, row.subject) for row in connection.execute(audit.select())]
    assert trail == [("model push", "anna", "hall-a/press"), ("model", "anna", "hall-a/press")]


def test_a_version_that_somebody_has_taken_back_is_not_taken_again(one: FleetHall) -> None:
    order = one.take(one.push(B, "press"))
    one.versions("press").undo(configured=A, by="monitor")  # as the user of a service may be called
    one.reloader.use_model("press", "test")
    assert one.stream("press").bundle.model_id == load_bundle(A).model_id
    with one.store.begin() as connection:  # as if the monitor had been killed before it could note that it took it
        connection.execute(model_orders.update().values(taken=None))
    assert one.take(order).refused is None
    assert one.stream("press").bundle.model_id == load_bundle(A).model_id
    assert [entry.what for entry in one.versions("press").history()] == ["promoted", "taken back"]


def test_signs_of_life_while_a_model_is_being_taken_do_not_take_it_twice(one: FleetHall) -> None:
    first = one.push(B, "press")
    seen = fleet_models.open_orders(one.store)
    one.take(first)
    save_bundle(never_alarmed(small_bundle(seed=7)), Path("c.safetensors"))
    second = one.push(Path("c.safetensors"), "press")
    one.taker.take([*seen, second])  # the first as it was read before it was taken
    wait_until(lambda: one.order(second).taken is not None, "the second model")
    with one.store.begin() as connection:
        trail = [row.facts["after"]["how"] for row in connection.execute(audit.select()) if row.what == "model"]
    assert trail == ["handed out", "handed out"]
    assert len(one.versions("press").history()) == 2


def test_only_the_newest_order_of_a_stream_counts(one: FleetHall) -> None:
    save_bundle(never_alarmed(small_bundle(seed=7)), Path("c.safetensors"))
    first, second = one.push(B, "press"), one.push(Path("c.safetensors"), "press")
    one.take(second)
    assert one.order(first).taken is None
    assert one.stream("press").bundle.model_id == load_bundle(Path("c.safetensors")).model_id


def test_damaged_content_is_refused_and_the_model_before_stays(one: FleetHall) -> None:
    order = one.push(B, "press")
    with one.store.begin() as connection:
        content = connection.scalar(model_files.select().with_only_columns(model_files.c.content))
        connection.execute(model_files.update().values(content=content[:-1] + bytes([content[-1] ^ 1])))
    assert "is damaged: hand it out again" in (one.take(order).refused or "")
    assert one.stream("press").bundle.model_id == load_bundle(A).model_id
    assert one.versions("press").history() == []
    again = one.push(B, "press")
    assert one.take(again).refused is None, "handing it out again mends the content"


def test_a_model_of_a_later_version_of_the_program_is_refused_with_the_reason(one: FleetHall) -> None:
    order = one.push(B, "press")
    with safetensors.safe_open(B, "np") as stored:
        metadata = json.loads(stored.metadata()["monitor"])
    save_file(load_file(B), "later.safetensors", {"monitor": json.dumps({**metadata, "schema": 999})})
    replace_content(one, Path("later.safetensors"))
    assert "has format 999, but this program reads formats" in (one.take(order).refused or "")


def test_what_is_no_model_is_refused_even_if_its_digest_is_right(one: FleetHall) -> None:
    order = one.push(B, "press")
    Path("evil").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    replace_content(one, Path("evil"))
    assert "is not a model of this program" in (one.take(order).refused or "")


def replace_content(one: FleetHall, file: Path) -> None:
    """As somebody who can write into the database would do it."""
    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    values = {"model_id": "0" * 12, "name": "x", "size": len(content), "added": 0.0, "by": "x", "content": content}
    with one.store.begin() as connection:
        connection.execute(model_files.insert().values(sha256=sha256, **values))
        connection.execute(model_orders.update().values(sha256=sha256))


def test_a_model_with_other_features_begins_its_stream_anew(one: FleetHall) -> None:
    press, fan = one.session.streams
    save_bundle(never_alarmed(small_bundle(small_config("features.n_mels=32"))), Path("other.safetensors"))
    assert one.take(one.push(Path("other.safetensors"), "press")).refused is None
    assert press.ended
    assert one.session.streams == (one.stream("press"), fan)
    assert one.stream("press").bundle.config.features.n_mels == 32


def test_a_model_whose_microphone_cannot_be_used_is_refused_and_taken_back(one: FleetHall) -> None:
    press = one.stream("press")
    one.sources.missing = {"one"}
    save_bundle(never_alarmed(small_bundle(small_config("features.n_mels=32"))), Path("other.safetensors"))
    order = one.take(one.push(Path("other.safetensors"), "press"))
    assert "There is no microphone called 'one'" in (order.refused or "")
    assert one.stream("press") is press
    assert not press.ended
    assert one.versions("press").in_force(A) == A
    assert [(entry.what, entry.by) for entry in one.versions("press").history()] == [
        ("promoted", "anna"), ("taken back", "monitor"),
    ]  # fmt: skip


def test_a_model_for_frequencies_that_the_device_does_not_record_is_refused(one: FleetHall) -> None:
    save_bundle(never_alarmed(small_bundle(small_config("features.sample_rate=48000"))), Path("wide.safetensors"))
    order = one.take(one.push(Path("wide.safetensors"), "press"))
    assert "recorded at 16000 samples a second, without any sound above" in (order.refused or "")
    assert one.stream("press").bundle.model_id == load_bundle(A).model_id


def test_a_refusal_that_could_not_be_noted_stays_a_refusal(one: FleetHall) -> None:
    save_bundle(never_alarmed(small_bundle(small_config("features.sample_rate=48000"))), Path("wide.safetensors"))
    order = one.take(one.push(Path("wide.safetensors"), "press"))
    with one.store.begin() as connection:
        connection.execute(model_orders.update().values(taken=None, refused=None))
    assert one.take(order).refused == order.refused


def test_neither_a_faulty_stream_nor_settings_that_are_being_edited_stand_in_the_way(one: FleetHall) -> None:
    Path("f.safetensors").unlink()
    SETTINGS.write_text("streams: [half a line")
    assert one.take(one.push(B, "press")).refused is None
    assert one.stream("press").bundle.model_id == load_bundle(B).model_id
    assert not one.stream("fan").ended


def test_while_the_object_store_is_away_a_model_waits(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    objects = tmp_path / "mounted" / "models"
    objects.parent.mkdir()
    with fleet_hall([PRESS], MODELS, url, str(objects)) as one:
        order = one.push(B, "press")
        assert [file.suffix for file in objects.iterdir()] == [".safetensors"]
        objects.parent.rename(tmp_path / "unplugged")
        one.look()
        wait_until(lambda: "that anna has handed out waits" in caplog.text, "the word that it waits")
        assert one.order(order).taken is None
        (tmp_path / "unplugged").rename(objects.parent)
        assert one.take(order).refused is None
        assert one.stream("press").bundle.model_id == load_bundle(B).model_id


def test_a_host_without_the_object_store_says_what_to_set(url: str, tmp_path: Path) -> None:
    with fleet_hall([PRESS], MODELS, url) as one:
        one.objects_url = str(tmp_path / "models")
        assert "set clips.url as on the computer that handed it out" in (one.take(one.push(B, "press")).refused or "")


def test_after_a_reload_with_another_address_of_the_clips_models_are_fetched_there(
    url: str, one: FleetHall, tmp_path: Path
) -> None:
    one.objects_url = str(tmp_path / "models")
    settings = [f"store.url={url}", "fleet.every_s=1"]
    config, moved = (
        load_config(SETTINGS, overrides=[*settings, *more]) for more in ((), [f"clips.url={tmp_path}/clips"])
    )
    link = FleetLink(one.streams, one.requests, one.reloader, config, lambda: 0)
    try:
        link.use(moved)
        link.start()
        order = one.push(B, "press")
        wait_until(lambda: one.order(order).taken is not None, "the order's end")
        assert one.order(order).refused is None
    finally:
        link.close()


def test_a_model_for_a_stream_that_is_not_listened_to_waits(one: FleetHall, caplog: pytest.LogCaptureFixture) -> None:
    order = one.push(B, "press")
    with one.store.begin() as connection:
        connection.execute(model_orders.update().values(stream="saw"))
    one.look()
    wait_until(lambda: "does not listen to such a stream" in caplog.text, "the word that it waits")
    assert one.order(order).taken is None


def test_a_model_that_comes_while_the_monitor_is_ended_is_taken_at_the_next_start(url: str, one: FleetHall) -> None:
    class Ended:
        def streams(self) -> Mapping[str, StreamInForce]:
            return one.running.streams()

        def swap(self, stream: str, by: str) -> None:
            raise MonitorError("The monitoring has ended, so nothing was changed.")

        def over(self) -> bool:
            return True

    order = one.push(B, "press")
    versions: ModelVersions = one.versions("press")
    taker = ModelTaker(url, "", Ended())
    taker.take(fleet_models.open_orders(one.store))
    wait_until(lambda: len(versions.history()) == 2, "the model to be taken back")
    taker.close()
    assert one.order(order).taken is None
    assert one.take(order).refused is None
    assert one.stream("press").bundle.model_id == load_bundle(B).model_id
