"""Many streams of one model at once, each at its own pace: whole hops of any of them in, frames and scores out.

What `monitor.streaming.stream.ScoreStream` computes of one stream, for lanes that begin, pause and end when they like. What is
expensive is one call for many lanes. Several threads may push at the same time, different lanes each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from monitor.bundle.bundle import Bundle
from monitor.features.mel import PairFilters, overlapping_windows, power_frames
from monitor.scoring.rolling_mean import LaneMeans
from monitor.model.autoencoder import Inference
from monitor.model.device import PRECISIONS
from monitor.scoring.scorer import by_band, frame_and_change, rolling_length, row_width
from monitor.streaming.stream import Scores
from monitor.model.cuda_transfer import Transfers


class Portions(NamedTuple):
    """How much is computed at once."""

    rows: int  # hops of all lanes together, from sound to score
    hops: int  # of each lane at most
    windows: int  # through the model


# With more, what is computed leaves the processor's cache; with less, a GPU is not busy with it.
ON_CPU, ON_GPU = Portions(3200, 50, 256), Portions(2**18, 2**18, 2**15)


@dataclass(frozen=True, slots=True)
class Heard:
    """What m hops of n lanes gave. All on the CPU.

    Each hop completes one frame and one row of scores, but for the first of a lane: so only the last `new_frames` of
    a lane's m frames, and the last `new_rows` of its m rows, are there. The others are NaN.
    """

    frames: Tensor  # (n, m, n_mels) power mel frames, float32
    scores: Scores  # of n streams and m windows
    new_frames: Tensor  # (n,) int64, 0 to m
    new_rows: Tensor  # (n,) int64, 0 to m

    def of(self, number: int) -> tuple[Tensor, Scores]:
        """Of the lane that was pushed as the `number`-th what `ScoreStream(1).push` gives: views."""
        every, hops = self.scores, self.frames.shape[1]
        rows = slice(number, number + 1), slice(hops - int(self.new_rows[number]), hops)
        scores = Scores(every.rows[rows], every.rolling[rows], every.score[rows], every.n_mels)
        return self.frames[number : number + 1, hops - int(self.new_frames[number]) :], scores


class Lanes:
    """The state of `count` streams of one model.

    Args:
        bundle: the model; it is not changed.
        precision: as of `monitor.streaming.stream.RowStream`.
    """

    def __init__(
        self, bundle: Bundle, count: int, device: torch.device | str = "cpu", precision: str = "float32"
    ) -> None:
        self._features = features = bundle.config.features
        self._device = torch.device(device)
        self._portions = ON_CPU if self._device.type == "cpu" else ON_GPU
        self._transfers = Transfers(self._device)
        self._type = PRECISIONS[precision]
        self._hop, self._half = features.hop_length, features.window_frames // 2
        half_fft = features.n_fft // 2
        # Frame t needs half_fft samples behind its centre, which whole hops bring this many hops later.
        self._frame_delay = -(-half_fft // self._hop) - 1
        self._row_delay = self._frame_delay + self._half - 1
        self._length = rolling_length(bundle.config.score, features)
        self._width = row_width(bundle.config.score, features)
        self._window = torch.hann_window(features.n_fft, device=self._device)
        self._filters = PairFilters(features, self._device)
        self._scale = bundle.scale().to(self._device)
        self._model = Inference(bundle.model.to(self._device).eval(), self._type)
        self._scorer = bundle.scorer().to(self._device)
        self._scorer.recentre({part: torch.zeros(count, 1, len(n.centre)) for part, n in bundle.normals.items()})
        self._hops = torch.zeros(count, dtype=torch.int64)  # heard since the lane began
        carried = half_fft + self._frame_delay * self._hop
        self._sound = torch.zeros(count, carried, device=self._device)  # the last samples
        # The last frames as the model sees them.
        self._seen = torch.zeros(count, features.window_frames - 1, features.n_mels, device=self._device)
        self._means = LaneMeans(self._length, self._width, count, self._transfers)

    def __len__(self) -> int:
        return len(self._hops)

    def reset(self, which: Tensor) -> None:
        """These lanes (n,) begin anew: what comes next has no past. What is normal of each stays where it is."""
        self._hops[which] = 0
        self._sound[self._transfers.up(which)] = 0.0  # as a stream begins; the other state shows in nothing that is new

    def recentre(self, lane: int, offsets: Mapping[str, Tensor]) -> None:
        """Moves what is normal of each part of one lane's score by an offset (p,) from the model's."""
        self._scorer.recentre(offsets, lane)

    def push(self, samples: Tensor, which: Tensor) -> Heard:
        """The next m hops of n lanes, m the same for all: the others do not change.

        Args:
            samples: (n, m · hop_length) float32.
            which: (n,) int64, each lane once.
        """
        lanes, hops = len(which), samples.shape[1] // self._hop
        if samples.shape != (lanes, hops * self._hop) or len(set(which.tolist())) != lanes:
            raise ValueError(f"{tuple(samples.shape)} samples are not whole hops of {lanes} different lanes")
        n_mels, heard_before = self._features.n_mels, self._hops[which]
        home = self._transfers.home
        frames, rows, rolling = (home((lanes, hops, width)) for width in (n_mels, self._width, self._width))
        score = home((lanes, hops), torch.float64)
        new_frames = (heard_before + hops - self._frame_delay).clamp(0, hops)
        new_rows = (heard_before + hops - self._row_delay).clamp(0, hops)
        steps = min(hops, self._portions.hops)
        group_size = max(1, self._portions.rows // max(1, steps))
        for first in range(0, lanes, group_size):
            group = slice(first, first + group_size)
            for start in range(0, hops, self._portions.hops):
                part = slice(start, start + steps)
                sound = samples[group, part.start * self._hop : part.stop * self._hop]
                homes = [values[group, part] for values in (frames, rows, rolling, score)]
                found = [self._transfers.room(values) for values in homes]
                self._compute(sound, which[group], *found)
                for computed, values in zip(found, homes, strict=True):
                    self._transfers.down(computed, values)
        self._transfers.finish()
        return Heard(frames, Scores(rows, rolling, score, n_mels), new_frames, new_rows)

    @torch.inference_mode()
    def flush(self, lane: int, rest: Tensor | None = None) -> tuple[Tensor, Scores]:
        """The frames and scores that the end of one lane completes, as `ScoreStream(1).flush`; it then begins anew.

        Args:
            rest: (n,) samples, fewer than a hop, that still come before the end.
        """
        which, on_device = torch.tensor([lane]), torch.tensor([lane], device=self._device)
        rest = torch.empty(0) if rest is None else rest
        hops, features = int(self._hops[lane]), self._features
        if len(rest) >= self._hop:
            raise ValueError(f"{len(rest)} samples are a hop of {self._hop} or more: push it")
        before = max(0, hops - self._frame_delay)  # frames that there have been
        ending = torch.zeros(features.n_fft // 2 if hops or len(rest) else 0, device=self._device)
        own = len(self._window) // 2 + min(hops, self._frame_delay) * self._hop
        sound = torch.cat((self._sound[lane, self._sound.shape[1] - own :], rest.to(self._device), ending))
        frames = power_frames(sound[None], self._window, self._filters, self._hop)
        seen = self._seen[on_device]
        if before < self._half:
            seen = seen[:, seen.shape[1] - before :]
        seen = torch.cat((seen, self._scale(frames)), dim=1)
        if before < self._half <= seen.shape[1]:
            seen = torch.cat((seen[:, : self._half].flip(1), seen), dim=1)
        if seen.shape[1] >= self._half:
            seen = torch.cat((seen, seen[:, -self._half :].flip(1)[:, : self._half - 1]), dim=1)
        rows = seen.new_empty(1, max(0, seen.shape[1] - features.window_frames + 1), self._width)
        self._rows(seen, rows)
        rolling = torch.empty_like(rows)
        self._means.push(rows, which, rolling)
        rolling[:, : max(0, self._length - 1 - max(0, hops - self._row_delay))] = torch.nan
        score = self._scorer(rolling, streams=on_device)
        self.reset(which)
        return frames.cpu(), Scores(rows.cpu(), rolling.cpu(), score.cpu(), features.n_mels)

    @torch.inference_mode()
    def _compute(
        self, samples: Tensor, which: Tensor, frames: Tensor, rows: Tensor, rolling: Tensor, score: Tensor
    ) -> None:
        """The next hops of some lanes: reads samples (n, k · hop_length), and writes all others (n, k, …)."""
        up, count = self._transfers.up, frames.shape[1]
        lanes, hops = up(which), self._hops[which]
        sound = torch.cat((self._sound[lanes], up(samples)), dim=1)
        self._sound[lanes] = sound[:, count * self._hop :]
        frames.copy_(power_frames(sound, self._window, self._filters, self._hop))
        seen = torch.cat((self._seen[lanes], self._scale(frames)), dim=1)
        self._mirror(seen, hops, count)
        self._seen[lanes] = seen[:, count:]
        self._hops[which] += count

        self._rows(seen, rows)
        self._means.push(rows, which, rolling)
        if int(hops.min()) < self._row_delay + self._length - 1:
            age = hops[:, None] + torch.arange(count)  # of the lane before each hop
            rolling.masked_fill_(up(age < self._row_delay + self._length - 1)[..., None], torch.nan)
            rows.masked_fill_(up(age < self._row_delay)[..., None], torch.nan)
            frames.masked_fill_(up(age < self._frame_delay)[..., None], torch.nan)
        score.copy_(self._scorer(rolling, streams=lanes))

    def _mirror(self, seen: Tensor, hops: Tensor, count: int) -> None:
        """Puts the first half window of frames, reversed, before the first frame of lanes that only now have so many.

        Args:
            seen: (n, W - 1 + count, n_mels), changed in place. hops: (n,) that the lanes had heard before these.
        """
        before = hops - self._frame_delay
        begun = ((before < self._half) & (before + count >= self._half)).nonzero()[:, 0]
        if len(begun):
            first = self._transfers.up(2 * self._half - 1 - before[begun])[:, None]  # where frame 0 is
            lane, step = self._transfers.up(begun)[:, None], torch.arange(self._half, device=self._device)
            seen[lane, first - 1 - step] = seen[lane, first + step]

    def _rows(self, seen: Tensor, rows: Tensor) -> None:
        """Writes the row of each window of frames (n, T, n_mels), as `monitor.streaming.stream` has them: (n, T - W + 1, …)."""
        features, bands = self._features, self._features.n_mels
        windows = overlapping_windows(seen, features.window_frames)
        inputs = overlapping_windows(seen.to(self._type), features.window_frames)
        lanes, count, size = windows.shape
        step = max(1, self._portions.windows // lanes)
        for start in range(0, count, step):
            part = slice(start, start + step)
            # A single window of each lane is a view: then nothing is copied.
            reconstruction = self._model(inputs[:, part].reshape(-1, size))
            difference = reconstruction.float().view(lanes, -1, size).sub_(windows[:, part])
            rows[:, part, :bands], rows[:, part, bands : 2 * bands] = by_band(difference, bands)
        if self._width > 2 * bands:
            rows[..., 2 * bands : 3 * bands], rows[..., 3 * bands :] = frame_and_change(windows, features)
