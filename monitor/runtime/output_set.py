"""The outputs of streams: only those whose settings change are made anew while streams are monitored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from monitor.core.errors import MonitorError
from monitor.outputs.sink import Sink
from monitor.runtime.builder import LoadedRequest


@dataclass(frozen=True, slots=True)
class SharedOutput:
    """An output that all streams share, such as MQTT."""

    name: str  # different for each output
    settings: object  # all that its sinks depend on: if a new value is equal to the old one, the sinks are kept
    make: Callable[[], Sequence[Sink]]
    begin: Callable[[], None] = lambda: None  # is called after `make` when it is certain that its sinks will be used


@dataclass(frozen=True, slots=True)
class StreamOutput:
    """An output of which each stream has its own, such as clips."""

    name: str
    settings: object
    make: Callable[[LoadedRequest], Sequence[Sink]]
    of_model: bool = False  # whether it is made anew for a stream that goes on with another model


Output = SharedOutput | StreamOutput


class OutputSet:
    """The outputs that are in use, and their sinks. Those of a stream are made when they are asked for.

    Args:
        outputs: the outputs, in the order in which their sinks are called.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = tuple(outputs)
        self._sinks: dict[tuple[str, str | None], tuple[Sink, ...]] = {}  # by output and stream; None: all streams
        self._taken_over: dict[tuple[str, str | None], tuple[Sink, ...]] = {}  # those that were made by another set

    def open_shared(self) -> None:
        """Makes the sinks that all streams share, so that no stream is to blame if one cannot be made.

        Raises:
            MonitorError: if one cannot be made.
        """
        for output in self._outputs:
            if isinstance(output, SharedOutput) and (output.name, None) not in self._sinks:
                self._sinks[output.name, None] = tuple(output.make())

    def sinks(self, one: LoadedRequest) -> list[Sink]:
        """The sinks of a stream, the same ones at each call for the same name.

        Raises:
            MonitorError: if an output cannot be made.
        """
        self.open_shared()
        found: list[Sink] = []
        for output in self._outputs:
            key = output.name, None if isinstance(output, SharedOutput) else one.request.name
            if isinstance(output, StreamOutput) and key not in self._sinks:
                self._sinks[key] = tuple(output.make(one))
            found += self._sinks[key]
        return found

    def changed(self, outputs: Sequence[Output], kept: Collection[str], other_model: Collection[str] = ()) -> OutputSet:
        """Other outputs, with the sinks of those whose settings are the same. This set does not change.

        Args:
            outputs: the outputs from now on.
            kept: names of the streams that go on. Other streams get new sinks, because theirs have ended.
            other_model: names of those among them that go on with another model.
        """
        before = {output.name: output for output in self._outputs}
        changed = OutputSet(outputs)
        same = {
            output.name
            for output in outputs
            if (old := before.get(output.name)) is not None
            and type(old) is type(output)
            and old.settings == output.settings
        }
        of_model = {output.name for output in outputs if isinstance(output, StreamOutput) and output.of_model}
        changed._sinks = {
            (name, stream): sinks
            for (name, stream), sinks in self._sinks.items()
            if name in same and (stream is None or stream in kept)
            if not (name in of_model and stream in other_model)
        }
        changed._taken_over = dict(changed._sinks)
        return changed

    @property
    def shared(self) -> dict[str, Sink]:
        """The sinks that all streams share, by the names of their outputs."""
        return {name: sink for (name, stream), sinks in self._sinks.items() if stream is None for sink in sinks}

    def begin(self) -> None:
        """Is called once, before the engine uses sinks that this set has made."""
        for output in self._outputs:
            if isinstance(output, SharedOutput) and (output.name, None) not in self._taken_over:
                output.begin()

    def discard(self) -> list[MonitorError]:
        """Closes the sinks that this set has made, because it will not be used. Returns their errors."""
        sinks = [sink for key, sinks in self._sinks.items() if key not in self._taken_over for sink in sinks]
        for sink in sinks:
            sink.close()
        return [sink.error for sink in sinks if sink.error]
