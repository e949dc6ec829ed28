"""The graph of a model: from mel frames to residual, error and score of each window."""

from __future__ import annotations

import numpy as np
import onnx

from monitor.bundle.bundle import Bundle
from monitor.integrations.onnx_export import frame_stages, rolling_stages, score_stages
from monitor.integrations.onnx_export.expressions import Graph, Shape, Tensor
from monitor.integrations.onnx_export.frame_stages import Windows
from monitor.integrations.onnx_export.metadata import metadata_of
from monitor.model.folded_inference import folded_layers
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.scorer import rolling_length


def onnx_model(bundle: Bundle) -> onnx.ModelProto:
    """The graph of a model, with its metadata.

    Its inputs are the next power mel frames of one stream, and the state after the frames before them, which is all
    zeros at the start of a recording. Its outputs are the residual, errors and score of each window that these frames
    complete, and the state for the next call.
    """
    return _ModelGraph(bundle).finished()


class _ModelGraph:
    """The graph of a model while it is put together."""

    def __init__(self, bundle: Bundle) -> None:
        config, features = bundle.config, bundle.config.features
        self._bundle, self._graph = bundle, Graph()
        self._by_error = config.score.kind == "error"  # which needs nothing but the error
        self._layout = RowLayout.of(config) if self._by_error else bundle.layout
        self._bands, self._length = features.n_mels, rolling_length(config.score, features)
        self._next: list[tuple[str, Tensor, Shape]] = []  # the state for the next call: names, values, shapes

    def finished(self) -> onnx.ModelProto:
        """Adds all stages from the inputs to the outputs."""
        features = self._bundle.config.features
        power = self._graph.input(
            "frames", ("t", self._bands), np.float32, "the next power mel frames, as the metadata define them"
        )
        before: Shape = (features.window_frames - 1, self._bands)
        earlier = self._graph.input("state_frames", before, np.float32, "the last normalized frames")
        position = self._graph.input("state_position", (), np.int64, "number of frames so far")
        normalized = frame_stages.normalized(self._graph, self._bundle, power)
        windows = frame_stages.windows_of(self._graph, features, earlier, normalized, position)
        self._next += [
            ("state_frames", windows.last_frames, before),
            ("state_position", position + power.length(), ()),
        ]
        statistics = self._statistics(windows)
        self._add_outputs(windows, statistics, self._mean_rows(windows, statistics))
        for name, tensor, shape in self._next:
            self._graph.output(f"next_{name}", tensor, shape, f"{name} for the next call")
        return self._graph.model("acoustic_monitor", metadata_of(self._bundle))

    def _statistics(self, windows: Windows) -> list[Tensor]:
        """The columns of rows of window statistics, in the order of `RowLayout`."""
        graph, bundle = self._graph, self._bundle
        layers = folded_layers(bundle.weights)
        statistics, inputs = frame_stages.band_statistics(graph, bundle.config.features, self._layout, layers, windows)
        if self._layout.modes and bundle.modes is not None:
            statistics.append(frame_stages.mode_indicators(graph, bundle.modes, inputs))
        if self._layout.rhythm and bundle.rhythm is not None:
            last = graph.input("state_impulse", (), np.int64, "number of the frame of the last impulse, 0 for none")
            columns, last = frame_stages.intervals(graph, bundle.rhythm, bundle, windows, last)
            statistics.append(columns)
            self._next.append(("state_impulse", last, ()))
        return statistics

    def _mean_rows(self, windows: Windows, statistics: list[Tensor]) -> Tensor:
        """Mean rows (k, mean_width); without meaning before there have been as many windows as a mean has."""
        graph, layout, length = self._graph, self._layout, self._length
        shape: Shape = (length, layout.row_width)
        earlier = graph.input("state_rows", shape, np.float32, "the last rows of window statistics")
        rows = graph.concat((earlier, graph.concat(statistics, axis=1)))
        self._next.append(("state_rows", rows.part(windows.complete, windows.complete + length), shape))
        means = [rolling_stages.rolling_mean(graph, rows, windows.count, length, layout.row_width)]
        if layout.peaks:
            means.append(rolling_stages.rolling_maximum(graph, rows.columns(layout.level_columns), length))
        return graph.concat(means, axis=1)

    def _add_outputs(self, windows: Windows, statistics: list[Tensor], mean_rows: Tensor) -> None:
        graph, bands = self._graph, self._bands
        full = graph.arange(windows.count) + windows.first > self._length - 2
        rolling_error = mean_rows.columns(self._layout.error_columns).mean(-1)
        if self._by_error:
            score = rolling_error.to(np.float64)
        else:
            score = score_stages.anomaly_score(graph, self._bundle, self._layout, mean_rows)
        outputs: dict[str, tuple[Tensor, Shape, str]] = {
            "residual": (statistics[0], ("k", bands), "mean over the window of reconstruction minus input"),
            "error": (statistics[1].mean(-1), ("k",), "reconstruction error of each window"),
            "rolling_error": (rolling_error.where(full, np.nan), ("k",), "its mean over score.window_s, or NaN"),
            "score": (score.where(full, np.nan), ("k",), "anomaly score over score.window_s, or NaN"),
        }
        for name, (tensor, shape, explained) in outputs.items():
            graph.output(name, tensor.part(0, windows.complete), shape, explained)
