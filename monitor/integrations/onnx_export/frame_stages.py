"""The stages of the graph from mel frames to rows of window statistics.

They compute what `monitor.features`, `monitor.model` and `monitor.scoring.window_stats` do, in the same order of
operations, so that the results differ only by rounding. The tests compare them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.config.schema import Features
from monitor.core.types import FloatArray
from monitor.integrations.onnx_export.expressions import Graph, Tensor
from monitor.model.folded_inference import FoldedLayer
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.rhythm import LONGEST_S, Rhythm, apart_frames, rise_frames
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.window_stats import change_lag, extremes_reach


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows that a portion completes, or one without meaning if it completes none.

    Reductions of no rows at all would fail in onnxruntime 1.18.

    Attributes:
        frames: (W - 1 + k, n_mels) normalized frames; window i has frames i … i + W - 1.
        count: k, at least 1.
        complete: number of windows that have a meaning: k, or 0.
        first: number of the first window, which is that of its middle frame, W / 2.
        last_frames: (W - 1, n_mels) the last normalized frames.
    """

    frames: Tensor
    count: Tensor
    complete: Tensor
    first: Tensor
    last_frames: Tensor


def normalized(graph: Graph, bundle: Bundle, power: Tensor) -> Tensor:
    """Power mel frames (t, n_mels) -> normalized frames (t, n_mels)."""
    features = bundle.config.features
    with graph.stage("normalization"):
        scaled = power
        if features.scale == "log":
            scaled = power.maximum(features.floor).log() * (10 / math.log(10))
        if features.remove_level:
            scaled = scaled - scaled.mean(-1, keepdims=True)
        inverse_deviation = np.float32(1) / bundle.deviation
        return (scaled - graph.constant("mean", bundle.mean)) * graph.constant("inverse_deviation", inverse_deviation)


def windows_of(graph: Graph, features: Features, earlier: Tensor, new: Tensor, position: Tensor) -> Windows:
    """The windows that new frames complete. The first W / 2 frames of a recording are mirrored before its frame 0.

    Args:
        graph: the graph.
        features: settings of the windows.
        earlier: (W - 1, n_mels) the normalized frames before the new ones.
        new: (t, n_mels) the new normalized frames.
        position: number of the first of them.
    """
    half, before = features.window_frames // 2, features.window_frames - 1
    with graph.stage("windows"):
        frames, count = graph.concat((earlier, new)), new.length()
        total = count + before
        # Frame -1 - i is frame i. Where the mirrored frames have not come yet, there are no windows either.
        index, frame_0 = graph.arange(total), graph.number(before) - position
        mirrored = (frame_0 * 2 - 1 - index).minimum(total - 1)
        frames = frames.take(mirrored.where(index < frame_0, index))
        # The window of frame t is complete when frame t + W / 2 - 1 has come.
        ahead = position - (half - 1)
        incomplete = (graph.number(0) - ahead).maximum(0).minimum(count)
        complete = count - incomplete
        computed = complete.maximum(1)
        own = (graph.arange(computed + before) + incomplete).minimum(total - 1)
        return Windows(frames.take(own), computed, complete, ahead.maximum(0), frames.part(-before))


def reconstructed(graph: Graph, layers: Sequence[FoldedLayer], windows: Tensor) -> Tensor:
    """The autoencoder: windows (k, W · n_mels) -> reconstructions (k, W · n_mels)."""
    x = windows
    for number, (weight, bias, relu) in enumerate(layers, 1):
        with graph.stage(f"autoencoder/layer_{number}"):
            x = x @ graph.constant("weight", weight) + graph.constant("bias", bias)
            x = x.relu() if relu else x
    return x


