"""Model: a trained model that scores numpy arrays of samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from monitor.api.result import Result, joined
from monitor.api.stream import ModelStream
from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.bundle.threshold import Threshold
from monitor.config.loader import SettingsSource
from monitor.config.schema import Config
from monitor.config.setting_types import Channel
from monitor.core.arguments import as_path, wrong
from monitor.core.thread_pool import available_processors, offline_pool
from monitor.outputs.sink import Sink
from monitor.runtime.builder import StreamPlan, model_name

if TYPE_CHECKING:
    from monitor.sources.source import Source


def load(path: str | Path) -> Model:
    """Loads a model that was written by `monitor train`.

    Raises:
        BundleError: if the file is missing or damaged, or if its self-test fails: the model would compute other scores
            on this machine than where it was trained.
        ConfigError: if the argument is no path.
    """
    file = as_path(path, "the model")
    return Model(load_bundle(file), file)


class Model:
    """A trained model with its thresholds. `monitor.load` reads one from a file.

    Args:
        bundle: the content of the model file.
        path: the model file, for messages and display.
    """

    def __init__(self, bundle: Bundle, path: Path | None = None) -> None:
        self.bundle, self.path = bundle, path

    def __repr__(self) -> str:
        threshold = self.thresholds["score"]
        return (
            f"<Model {self.path or self.model_id}: {self.bundle.config.score.kind} score, "
            f"threshold {threshold.value:.4g} ({threshold.note or threshold.method})>"
        )

    @property
    def model_id(self) -> str:
        """The identifier of the model with its thresholds; events have it as `model_id`."""
        return self.bundle.model_id

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model in Hz. Samples at other rates are resampled."""
        return self.bundle.config.features.sample_rate

    @property
    def thresholds(self) -> dict[str, Threshold]:
        """The thresholds by name.

        "score" and "error" are for a stream, "recording" is for the score of a whole recording, and "cusum" is for the
        cumulative sum of lasting anomalies.
        """
        return dict(self.bundle.thresholds)

    @property
    def config(self) -> Config:
        """The settings in force: those of the model, and defaults. No settings file is read."""
        return SettingsSource().for_model(self.bundle.config, str(self.path or "the model"))

    def score(self, samples: NDArray[Any], sample_rate: int, *, channel: Channel | None = None) -> Result:
        """Scores a whole recording, as `monitor replay` does.

        Args:
            samples: (n,) or (n, channels), floats with full scale 1 or integers.
            sample_rate: in Hz, 1000 to 384000.
            channel: number of a channel, or "mix" for the mean of all channels; None: the channel of the training.

        Returns:
            the results for all windows.

        Raises:
            DataError: if the samples, the sample rate or the channel are not valid.
        """
        with offline_pool(available_processors()) as pool:
            stream = ModelStream(self.bundle, self.config, sample_rate, self._channel(channel), pool)
            return joined([stream.push(samples), stream.flush()])

    def stream(self, sample_rate: int, *, channel: Channel | None = None) -> ModelStream:
        """Returns a stream that scores sound piece by piece. Arguments and errors are those of `score`."""
        return ModelStream(self.bundle, self.config, sample_rate, self._channel(channel))

    def plan(
        self, source: Source, *, sinks: Sequence[Sink] = (), name: str = "", config: Config | None = None
    ) -> StreamPlan:
        """Returns a stream for a `monitor.Session`: this model with a source.

        Args:
            source: a `monitor.BlockSource`, a `monitor.FileReplay`, or a source of your own.
            sinks: receive events and scores.
            name: name of the stream if the session has several.
            config: the settings in force; None: `Model.config`.

        Raises:
            ConfigError: if an argument is of another kind.
        """
        if not (hasattr(source, "reader") and hasattr(source, "start")):
            kinds = "a monitor.BlockSource, a monitor.FileReplay, or derived from monitor.PacedSource"
            raise wrong("source", kinds, source)
        if not isinstance(sinks, Sequence) or not all(isinstance(sink, Sink) for sink in sinks):
            raise wrong("sinks", "a list of objects derived from monitor.Sink", sinks)
        if not isinstance(name, str):
            raise wrong("name", "a text", name)
        if config is not None and not isinstance(config, Config):
            raise wrong("config", "settings as Model.config has them", config)
        display_name = model_name(self.path, self.bundle) if self.path else self.model_id
        return StreamPlan(self.bundle, config or self.config, source, display_name, name, sinks)

    def _channel(self, requested: Channel | None) -> Channel:
        return self.bundle.config.features.channel if requested is None else requested
