"""Where the samples are in a file of uncompressed sound: parses the headers of RIFF, RF64, W64, AIFF, AU and CAF."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

MAX_CHUNKS = 10_000  # chunks before the samples; damaged headers can have more
MAX_DESCRIPTION = 1024  # bytes that are read of a chunk that describes the samples

Endian = Literal["LITTLE", "BIG"]


@dataclass(frozen=True, slots=True)
class ChunkFormat:
    """How a container writes chunks: an identifier, the size of the content, and the content."""

    id_bytes: int
    size_format: str  # of `struct`
    counts_header: bool = False  # whether the size includes identifier and size
    alignment: int = 2  # of the next chunk, in bytes

    @property
    def header_bytes(self) -> int:
        """The length of identifier and size."""
        return self.id_bytes + struct.calcsize(self.size_format)

    def after(self, end: int) -> int:
        """The position of the chunk after content that ends at position `end`."""
        return -(-end // self.alignment) * self.alignment


RIFF_CHUNKS = ChunkFormat(4, "<I")
BIG_ENDIAN_CHUNKS = ChunkFormat(4, ">I")  # of AIFF and RIFX
W64_CHUNKS = ChunkFormat(16, "<Q", counts_header=True, alignment=8)
CAF_CHUNKS = ChunkFormat(4, ">Q", alignment=1)

# Identifiers in W64 are GUIDs, whose first four characters are those of RIFF.
_W64_FILE, _W64_CHUNK = bytes.fromhex("2e91cf11a5d628db04c10000"), bytes.fromhex("f3acd3118cd100c04f8edb8a")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The header of a chunk."""

    name: bytes  # without the rest of a GUID
    start: int  # position of the content
    size: int  # of the content in bytes, as stated


@dataclass(frozen=True, slots=True)
class Encoding:
    """How samples are encoded."""

    sample_rate: int
    channels: int
    frame_bytes: int  # length of one sample of all channels; 1 if samples are compressed
    subtype: str | None  # soundfile's name; None if samples are compressed
    endian: Endian


@dataclass(frozen=True, slots=True)
class SampleChunk:
    """The samples of a file, according to its header."""

    encoding: Encoding
    start: int  # position of the first sample
    stated: int  # their length in bytes
    size_bits: int  # of the field that states it: 32 or 64
    chunks: ChunkFormat | None  # of the chunks that can follow; None if the samples are the rest of the file


def sample_chunk(file: BinaryIO) -> SampleChunk | None:
    """Finds the samples of a file of uncompressed sound; None if it is in another format, or its header is damaged."""
    file.seek(0)
    head = file.read(40)
    try:
        if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
            return _wave(file, BIG_ENDIAN_CHUNKS if head[:4] == b"RIFX" else RIFF_CHUNKS, 12)
        if head[:16] == b"riff" + _W64_FILE and head[24:28] == b"wave":
            return _wave(file, W64_CHUNKS, 40)
        if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            return _aiff(file, compressed=head[8:12] == b"AIFC")
        if head[:4] in (b".snd", b"dns."):
            return _au(head, "BIG" if head[:4] == b".snd" else "LITTLE")
        if head[:4] == b"caff":
            return _caf(file)
    except (struct.error, ValueError, ArithmeticError):
        pass
    return None


def chunks_from(file: BinaryIO, position: int, form: ChunkFormat) -> Iterator[Chunk]:
    """The headers of the chunks from a position on, up to one that does not begin within the file."""
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        header = file.read(form.header_bytes)
        if len(header) < form.header_bytes:
            return
        (size,) = struct.unpack(form.size_format, header[form.id_bytes :])
        start = position + form.header_bytes
        size = max(0, size - form.header_bytes) if form.counts_header else size
        yield Chunk(header[:4], start, size)
        position = form.after(start + size)


def file_length(file: BinaryIO) -> int:
    """The length of a file in bytes."""
    return file.seek(0, os.SEEK_END)


def _content(file: BinaryIO, chunk: Chunk) -> bytes:
    file.seek(chunk.start)
    return file.read(min(chunk.size, MAX_DESCRIPTION))


def _wave(file: BinaryIO, form: ChunkFormat, position: int) -> SampleChunk | None:
    encoding, long_size = None, None
    for chunk in chunks_from(file, position, form):
        if chunk.name == b"ds64":
            long_size = struct.unpack_from("<Q", _content(file, chunk), 8)[0]
        elif chunk.name == b"fmt ":
            encoding = _wave_encoding(_content(file, chunk), "BIG" if form is BIG_ENDIAN_CHUNKS else "LITTLE")
        elif chunk.name == b"data" and encoding is not None:
            if long_size is not None and chunk.size == 0xFFFF_FFFF:
                return SampleChunk(encoding, chunk.start, long_size, 64, form)
            return SampleChunk(encoding, chunk.start, chunk.size, 8 * struct.calcsize(form.size_format), form)
    return None