def band_statistics(
    graph: Graph, features: Features, layout: RowLayout, layers: Sequence[FoldedLayer], windows: Windows
) -> tuple[list[Tensor], Tensor]:
    """The statistics of each window, as `monitor.scoring.window_stats` and `monitor.model.network` define them.

    Returns:
        the statistics, (k, n_mels) each but the error, (k, layout.errors), in the order of their columns; and the
        windows (k, W, n_mels).
    """
    half, bands = features.window_frames // 2, features.n_mels
    with graph.stage("statistics"):
        inputs = windows.frames.sliding(windows.count, features.window_frames)
        flat = inputs.reshape(-1, features.window_size)
        residuals = reconstructed(graph, layers, flat).reshape(-1, features.window_frames, bands) - inputs
        squares = (residuals * residuals).mean(1)
        statistics = [residuals.mean(1), squares if layout.errors > 1 else squares.mean(-1).unsqueeze(1)]
        if layout.has_levels:
            middle, earlier = (
                windows.frames.part(start, windows.count + start) for start in (half, half - change_lag(features))
            )
            statistics += [middle, (middle - earlier).abs()]
        if layout.has_extremes:
            reach = extremes_reach(features)
            near = inputs.part(half - reach, half + reach, axis=1)
            statistics += [near.max(1), near.min(1)]
        return statistics, inputs


def mode_indicators(graph: Graph, modes: OperatingModes, inputs: Tensor) -> Tensor:
    """1 for the operating mode that each window (k, W, n_mels) is in, 0 for the others: (k, K)."""
    with graph.stage("operating_modes"):
        spectra = inputs.mean(1).unsqueeze(1)
        offsets = spectra - graph.constant("centres", modes.centres)
        offsets = offsets * graph.constant("inverse_deviation", modes.inverse_deviation)
        nearest = (offsets * offsets).mean(-1).argmin(-1)
        return nearest.unsqueeze(1).equal(graph.arange(modes.count)).to(np.float32)


def intervals(
    graph: Graph, rhythm: Rhythm, bundle: Bundle, windows: Windows, last_impulse: Tensor
) -> tuple[Tensor, Tensor]:
    """The surprise of the interval between impulses that ends in the middle of a window, as in the rhythm's tracker.

    Args:
        graph: the graph.
        rhythm: of normal sound.
        bundle: the model.
        windows: the windows.
        last_impulse: number of the frame of the last impulse before them; 0 if there was none, because frame 0 is
            never an impulse.

    Returns:
        (k, 2) the surprise, and 1 where an interval ends, 0 elsewhere; and the last impulse after these windows.
    """
    features = bundle.config.features
    half, radius, lag = features.window_frames // 2, apart_frames(features.hop_s), rise_frames(features.hop_s)
    with graph.stage("rhythm"):
        count = windows.count
        near = windows.frames.part(half - radius - lag, count + (half + radius))
        decibels = near * graph.constant("deviation", bundle.deviation)
        rises = decibels.part(lag) - decibels.part(0, count + 2 * radius)
        steepness = rises.relu().mean(-1)  # (k + 2 · radius,)
        middle = steepness.part(radius, count + radius)
        before = steepness.sliding(count, radius).max(1)
        after = steepness.part(radius + 1).sliding(count, radius).max(1)
        numbers = graph.arange(count) + windows.first
        found = (middle > rhythm.steepness) & (middle > before) & (middle >= after)
        found = found & (numbers > 0) & (numbers < windows.first + windows.complete)

        steps = graph.node("NonZero", found, dtype=np.int64).squeeze(0)  # (m,) of the m impulses
        impulses = graph.concat((last_impulse.unsqueeze(0), steps + windows.first))
        previous = impulses.part(0, -1)
        table = surprise_by_frames(rhythm, features.hop_s)
        passed = (impulses.part(1) - previous).minimum(len(table) - 1)
        ends = (previous > 0).to(np.float32)
        surprise = graph.constant("surprise", table).take(passed) * ends

        def column(values: Tensor) -> Tensor:
            zeros = graph.node("ConstantOfShape", count.unsqueeze(0), dtype=np.float32)
            return graph.node("ScatterElements", zeros, steps, values, dtype=np.float32).unsqueeze(1)

        return graph.concat((column(surprise), column(ends)), axis=1), impulses.part(-1).squeeze(0)


def surprise_by_frames(rhythm: Rhythm, hop_s: float) -> FloatArray:
    """The surprise of intervals of 0, 1, 2 … frames. The last one is that of all longer intervals, too."""
    frames = np.arange(math.ceil(LONGEST_S / hop_s) + 1, dtype=np.float64)
    return rhythm.surprise_of(frames * hop_s).astype(np.float32)
