"""The input of one stream: the ring of its source, and how much of what is in it may be read."""

from __future__ import annotations

import logging
import math
import time

from monitor.audio.bandwidth import narrow_note
from monitor.config.schema import Features
from monitor.core.types import FloatArray
from monitor.sources.preprocess import Chunk, Preprocessor
from monitor.sources.source import Source
from monitor.sources.stream_health import StreamHealth
from monitor.streaming.hops import HopCutter

LOOK = -1  # see `StreamInput.ready`
LIVE_CHUNK_S = 0.5  # most sound read at once up to twice real time: short, so that the dashboard is up to date
FAST_CHUNK_S = 4.0  # most sound read at once in a faster replay
LONG_CHUNK_S = 22.0  # the same where memory allows it: much of what a turn costs does not depend on its length
RESAMPLING_HOPS = 2  # by so many a resampler gives fewer at times, and more later
DELIVERY_S = 0.0003  # after so long without a further block, a delivery of the device is complete

log = logging.getLogger(__name__)


class StreamInput:
    """Reads the samples of a source, and cuts them into whole hops. `health` finds interruptions of a live source.

    Args:
        source: the source.
        features: settings of the frames.
        portion_s: seconds of live sound that are read at a time.
        long_chunks: whether more sound of a fast replay may be read at once: there is no other stream that needs memory
            for as much, and no sink that keeps the last seconds of sound until it hears of an event in them.
    """

    def __init__(self, source: Source, features: Features, portion_s: float, *, long_chunks: bool) -> None:
        self._source, self._features, self._hop = source, features, features.hop_length
        self._fast_s = LONG_CHUNK_S if long_chunks else FAST_CHUNK_S
        self._scored_before = self._discarded_before = 0  # samples of earlier rings, before the source was reopened
        self._scored_before_s = self._discarded_before_s = 0.0  # the same in seconds: rings may differ in sample rate
        self.cutter = HopCutter(self._hop)
        self.arrived = 0.0  # when the last of the samples arrived that were read last, on the monotonic clock
        self._wanted_s, self._phase = portion_s, 0.0
        self._attach()
        self.health = StreamHealth(source, self.preprocessor) if source.live else None

    @property
    def captured(self) -> int:
        """The number of samples that the source has written."""
        return self.scored + self.discarded + self.preprocessor.waiting

    @property
    def scored(self) -> int:
        """The number of captured samples that have been passed on to be scored."""
        return self._scored_before + self.preprocessor.scored

    @property
    def discarded(self) -> int:
        """The number of captured samples that are not scored: lost samples, and silence."""
        return self._discarded_before + self.preprocessor.discarded

    @property
    def captured_s(self) -> float:
        """Seconds of sound that the source has written, also at several sample rates."""
        rest_s = (self.preprocessor.discarded + self.preprocessor.waiting) / self.ring_rate
        return self.scored_s + self._discarded_before_s + rest_s

    @property
    def scored_s(self) -> float:
        """Seconds of captured sound that have been passed on to be scored."""
        return self._scored_before_s + self.preprocessor.scored / self.ring_rate

    @property
    def undisturbed(self) -> bool:
        """Whether there is no interruption, and all samples may be read."""
        return self.health is None or self.health.undisturbed

    @property
    def passes_on(self) -> bool:
        """Whether the next hops are scored as they are in the ring."""
        return self.undisturbed and self.preprocessor.passes_on and not len(self.cutter.remainder)

    @property
    def newest_s_ago(self) -> float:
        """How old the newest sample is that was passed on, in seconds; of a device that delivers without delay."""
        waiting_s = self.preprocessor.waiting / self.ring_rate
        return time.monotonic() - (self.reader.written_at or time.monotonic()) + waiting_s

    def use_portions(self, seconds: float) -> None:
        """Reads as much of live sound at a time from now on, in whole hops; less only if no more follows."""
        self._wanted_s = seconds
        hop = self._features.hop_s * self.ring_rate  # in samples of the ring
        hops = self.portion_hops = max(1, round(seconds / self._features.hop_s)) if self._source.live else 1
        self.portion_s = hops * self._features.hop_s
        self._least = math.ceil(hop)
        self._portion = max(1, round(hops * hop)) if self._source.live else 1  # in samples of the ring
        self._first = round(int(self._phase * hops) * hop)  # where one begins
        most_s = LIVE_CHUNK_S if self._source.speed <= 2 else self._fast_s
        self._chunk = max(self._portion, int(most_s * self.ring_rate))

    def read_next(self, hops: int) -> None:
        """Reads this many hops of live sound next, as soon as they are there, or LIVE_CHUNK_S of it if that is less."""
        features = self._features
        if self.ring_rate != features.sample_rate:
            hops += RESAMPLING_HOPS
        hops = max(1, min(hops, int(LIVE_CHUNK_S / features.hop_s + 1e-6)))
        seconds = hops * features.hop_s - len(self.cutter.remainder) / features.sample_rate
        count = math.ceil(seconds * self.ring_rate - 1e-6)
        self._least = min(math.ceil(features.hop_s * self.ring_rate), count)
        self._portion, self._first = self._chunk, (self.reader.read + count) % self._chunk

    def use_phase(self, phase: float) -> None:
        """Makes portions begin at another time: a share of a portion later, 0 to 1, than those of phase 0."""
        self._phase = phase
        self.use_portions(self._wanted_s)

    def portion_at(self) -> float:
        """When the next portion is expected to be there, on the monotonic clock; 0 if it is there."""
        reader, ring = self.reader, self.reader.ring
        begun = (written := ring.written) - self._begin(written)
        if written - begun - reader.read >= self._least:
            return 0.0
        return ring.written_at + (self._portion - begun) / self.ring_rate

    def _begin(self, at: int) -> int:
        """Where the portion begins that a position in the ring is in."""
        return at - (at - self._first) % self._portion

    def reopen(self) -> bool:
        """Begins to read the new ring of a source that was reopened; returns whether it was."""
        if self._source.reader is self.reader or self._source.lost_since is not None:
            return False
        self.preprocessor.discard()
        self._scored_before, self._discarded_before = self.scored, self.discarded
        self._discarded_before_s = self.captured_s - self.scored_s
        self._scored_before_s = self.scored_s
        self._attach()
        return True

    def ready(self, now: float) -> int:
        """How many whole hops can be read that are scored as they are in the ring, as long as `passes_on`.

        Returns:
            0 if there are none yet; LOOK if the source has something to say first.
        """
        source, reader = self._source, self.reader
        if source.reader is not reader:
            return LOOK
        ring = reader.ring
        if self.health is not None and now - ring.written_at < DELIVERY_S:
            return 0
        available = reader.available
        if marks := source.marks:
            available = min(available, marks[0].index - reader.read)
            if available < self._hop:
                return LOOK
        elif now - ring.written_at < self.portion_s:
            available = self._begin(reader.read + available) - reader.read  # negative if that has been read already
        return max(0, min(available, self._chunk)) // self._hop

    def limit(self, now: float) -> int:
        """How many samples of the ring are to be read now, up to the next mark; 0 if more have to come first."""
        # In this order: a mark is set before what follows it is written, which must not be taken without it.
        reader, available, marks = self.reader, self.reader.available, self._source.marks
        limit = min(self._chunk, marks[0].index - reader.read) if marks else self._chunk
        if self.health is not None and self.health.held_from is not None:
            limit = min(limit, self.health.held_from - reader.read)
        # The end of a silence is noticed at once, and what has come last is not waited for.
        alone = self.preprocessor.holds_back or now - reader.written_at >= self.portion_s
        if available < limit and not alone:
            available = self._begin(reader.read + available) - reader.read
        if available < min(self._least, limit) or (self._source.live and now - reader.written_at < DELIVERY_S):
            return 0
        limit = min(limit, available)
        if self.preprocessor.passes_on:  # up to the end of a hop, from where on all that comes can be read in hops
            begun = len(self.cutter.remainder)
            limit = max(0, (limit + begun) // self._hop * self._hop - begun) or limit
        return limit

    def take(self, limit: int) -> Chunk:
        """Reads the next samples, at most `limit` of the ring."""
        chunk = self.preprocessor.take(limit)
        self.arrived = self.reader.written_at - self.reader.available / self.ring_rate
        return chunk

    def take_rest(self) -> Chunk:
        """Reads all samples that may be read."""
        held_from = None if self.health is None else self.health.held_from
        return self.take(self.reader.available if held_from is None else held_from - self.reader.read)

    def flush(self) -> FloatArray:
        """Ends the sound: returns the hops (m · hop_length,) that are whole with what the resampler still holds."""
        return self.cutter.push(self.preprocessor.flush())

    def reset(self) -> None:
        """Restarts, because a gap follows."""
        self.preprocessor.reset()
        self.cutter.reset()

    def wait(self, timeout_s: float) -> bool:
        """Waits until a portion of a live source is there, or for `timeout_s`.

        Returns:
            whether it has waited: False if there was a portion already.
        """
        if not self.portion_at():
            return False
        ring = self.reader.ring
        ring.wait(self._begin(ring.written) + self._portion, timeout_s)
        if not self.portion_at():
            time.sleep(max(0.0, ring.written_at + DELIVERY_S - time.monotonic()))
        return True

    def _attach(self) -> None:
        """Begins to read the present ring of the source."""
        source = self._source
        self.reader = source.reader
        rate = source.sample_rate
        self.preprocessor = Preprocessor(self.reader, rate, self._features.sample_rate, hold_silence=source.live)
        self.ring_rate = self.preprocessor.ring_rate  # in Hz
        self.use_portions(self._wanted_s)
        if note := narrow_note(rate, self._features):
            log.warning("%s: %s: scores are not comparable with the limit.", source.name, note)