def _wave_encoding(content: bytes, endian: Endian) -> Encoding:
    order = ">" if endian == "BIG" else "<"
    tag, channels, rate, _, frame_bytes, _ = struct.unpack_from(f"{order}HHIIHH", content)
    if tag == 0xFFFE:  # extensible: the tag is at the beginning of a GUID
        (tag,) = struct.unpack_from(f"{order}H", content, 24)
    by_width = {
        1: {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"},
        3: {4: "FLOAT", 8: "DOUBLE"},
        6: {1: "ALAW"},
        7: {1: "ULAW"},
    }
    return _encoding(rate, channels, frame_bytes // channels, by_width.get(tag, {}), endian)


def _aiff(file: BinaryIO, *, compressed: bool) -> SampleChunk | None:
    encoding: Encoding | None = None
    samples: Chunk | None = None
    for chunk in chunks_from(file, 12, BIG_ENDIAN_CHUNKS):
        if chunk.name == b"COMM":
            encoding = _aiff_encoding(_content(file, chunk), compressed=compressed)
        elif chunk.name == b"SSND":
            samples = chunk
        if encoding is not None and samples is not None:
            file.seek(samples.start)
            (skipped,) = struct.unpack(">I4x", file.read(8))
            begin = 8 + skipped
            return SampleChunk(encoding, samples.start + begin, max(0, samples.size - begin), 32, BIG_ENDIAN_CHUNKS)
    return None


def _aiff_encoding(content: bytes, *, compressed: bool) -> Encoding:
    channels, _, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", content)
    rate = math.ldexp(mantissa, (exponent & 0x7FFF) - 16383 - 63)  # an 80-bit floating-point number
    kind = content[18:22] if compressed else b"NONE"
    integers = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
    by_kind = {b"fl32": {4: "FLOAT"}, b"fl64": {8: "DOUBLE"}, b"alaw": {1: "ALAW"}, b"ulaw": {1: "ULAW"}}
    by_kind |= dict.fromkeys((b"none", b"twos", b"sowt", b"in24", b"in32"), integers)
    by_width = by_kind.get(kind.lower(), {})
    width = 1 if kind.lower() in (b"alaw", b"ulaw") else (bits + 7) // 8
    return _encoding(round(rate), channels, width, by_width, "LITTLE" if kind == b"sowt" else "BIG")


def _au(head: bytes, endian: Endian) -> SampleChunk:
    start, stated, code, rate, channels = struct.unpack_from((">" if endian == "BIG" else "<") + "5I", head, 4)
    known = {
        1: (1, "ULAW"), 2: (1, "PCM_S8"), 3: (2, "PCM_16"), 4: (3, "PCM_24"), 5: (4, "PCM_32"),
        6: (4, "FLOAT"), 7: (8, "DOUBLE"), 27: (1, "ALAW"),
    }  # fmt: skip
    width, subtype = known.get(code, (0, ""))
    return SampleChunk(_encoding(rate, channels, width, {width: subtype}, endian), start, stated, 32, None)


def _caf(file: BinaryIO) -> SampleChunk | None:
    encoding = None
    for chunk in chunks_from(file, 8, CAF_CHUNKS):
        if chunk.name == b"desc":
            encoding = _caf_encoding(_content(file, chunk))
        elif chunk.name == b"data" and encoding is not None:
            unknown = chunk.size == 2**64 - 1
            return SampleChunk(encoding, chunk.start + 4, chunk.size if unknown else chunk.size - 4, 64, CAF_CHUNKS)
    return None


def _caf_encoding(content: bytes) -> Encoding:
    rate, kind, flags, packet, _, channels, _ = struct.unpack_from(">d4sIIIII", content)
    integers, floats = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}, {4: "FLOAT", 8: "DOUBLE"}
    by_kind = {b"lpcm": floats if flags & 1 else integers, b"alaw": {1: "ALAW"}, b"ulaw": {1: "ULAW"}}
    return _encoding(round(rate), channels, packet // channels, by_kind.get(kind, {}), "LITTLE" if flags & 2 else "BIG")


def _encoding(rate: int, channels: int, width: int, by_width: dict[int, str], endian: Endian) -> Encoding:
    """An encoding with `width` bytes a sample; `by_width` has the subtypes of the uncompressed ones."""
    if channels < 1:
        raise ValueError("no channels")
    subtype = by_width.get(width) or None
    return Encoding(rate, channels, channels * width if subtype else 1, subtype, endian)
