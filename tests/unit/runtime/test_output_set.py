"""Outputs that are made anew only where their settings change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from monitor.config.loader import load_config
from monitor.core.errors import MonitorError
from monitor.outputs.sink import Sink
from monitor.runtime.builder import LoadedRequest, StreamRequest
from monitor.runtime.output_set import Output, OutputSet, SharedOutput, StreamOutput
from support.builders import small_bundle
from support.listening import RememberingSink

BUNDLE, CONFIG = small_bundle(), load_config(Path(os.devnull))


def stream(name: str) -> LoadedRequest:
    return LoadedRequest(StreamRequest(Path("m.safetensors"), name), BUNDLE, CONFIG)


class Makers:
    """Two outputs, one of which all streams share, and what they have made."""

    def __init__(self) -> None:
        self.made: list[RememberingSink] = []
        self.begun: list[str] = []

    def outputs(self, shared: object = 1, own: object = 1) -> list[Output]:
        return [
            SharedOutput("shared", shared, self._make, lambda: self.begun.append("shared")),
            StreamOutput("own", own, lambda _: self._make()),
        ]

    def _make(self) -> Sequence[Sink]:
        self.made.append(RememberingSink())
        return [self.made[-1]]


def test_a_shared_output_is_one_sink_and_another_one_for_each_stream() -> None:
    outputs = OutputSet(Makers().outputs())
    a, b = outputs.sinks(stream("a")), outputs.sinks(stream("b"))
    assert a[0] is b[0]
    assert a[1] is not b[1]
    assert outputs.sinks(stream("a")) == a
    assert outputs.shared == {"shared": a[0]}


@pytest.mark.parametrize(
    ("shared", "own", "same"), [(1, 1, [True, True]), (2, 1, [False, True]), (1, 2, [True, False])]
)
def test_sinks_are_kept_where_the_settings_are_equal(shared: int, own: int, same: list[bool]) -> None:
    makers = Makers()
    before = OutputSet(makers.outputs())
    old = before.sinks(stream("a"))
    after = before.changed(makers.outputs(shared, own), {"a"})
    new = after.sinks(stream("a"))
    assert [one is two for one, two in zip(old, new, strict=True)] == same
    assert before.sinks(stream("a")) == old, "the ones in use stay until the change is applied"


def test_a_stream_that_begins_anew_has_sinks_of_its_own_again() -> None:
    makers = Makers()
    before = OutputSet(makers.outputs())
    old = before.sinks(stream("a"))
    new = before.changed(makers.outputs(), set()).sinks(stream("a"))
    assert new[0] is old[0]
    assert new[1] is not old[1]


def test_outputs_that_are_not_used_after_all_are_closed_and_the_others_are_not() -> None:
    makers = Makers()
    before = OutputSet(makers.outputs())
    old = before.sinks(stream("a"))
    after = before.changed(makers.outputs(own=2), {"a"})
    after.sinks(stream("a"))
    after.discard()
    assert [sink.closed for sink in makers.made] == [0, 0, 1]
    assert before.sinks(stream("a")) == old


def test_an_output_that_cannot_be_made_leaves_those_in_use() -> None:
    makers = Makers()
    before = OutputSet(makers.outputs())
    before.sinks(stream("a"))

    def refuse() -> list[Sink]:
        raise MonitorError("no port")

    after = before.changed([*makers.outputs(), SharedOutput("port", 1, refuse)], {"a"})
    with pytest.raises(MonitorError):
        after.sinks(stream("a"))
    after.discard()
    assert [sink.closed for sink in makers.made] == [0, 0]


def test_only_new_outputs_begin() -> None:
    makers = Makers()
    before = OutputSet(makers.outputs())
    before.sinks(stream("a"))
    before.begin()
    same = before.changed(makers.outputs(), {"a"})
    same.begin()
    assert makers.begun == ["shared"]
    same.changed(makers.outputs(shared=2), {"a"}).begin()
    assert makers.begun == ["shared"] * 2
