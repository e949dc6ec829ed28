"""The last stages of the graph: from mean rows of window statistics to anomaly scores, in float64.

They compute what `monitor.scoring.scorer.Scorer` does.
"""

from __future__ import annotations

import math

import numpy as np

from monitor.bundle.bundle import Bundle
from monitor.integrations.onnx_export.expressions import Graph, Tensor
from monitor.scoring.gaussian import TINY, Reference
from monitor.scoring.rhythm import Rhythm
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.score_parts import PEAKS, parts_of
from monitor.scoring.scorer import part_weights

ROLLING = 0  # the row of `Reference.log_distance` for means over score.window_s


def anomaly_score(graph: Graph, bundle: Bundle, layout: RowLayout, means: Tensor) -> Tensor:
    """The anomaly scores (k,) float64 of mean rows (k, mean_width), of all kinds but `error`."""
    with graph.stage("score"):
        log_score = _log_fused(graph, bundle, layout, means)
        if layout.peaks:
            log_score = log_score.maximum(_of_peaks(graph, bundle.references[PEAKS.name], layout, means))
        if bundle.rhythm is not None:
            log_score = log_score.maximum(_of_rhythm(graph, bundle.rhythm, layout, means))
        return log_score.exp()


def _log_fused(graph: Graph, bundle: Bundle, layout: RowLayout, means: Tensor) -> Tensor:
    """The logarithm of the fused score: the weighted mean of the logarithms of the parts' distances."""
    shares = means.columns(layout.mode_columns).to(np.float64) if layout.modes else None
    parts = parts_of(bundle.config.score)
    references = [bundle.references[part.name] for part in parts]
    normal = np.stack([reference.log_distance[ROLLING] for reference in references])
    logs = []
    for part, reference in zip(parts, references, strict=True):
        with graph.stage(part.name):
            squared = squared_distance(graph, reference, means.columns(layout.columns(part)), shares)
            logs.append(squared.maximum(TINY).log().unsqueeze(1))
    offsets = graph.concat(logs, axis=1) - graph.constant("normal_log_distance", normal[:, 0])
    return (offsets * graph.constant("part_weights", part_weights(normal))).sum(-1)


def squared_distance(graph: Graph, reference: Reference, means: Tensor, shares: Tensor | None) -> Tensor:
    """The squared Mahalanobis distance (k,) float64 of mean statistics (k, p), with shares (k, K) of modes if any."""
    centre = graph.constant("centre", reference.centre)
    inverse = graph.constant("inverse_covariance", reference.inverse_covariance)
    offsets = means.to(np.float64) - (centre if shares is None else shares @ centre)
    products = ((offsets @ inverse) * offsets).sum(-1)  # (k,), or (K, k)
    return products if shares is None else (products.transpose() * shares).sum(-1)


def _of_peaks(graph: Graph, reference: Reference, layout: RowLayout, means: Tensor) -> Tensor:
    """The logarithm of the ratio of the loudest moments to normal ones, on the scale of the fused score."""
    with graph.stage("peaks"):
        squared = squared_distance(graph, reference, means.columns(layout.peak_columns), None)
        usual, deviation = reference.log_distance[ROLLING].tolist()
        ratio: Tensor = (squared.maximum(TINY).log() - usual) / deviation
        return ratio


def _of_rhythm(graph: Graph, rhythm: Rhythm, layout: RowLayout, means: Tensor) -> Tensor:
    """The surprise of the intervals between impulses, on the scale of the logarithm of the fused score.

    It is -inf where there was no interval.
    """
    with graph.stage("rhythm"):
        surprise, ended = (
            means.part(column, column + 1, axis=-1).squeeze(-1)
            for column in (layout.surprise_column, layout.impulse_column)
        )
        some = ended > 0
        mean = (surprise / ended.where(some, 1)).to(np.float64)
        usual, deviation = rhythm.log_distance[ROLLING].tolist()
        ratio: Tensor = (mean - usual) / deviation
        return ratio.where(some, -math.inf)
