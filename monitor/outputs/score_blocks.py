"""Blocks of a score history as bytes: the scores of successive decisions, with all that is needed to read them.

A score is stored as a multiple of the threshold that was in force, in steps on a logarithmic scale, 125,000 to a factor
of ten: to 1 part in 100,000. A score is above the threshold after reading if, and only if, it was before. A decision
takes about 2.5 bytes, of which the header of a block of a minute is 0.6.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.core.types import BoolArray, DoubleArray

MAGIC = b"\xf7SC1"
# Checksum of all that follows it; decisions, bytes of packed scores, number of the first decision, scores per decision;
# time of the first decision, hop, threshold, limit of the sum; whether it continues the block before; model.
HEADER = struct.Struct("<4sIHHII4d?16s")
LARGEST = 4096  # decisions in a block
STEPS = 1.25e5  # for each factor of ten
_ZERO = 1 << 22  # the code of scores just below the threshold; 23 bits are for the score
_TINY = 1e-30  # a threshold of 0 is exceeded by any score


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Scores of successive decisions, `per_decision` hops apart, all made with one model and the same limits."""

    time: float  # Unix time of the first decision
    number: int  # of the first decision, since the scores began
    continues: bool  # whether the decision before the first one is the last one of the block before
    per_decision: int
    hop_s: float
    threshold: float
    limit: float  # of the cumulative sum
    model_id: str
    score: DoubleArray  # (n,)
    held_back: BoolArray  # (n,) as in `monitor.core.events.Decisions`

    @property
    def step_s(self) -> float:
        """Seconds from one decision to the next."""
        return self.per_decision * self.hop_s

    @property
    def end(self) -> float:
        """The Unix time at which the next decision would be."""
        return self.time + len(self.score) * self.step_s


def as_bytes(block: Block) -> bytes:
    """A block as it stands in a file, of at most `LARGEST` decisions."""
    scale = max(block.threshold, _TINY)
    with np.errstate(divide="ignore"):
        steps = np.ceil(np.log10(np.maximum(block.score, 0.0) / scale) * STEPS)
    above = block.score > block.threshold
    steps = np.where(above, np.maximum(steps, 1), np.minimum(steps, 0))
    codes = (np.clip(steps, 1 - _ZERO, _ZERO - 1) + _ZERO).astype("<u4") | (block.held_back.astype("<u4") << 23)
    planes = codes.view(np.uint8).reshape(-1, 4)[:, 2::-1].T  # the first ones hardly change, and pack well
    packed = zlib.compress(planes.tobytes(), 9, wbits=-15)
    values = (
        len(codes), len(packed), block.number, block.per_decision, block.time, block.hop_s, block.threshold,
        block.limit, block.continues, block.model_id.encode("ascii", "replace"),
    )  # fmt: skip
    rest = HEADER.pack(MAGIC, 0, *values)[8:] + packed
    return MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest


def blocks_in(data: bytes) -> Iterator[Block]:
    """The blocks in the bytes of a file; what is torn or damaged is passed over."""
    at = data.find(MAGIC)
    while at >= 0:
        block, length = _block_at(data, at)
        if block is not None:
            yield block
        at = data.find(MAGIC, at + length)


def _block_at(data: bytes, at: int) -> tuple[Block | None, int]:
    """The block that begins at a position, and its length; None and 1 if it is no whole block."""
    if at + HEADER.size > len(data):
        return None, 1
    (_, checksum, count, size, number, per_decision, time, hop_s, threshold, limit, continues, model_id) = (
        HEADER.unpack_from(data, at)
    )
    end = at + HEADER.size + size
    if end > len(data) or zlib.crc32(memoryview(data)[at + 8 : end]) != checksum:
        return None, 1
    planes = np.frombuffer(zlib.decompress(data[at + HEADER.size : end], wbits=-15), np.uint8).reshape(3, count)
    codes = np.zeros((count, 4), np.uint8)
    codes[:, 2::-1] = planes.T
    values = codes.view("<u4")[:, 0]
    steps = (values & 0x7FFFFF).astype(np.float64) - _ZERO - 0.5
    score = max(threshold, _TINY) * np.exp(steps * (math.log(10.0) / STEPS))
    name = model_id.rstrip(b"\0").decode("ascii", "replace")
    held_back = (values >> 23).astype(bool)
    block = Block(time, number, continues, per_decision, hop_s, threshold, limit, name, score, held_back)
    return block, end - at
