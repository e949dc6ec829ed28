"""Window statistics of normal recordings, averaged over the durations that calibration needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from monitor.bundle.bundle import Bundle, placeholder_references
from monitor.config.schema import Config
from monitor.core.thread_pool import available_processors, offline_pool
from monitor.core.types import DoubleArray, FloatArray
from monitor.detection.alarm_rules import rows_per_decision
from monitor.model.network import Compute
from monitor.scoring.recording_score import MeanOfRows, with_peaks
from monitor.scoring.row_layout import RowLayout
from monitor.scoring.scorer import rolling_length
from monitor.streaming.portion import Portion
from monitor.streaming.score_batch import ScoreBatch
from train.calibration.highest_scores import Place
from train.data.feature_cache import Frames

if TYPE_CHECKING:
    import torch

CHUNK = 4096  # frames pushed at once, so that memory does not grow with the length of a recording
PIECE_S = 10.0  # duration of a piece, whose mean is one observation for fitting
LEVEL = RowLayout(1, 1)  # of rows with nothing but the sound level
LEVEL_S = 0.5  # duration over which the sound level is averaged
# Durations that are cut out of recordings, to find limits for short recordings. At still shorter ones the first and the
# last spectra, which a part of a longer recording has otherwise, would matter.
CUT_S = (2.0, 3.0, 5.0)
LONGEST_CUT = 0.8  # of the recording that it is cut out of
MAX_CUTS = 300  # of each duration: more would take long, and make limits hardly more accurate


@dataclass(frozen=True, slots=True)
class Observation:
    """The averaged statistics of one normal recording; rows as in `monitor.scoring.row_layout`."""

    frames: Frames
    seconds: float
    trained: bool  # whether the autoencoder was trained on it
    pieces: DoubleArray  # (p, mean_width) means over consecutive pieces of about PIECE_S
    fine: DoubleArray  # (q, mean_width) means over consecutive score.window_s
    decisions: DoubleArray  # (d, mean_width) rolling means at each decision of the alarm
    whole: DoubleArray  # (mean_width,) mean over the recording without score.cut_frames at both ends
    levels: DoubleArray  # (l,) sound level of each LEVEL_S in dBFS
    at_s: float = 0.0  # of a part of a recording: its first second, and the number of decisions before it
    decisions_before: int = 0
    # (c, mean_width) means over parts that were cut out of the recording, each computed as a recording of its own, and
    # (c,) their duration in seconds, without score.cut_frames at both ends
    cuts: DoubleArray = field(default_factory=lambda: np.empty((0, 0)))
    cut_s: DoubleArray = field(default_factory=lambda: np.empty(0))

    @property
    def wholes(self) -> DoubleArray:
        """The mean rows (n, mean_width) to score as recordings: one for the whole, or one for each piece if several."""
        return self.whole[None] if len(self.pieces) == 1 else self.pieces

    @property
    def place(self) -> Place:
        """Where its decisions are."""
        return Place(self.frames.path, self.at_s, self.decisions_before)

    @property
    def whole_places(self) -> list[Place]:
        """Where each of `wholes` is."""
        length_s = self.seconds / len(self.wholes)
        return [Place(self.frames.path, self.at_s + i * length_s) for i in range(len(self.wholes))]


def observe(
    bundle: Bundle,
    recordings: Sequence[Frames],
    device: torch.device | str,
    *,
    trained: bool,
    with_cuts: bool = False,
) -> list[Observation]:
    """Computes the statistics of recordings, each as a separate stream.

    Args:
        bundle: the model.
        recordings: normal recordings.
        device: where the network computes.
        trained: whether the autoencoder was trained on these recordings.
        with_cuts: whether to cut short recordings out of them, too.
    """
    config = bundle.config
    with offline_batch(bundle, device) as batch:
        observed = [_observe(config, batch, frames, trained) for frames in recordings]
        if not with_cuts:
            return observed
        # A cut of each duration is made in each piece, or if there are many pieces, in one of every so many.
        every = -(-sum(len(o.pieces) for o in observed) // MAX_CUTS)
        return [
            replace(o, cuts=cuts, cut_s=cut_s)
            for number, o in zip(np.cumsum([0, *(len(o.pieces) for o in observed)]).tolist(), observed, strict=False)
            for cuts, cut_s in (_cuts(config, batch, o, range(-number % every, len(o.pieces), every)),)
        ]


@contextlib.contextmanager
def offline_batch(bundle: Bundle, device: torch.device | str, precision: str | None = None) -> Iterator[ScoreBatch]:
    """A batch of one stream for whole recordings, computed by all processors or by a GPU.

    If the bundle has no reference distributions yet, the scores have no meaning, but the window statistics do.

    Args:
        bundle: the model.
        device: where the network computes, unless in int8, which only processors do.
        precision: of the network; None: the one that the model's references and limits are made in.
    """
    precision = precision or bundle.precision
    device = "cpu" if precision == "int8" else device
    modes = 0 if bundle.modes is None else bundle.modes.count
    bundle = replace(bundle, references=placeholder_references(bundle.config, modes) | bundle.references)
    processors = available_processors() if str(device) == "cpu" else 1
    with offline_pool(processors) as pool:
        yield ScoreBatch(bundle, 1, compute=Compute.on(device, precision), pool=pool)


def chunks_of(frames: Frames) -> Iterator[FloatArray]:
    """The power mel frames of a recording in chunks (t, n_mels)."""
    for start in range(0, len(frames.power), CHUNK):
        yield np.array(frames.power[start : start + CHUNK])


def portions_of(batch: ScoreBatch, frames: Frames) -> Iterator[Portion]:
    """Pushes a recording through a batch of one stream, which begins and ends with it; yields its portions."""
    batch.reset(np.array([0]))
    for chunk in chunks_of(frames):
        yield batch.push(chunk[None]).portions()[0]
    yield batch.flush().portions()[0]


def _observe(config: Config, batch: ScoreBatch, frames: Frames, trained: bool) -> Observation:
    length = rolling_length(config.score, config.features)
    step = rows_per_decision(config.alarm, config.features.hop_s)
    count, cut, hop_s = len(frames.power), config.score.cut_frames, config.features.hop_s
    pieces = _Means(_lengths(count, max(1, int(count * hop_s / PIECE_S))), batch.layout)
    fine = _Means([min(length, count)] * max(1, count // length), batch.layout)
    whole = _Means([cut, max(0, count - 2 * cut)], batch.layout)
    level_frames = max(1, round(LEVEL_S / hop_s))
    levels = _Means([min(level_frames, count)] * max(1, count // level_frames), LEVEL)
    decisions: list[DoubleArray] = []
    seen = 0
    for portion in portions_of(batch, frames):
        rows = with_peaks(portion.rows, portion.means)
        for means in (pieces, fine, whole):
            means.push(rows)
        levels.push(portion.mean_square[:, None].astype(np.float32))
        since_first = seen - (length - 1)  # rows since the first decision, negative before it
        first = -since_first if since_first < 0 else -since_first % step
        decisions.append(portion.means[first::step].astype(np.float64))
        seen += len(rows)
    return Observation(
        frames, count * hop_s, trained, pieces.means(), fine.means(), np.concatenate(decisions), whole.means()[-1],
        10 * np.log10(np.maximum(levels.means()[:, 0], 1e-20)),
    )  # fmt: skip


def _cuts(
    config: Config, batch: ScoreBatch, observed: Observation, pieces: Iterable[int]
) -> tuple[DoubleArray, DoubleArray]:
    """Cuts parts out of the middle of some pieces of a recording; returns `cuts` and `cut_s` of an `Observation`."""
    frames, cut, hop_s = observed.frames, config.score.cut_frames, config.features.hop_s
    edges = np.cumsum([0, *_lengths(len(frames.power), len(observed.pieces))])
    cuts: list[DoubleArray] = []
    cut_s: list[float] = []
    for piece in pieces:
        first, size = int(edges[piece]), int(edges[piece + 1] - edges[piece])
        for seconds in CUT_S:
            kept = round(seconds / hop_s)
            count = kept + 2 * cut
            if kept < config.features.window_frames or count > LONGEST_CUT * size:
                continue
            start = first + (size - count) // 2
            part = replace(frames, power=frames.power[start : start + count])
            mean = _Means([cut, kept], batch.layout)
            for portion in portions_of(batch, part):
                mean.push(with_peaks(portion.rows, portion.means))
            cuts.append(mean.means()[1])
            cut_s.append(seconds)
    return np.array(cuts).reshape(-1, batch.layout.mean_width), np.array(cut_s)


def _lengths(total: int, parts: int) -> list[int]:
    edges = [total * i // parts for i in range(parts + 1)]
    return [after - before for before, after in pairwise(edges)]


class _Means:
    """Mean rows of consecutive segments.

    Args:
        lengths: rows in each segment; rows after the last segment are ignored.
        layout: of the rows.
    """

    def __init__(self, lengths: list[int], layout: RowLayout) -> None:
        self._edges = np.cumsum(lengths)
        self._segments = [MeanOfRows(layout) for _ in lengths]
        self._seen = 0

    def push(self, rows: FloatArray) -> None:
        """Adds the next rows (k, mean_width)."""
        segment = np.searchsorted(self._edges, np.arange(self._seen, self._seen + len(rows)), side="right")
        for number in np.unique(segment[segment < len(self._segments)]):
            self._segments[number].push(rows[segment == number])
        self._seen += len(rows)

    def means(self) -> DoubleArray:
        """The mean rows (segments, mean_width); NaN for a segment without rows."""
        return np.stack([segment.mean() for segment in self._segments])
