"""Streams of one model, computed together: whole hops in, frames and scores out, for each at its own pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from monitor.bundle import Bundle
from monitor.lanes import Lanes
from monitor.stream import Scores, ScoreStream


class Ensemble:
    """The streams that one model judges, by number.

    A stream that is alone is computed by ScoreStream, which is quicker for one: 0.6 ms where Lanes take 0.73 for a
    hop, and half as long for a portion of four seconds. The scores are the same.
    """

    def __init__(self, bundle: Bundle, count: int, device: torch.device | str = "cpu") -> None:
        self._streams: ScoreStream | Lanes
        self._streams = ScoreStream(bundle, 1, device) if count == 1 else Lanes(bundle, count, device)

    def push(self, samples: Tensor, which: Sequence[int]) -> list[tuple[Tensor, Scores]]:
        """The next m hops (n, m · hop_length) of n different streams; the frames and scores that each completes."""
        if isinstance(self._streams, ScoreStream):
            return [self._streams.push(samples)]
        heard = self._streams.push(samples, torch.tensor(which))
        return [heard.of(position) for position in range(len(which))]

    def flush(self, number: int, rest: Tensor) -> tuple[Tensor, Scores]:
        """The frames and scores that the end of one stream completes, behind its last samples, fewer than a hop."""
        if isinstance(self._streams, Lanes):
            return self._streams.flush(number, rest)
        frames, scores = self._streams.push(rest[None])
        last_frames, last = self._streams.flush()
        pairs = ((scores.rows, last.rows), (scores.rolling, last.rolling), (scores.score, last.score))
        rows, rolling, score = (torch.cat(pair, dim=1) for pair in pairs)
        return torch.cat((frames, last_frames), dim=1), Scores(rows, rolling, score, scores.n_mels)

    def reset(self, number: int) -> None:
        """What comes next of this stream has no past."""
        if isinstance(self._streams, Lanes):
            self._streams.reset(torch.tensor([number]))
        else:
            self._streams.reset()

    def recentre(self, number: int, offsets: Mapping[str, Tensor]) -> None:
        """Moves what is normal of each part of one stream's score by an offset (p,) from the model's."""
        if isinstance(self._streams, Lanes):
            self._streams.recentre(number, offsets)
        else:
            self._streams.recentre(offsets)


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream's place in an ensemble."""

    ensemble: Ensemble
    number: int

    def push(self, samples: Tensor) -> tuple[Tensor, Scores]:
        """The next whole hops (n,) of this stream alone."""
        return self.ensemble.push(samples[None], (self.number,))[0]

    def flush(self, rest: Tensor) -> tuple[Tensor, Scores]:
        """As `Ensemble.flush`."""
        return self.ensemble.flush(self.number, rest)

    def reset(self) -> None:
        """As `Ensemble.reset`."""
        self.ensemble.reset(self.number)

    def recentre(self, offsets: Mapping[str, Tensor]) -> None:
        """As `Ensemble.recentre`."""
        self.ensemble.recentre(self.number, offsets)
