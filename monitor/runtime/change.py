"""What changes of an engine that runs, all of it between the same two turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.config.schema import Config
from monitor.detection.drift import Drift
from monitor.outputs.sink import Sink
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.stream_group import StreamGroup


@dataclass(frozen=True, slots=True)
class ModelChange:
    """Another model for a stream: arguments of `MonitoredStream.use_model`."""

    group: StreamGroup
    number: int
    config: Config
    model_name: str
    drift: Drift | None = None

    def apply(self, stream: MonitoredStream) -> None:
        """Makes a stream go on with the model."""
        stream.use_model(self.group, self.number, self.config, model_name=self.model_name, drift=self.drift)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an engine that runs. Streams for which it says nothing go on as if there were none."""

    streams: tuple[MonitoredStream, ...]  # all streams from then on, in their order
    alarms: Mapping[MonitoredStream, Config] = field(default_factory=dict)  # settings of streams whose alarm changes
    sinks: Mapping[MonitoredStream, Sequence[Sink]] = field(default_factory=dict)  # of streams whose sinks change
    models: Mapping[MonitoredStream, ModelChange] = field(default_factory=dict)  # of streams that get another model
