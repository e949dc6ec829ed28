"""Takes pieces out of the running sound of a stream at random moments, if all was normal while they lasted."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import numpy as np

from monitor.audio.writer import as_int16
from monitor.bundle.bundle import Bundle
from monitor.clips.memory import Int16Array
from monitor.core.events import ScoreRows, State
from monitor.core.types import FloatArray
from monitor.normal_sound.pieces import PIECE_S
from monitor.scoring.scorer import rolling_length

DENSE_S = 3600.0  # of sound at first, in which pieces are taken more often, so that there are some soon
DENSER = 5.0  # by this factor


@dataclass(slots=True)
class TakenPiece:
    """A piece of sound and what was found in it; `complete` says whether the sound is all there.

    Attributes:
        first: number of its first frame in its recording.
        samples: (n,) at the sample rate of the model.
        frames: power mel frames (t, n_mels) of consecutive parts of it.
        share: highest share of the alarm's limit; NaN if there were no decisions.
        began: Unix time of its first sample.
    """

    first: int
    samples: Int16Array
    filled: int = 0
    frames: list[FloatArray] = field(default_factory=list)
    share: float = math.nan
    began: float = math.nan

    @property
    def complete(self) -> bool:
        """Whether the sound is all there."""
        return self.filled == len(self.samples)


class PieceTaker:
    """Decides when a piece is taken, and collects it. It is told of everything on the engine's thread, and is quick.

    The distances between pieces are random (exponentially distributed), so pieces do not keep step with the machine.
    Time is that of the sound, not the clock's, so a fast replay takes as many. A piece in which anything but NORMAL is
    found is given up, and the next moment is drawn: the pieces show how often the machine runs in which way.

    Args:
        bundle: the model of the stream.
        every_s: mean time from the beginning of a piece to that of the next.
        seed: of the random moments; None: another one each time.
    """

    def __init__(self, bundle: Bundle, every_s: float, *, seed: int | None = None) -> None:
        features = bundle.config.features
        self.dense = True  # whether the first hour counts as such
        self._rate, self._hop, self._hop_s = features.sample_rate, features.hop_length, features.hop_s
        self._frames = round(PIECE_S / features.hop_s)  # of a piece
        self._every_s, self._random = every_s, random.Random(seed)
        self.heard_s = 0.0  # seconds of sound so far
        self._segment = self._position = 0  # frame at which the segment begins; samples since then
        self._normal = False  # by the newest scores
        self._open: set[str] = set()  # events that last and are no anomalies
        self._piece: TakenPiece | None = None
        self._due_s = 0.0  # the sound's time at which the next piece is due
        self.use_model(bundle)
        self._draw()

    def use_model(self, bundle: Bundle) -> None:
        """The sound is scored by another model from now on, with the same frames."""
        features = bundle.config.features
        # So many frames later, all means that contain the end of the piece have been scored.
        self._after = rolling_length(bundle.config.score, features) + features.window_frames
        self._give_up()

    def segment(self, first: int) -> None:
        """Sound begins that does not continue the samples so far."""
        self._give_up()
        self._segment, self._position, self._normal = first, 0, False

    def samples(self, samples: FloatArray) -> None:
        """Adds samples (n,) to a piece, or begins one that is due."""
        begun = self._position
        self._position += len(samples)
        self.heard_s += len(samples) / self._rate
        if self._piece is None and self.heard_s >= self._due_s:
            if self._normal and not self._open:
                first = self._segment + math.ceil(begun / self._hop)
                self._piece = TakenPiece(first, np.empty(self._frames * self._hop, np.int16))
            else:
                self._draw()
        if (piece := self._piece) is not None and not piece.complete:
            wanted = (piece.first - self._segment) * self._hop + piece.filled  # position of the next sample of it
            part = samples[wanted - begun :][: len(piece.samples) - piece.filled]
            piece.samples[piece.filled : piece.filled + len(part)] = as_int16(part)
            piece.filled += len(part)

    def frames(self, first: int, power: FloatArray) -> None:
        """Adds the frames (t, n_mels) from number `first` on that belong to the piece."""
        if (piece := self._piece) is not None:
            start, stop = max(0, piece.first - first), piece.first + self._frames - first
            if stop > start and start < len(power):
                piece.frames.append(power[start:stop].copy())

    def interrupted(self, event_id: str, *, lasts: bool) -> None:
        """Gives the piece up because of an event; none begins as long as it lasts."""
        (self._open.add if lasts else self._open.discard)(event_id)
        self._give_up()

    def scores(self, rows: ScoreRows) -> TakenPiece | None:
        """Checks whether all is normal; returns the piece as soon as all scores that contain it are known to be."""
        # The state is that after the last row: in between it was WARNING if a score was above the threshold.
        self._normal = rows.state is State.NORMAL and bool((rows.score <= rows.threshold).all())
        if not self._normal:
            self._give_up()
        piece, stop = self._piece, rows.first + len(rows.score)
        if piece is None or stop <= piece.first:
            return None
        within = rows.share[max(0, piece.first - rows.first) :]
        piece.share = float(np.fmax.reduce(within, initial=piece.share))
        if not piece.complete or stop < piece.first + self._frames + self._after:
            return None
        piece.began = rows.wall_time + (piece.first - rows.first) * self._hop_s
        self._give_up()
        return piece

    def _give_up(self) -> None:
        if self._piece is not None:
            self._piece = None
            self._draw()

    def _draw(self) -> None:
        """Draws the moment of the next piece."""
        dense = self.dense and self.heard_s < DENSE_S
        mean_s = max(self._every_s / (DENSER if dense else 1.0) - PIECE_S, 0.1)
        self._due_s = self.heard_s + self._random.expovariate(1 / mean_s)
