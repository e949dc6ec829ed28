"""Reading the settings again: on request, one reload after another, and always with a word about what came of it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from monitor.core.errors import BundleError, ConfigError, MonitorError
from monitor.service.reload import Reloaded, Reloader
from support.builders import small_bundle
from support.listening import DEADLINE_S, never_alarmed, wait_until
from support.live_streams import Hall, hall

PRESS, FAN = "name: press, bundle: a.safetensors, device: one", "name: fan, bundle: a.safetensors, device: two"


@pytest.fixture
def one() -> Hall:
    return Hall(hall(PRESS), {"a.safetensors": never_alarmed(small_bundle())})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="monitor"):
        yield caplog


def test_a_reload_says_what_it_has_changed_and_what_needs_a_restart(one: Hall, log: pytest.LogCaptureFixture) -> None:
    done: list[Reloaded] = []
    reloader = Reloader(one.streams, one.read, after=done.append)
    one.write(hall(PRESS + ", alarm: {threshold: 4.5}", FAN, rest="state: {host: hall}\n"))
    answer = reloader.answer()
    assert answer == {
        "ok": True,
        "changed": ["fan: added", "press: alarm.threshold 4.5 (was null)"],
        "needs_restart": ["state.host"],
    }
    assert done[0].by == "monitor reload"
    assert "monitor reload): fan: added; press: alarm.threshold 4.5 (was null)." in log.text
    assert "state.host: changed in the settings, but not applied: this needs a restart." in log.text
    assert reloader.reload("SIGHUP").text == "nothing has changed."
    reloader.close()


def test_bad_settings_are_told_to_the_one_who_asks_and_in_the_log(one: Hall, log: pytest.LogCaptureFixture) -> None:
    done: list[Reloaded] = []
    reloader = Reloader(one.streams, one.read, after=done.append)
    one.write(hall(PRESS, "name: fan, bundle: nowhere.safetensors"))
    with pytest.raises(BundleError, match=r"nowhere\.safetensors"):
        reloader.reload("SIGHUP")
    with pytest.raises(ConfigError, match=r"nowhere\.safetensors"):
        reloader.answer()
    assert not done
    assert "nowhere.safetensors" in log.text
    assert "nothing was applied, because of this; those in force stay" in log.text
    reloader.close()


def test_a_fault_in_the_program_ends_neither_the_monitor_nor_later_reloads(one: Hall) -> None:
    def broken() -> object:
        raise ZeroDivisionError("by nobody's fault")

    faulty = Reloader(one.streams, broken)  # type: ignore[arg-type]
    with pytest.raises(MonitorError, match="by nobody's fault"):
        faulty.reload("SIGHUP")
    assert faulty.reload is not None
    faulty._read = one.read
    one.write(hall(PRESS, FAN))
    assert faulty.reload("SIGHUP").changed == ("fan: added",)
    faulty.close()


def test_a_request_returns_at_once_and_many_at_a_time_are_one_reload(one: Hall) -> None:
    begun, go, done = threading.Event(), threading.Event(), list[Reloaded]()

    def read() -> object:
        begun.set()
        assert go.wait(DEADLINE_S)
        return one.read()

    reloader = Reloader(one.streams, read, after=done.append)  # type: ignore[arg-type]
    reloader.request()
    assert begun.wait(DEADLINE_S)
    for _ in range(5):
        reloader.request()
    one.write(hall(PRESS, FAN))
    go.set()
    wait_until(lambda: len(done) == 2, "the second reload")
    reloader.close()
    assert [reloaded.changed for reloaded in done] == [("fan: added",), ()]


def test_two_who_ask_at_the_same_time_are_served_one_after_another_in_the_context_of_each(one: Hall) -> None:
    steps: list[str] = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        steps.append("begin")
        yield
        steps.append("end")

    reloader = Reloader(one.streams, one.read, around=around)
    one.write(hall(PRESS, FAN))
    found: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: found.append(reloader.reload("us").changed)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert steps == ["begin", "end"] * 3
    assert sorted(found) == [(), (), ("fan: added",)]
    reloader.close()


def test_settings_are_not_applied_to_a_monitor_that_has_ended(one: Hall) -> None:
    one.engine.start()
    one.engine.stop()
    reloader = Reloader(one.streams, one.read)
    one.write(hall(PRESS, FAN))
    with pytest.raises(MonitorError, match="has ended"):
        reloader.reload("SIGHUP")
    reloader.close()
    assert [thread.name for thread in threading.enumerate() if thread.name == "reload"] == []


def test_what_cannot_be_noted_afterwards_ends_no_later_reload(one: Hall, log: pytest.LogCaptureFixture) -> None:
    def broken(_: Reloaded) -> None:
        raise ZeroDivisionError("by nobody's fault")

    reloader = Reloader(one.streams, one.read, after=broken)
    one.write(hall(PRESS, FAN))
    reloader.request()
    wait_until(lambda: "by nobody's fault" in log.text, "the first reload")
    one.write(hall(PRESS))
    reloader.request()
    wait_until(lambda: "fan: removed" in log.text, "the second reload")
    reloader.close()
