"""Acoustic monitor: learns the normal sound of a machine, and reports when it sounds different.

It is usually used from the command line (`monitor --help`, `monitor guide`). From Python, numpy arrays can be scored:

    >>> import numpy as np, monitor
    >>> model = monitor.load(MODEL)
    >>> minute = np.random.default_rng(0).normal(0, 0.1, 60 * 48_000)
    >>> result = model.score(minute, sample_rate=48_000)
    >>> len(result), result.error.shape, result.contribution.shape
    (6001, (6001,), (6001, 64))
    >>> str(result.state[-1])
    'ANOMALY'

Sound that is pushed piece by piece gives the same results, except for rounding:

    >>> stream = model.stream(sample_rate=48_000)
    >>> results = [stream.push(second) for second in np.split(minute, 60)] + [stream.flush()]
    >>> bool(np.allclose(np.concatenate([r.score for r in results]), result.score, rtol=1e-5, equal_nan=True))
    True

A session monitors a source until it ends, and reports events and scores to sinks:

    >>> class Count(monitor.Sink):
    ...     anomalies = 0
    ...     def event(self, event):
    ...         self.anomalies += event.kind == "anomaly" and event.end_s is None
    >>> counted = Count()
    >>> source = monitor.BlockSource(np.split(minute, 60), sample_rate=48_000)
    >>> monitor.Session([model.plan(source, sinks=[counted])]).run()
    >>> counted.anomalies
    1

`monitor.train("recordings/", out="runs/pump", epochs=40)` trains a new model. Errors are of the class
`monitor.MonitorError`; their message says what went wrong, where, and what to do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from monitor.api.model import Model, load
    from monitor.api.result import Result
    from monitor.api.stream import ModelStream
    from monitor.api.training import train
    from monitor.core.errors import BundleError, ConfigError, DataError, MonitorError, SourceLost
    from monitor.core.events import Band, Event, ScoreRows, State
    from monitor.outputs.background import BackgroundSink
    from monitor.outputs.sink import Sink
    from monitor.runtime.session import Session
    from monitor.sources.file_replay import FileReplay
    from monitor.sources.generated import BlockSource
    from monitor.sources.paced import PacedSource

# The module that defines each public name. A module is imported when a name is first used, so that `import monitor` is
# fast.
_MODULES = {
    "load": "api.model",
    "train": "api.training",
    "Model": "api.model",
    "ModelStream": "api.stream",
    "Result": "api.result",
    "Session": "runtime.session",
    "Sink": "outputs.sink",
    "BackgroundSink": "outputs.background",
    "BlockSource": "sources.generated",
    "FileReplay": "sources.file_replay",
    "PacedSource": "sources.paced",
    "Event": "core.events",
    "Band": "core.events",
    "State": "core.events",
    "ScoreRows": "core.events",
    "MonitorError": "core.errors",
    "ConfigError": "core.errors",
    "DataError": "core.errors",
    "BundleError": "core.errors",
    "SourceLost": "core.errors",
}

__all__ = [
    "BackgroundSink",
    "Band",
    "BlockSource",
    "BundleError",
    "ConfigError",
    "DataError",
    "Event",
    "FileReplay",
    "Model",
    "ModelStream",
    "MonitorError",
    "PacedSource",
    "Result",
    "ScoreRows",
    "Session",
    "Sink",
    "SourceLost",
    "State",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'monitor' has no attribute {name!r}")
    return getattr(import_module(f"monitor.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
