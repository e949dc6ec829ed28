"""Checks that all the sound that a file's header states is there, and finds the end of sound whose size it does not.

libsndfile takes what it finds: of a file that was cut off it reads the rest, and of one whose header states too little
it reads only a part, both without a message.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import soundfile

from monitor.audio.containers import ChunkFormat, Encoding, SampleChunk, chunks_from, file_length, sample_chunk
from monitor.audio.mpeg_frames import mp3_seconds
from monitor.audio.opening import binary_file, sound_file
from monitor.audio.remote_recording import RemoteRecording
from monitor.core.errors import DataError

# Sizes in 32 bits that programs write while they do not know the size, besides 0: about 2 GiB, and about 4 GiB.
UNKNOWN_SIZES = (range(0x7FFF_0000, 0x8000_0100), range(0xFFFF_F000, 0x1_0000_0000))
WRAP = 2**32  # a size in 32 bits is what remains of the true size after a division by this
# Chunks that programs write after the samples. They do not matter, so neither does an error in their size.
AFTER_SAMPLES = frozenset(
    (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"smpl", b"inst", b"PEAK", b"fact", b"JUNK", b"junk",
     b"FLLR", b"PAD ", b"_PMX", b"axml", b"chna", b"afsp", b"NAME", b"AUTH", b"(c) ", b"ANNO", b"MARK", b"COMT",
     b"APPL", b"INST", b"info", b"free")
)  # fmt: skip
SOUND = (b"data", b"SSND", b"RIFF", b"RIFX", b"RF64", b"FORM")  # chunks of more sound, as of another file appended
TAGS = (b"ID3", b"TAG", b"APE")  # how tags at the end of a file begin that are not chunks
OGG_HEADER = 27  # bytes of a page before its table of segments
OGG_FIELDS = struct.Struct("<5xB8xII4xB")  # flags, number of the stream, number of the page, size of the table
MP3_TOLERANCE = 4096  # bytes that the size in an mp3 file's header may be too large: encoders count differently
MP3_DIFFERENCE_S = 0.5  # by which the counted length may exceed the one that is read: encoders add silence
MAX_PADDING = 1 << 20  # bytes of zeros after the samples that fill a block of the disk


@dataclass(frozen=True, slots=True)
class RawSamples:
    """Samples that have to be read without the file's header, because that states a wrong size."""

    encoding: Encoding
    start: int  # position of the first sample
    size: int  # bytes, whole frames


def check_complete(path: Path | RemoteRecording) -> RawSamples | None:
    """Checks that a sound file is complete, as far as its format tells.

    Args:
        path: a file.

    Returns:
        the samples, if they are all there but the header states a wrong size or none: a recorder was stopped before it
        could complete the header, or the size exceeds 4 GiB. None if libsndfile reads the file as it is.

    Raises:
        DataError: if sound is missing, or if the size cannot be determined.
        OSError: if the file cannot be read.
    """
    with binary_file(path) as file:
        samples = sample_chunk(file)
        if samples is not None:
            return _check_samples(path, file, samples)
        file.seek(0)
        head = file.read(4)
        if head == b"OggS":
            _check_ogg(path, file)
        elif head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
            _check_mp3(path, file)
    return None


def _check_samples(path: Path | RemoteRecording, file: BinaryIO, samples: SampleChunk) -> RawSamples | None:
    encoding, stated = samples.encoding, samples.stated
    length = file_length(file)
    present = max(0, length - samples.start)
    if 0 < stated - present < encoding.frame_bytes:
        return None
    possible = range(stated, present + 1, WRAP) if samples.size_bits == 32 else range(stated, min(stated, present) + 1)
    size = next((size for size in possible if _explains_rest(file, samples, samples.start + size, length)), None)
    if size is None:
        if not _is_unknown(samples):
            raise DataError(f"{path}: {_wrong_size(samples, present)}")
        size = present
    if size == stated:
        return None
    if encoding.subtype is None:
        raise DataError(
            f"{path}: its header was never completed, and {present} bytes of compressed sound follow it: "
            "convert it to wav with a program that ignores the size in the header."
        )
    return RawSamples(encoding, samples.start, size - size % encoding.frame_bytes)


def _is_unknown(samples: SampleChunk) -> bool:
    """Whether the stated size is one that means that it was not known."""
    if samples.size_bits == 64:
        return samples.stated == 0 or samples.stated >= 2**63
    return samples.stated == 0 or any(samples.stated in sizes for sizes in UNKNOWN_SIZES)


def _wrong_size(samples: SampleChunk, present: int) -> str:
    """What is wrong if the stated size is neither right nor unknown."""
    encoding, stated = samples.encoding, samples.stated
    bytes_per_s = encoding.sample_rate * encoding.frame_bytes if encoding.subtype else 0
    if stated > present:
        extent = f" ({present / bytes_per_s:.1f} of {stated / bytes_per_s:.1f} s are there)" if bytes_per_s else ""
        return f"is cut off: {stated - present} bytes are missing according to its header{extent}; copy it again."
    more = present - stated
    extent = f" (about {more / bytes_per_s:.1f} s after {stated / bytes_per_s:.1f} s)" if bytes_per_s else ""
    return (
        f"its header does not account for the last {more} bytes{extent}: if they are sound, repair the "
        "header with a program that ignores the size in it (sox --ignore-length); otherwise remove them."
    )


def _explains_rest(file: BinaryIO, samples: SampleChunk, end: int, length: int) -> bool:
    """Whether what follows the position `end` is not sound: nothing, chunks, a tag, or zeros that fill a block."""
    if end > length:
        return False
    # Some programs forget the byte that aligns a chunk.
    positions = {end} if samples.chunks is None else {end, samples.chunks.after(end)}
    return any(_is_no_sound(file, position, length, samples.chunks) for position in positions)


def _is_no_sound(file: BinaryIO, position: int, length: int, form: ChunkFormat | None) -> bool:
    if length - position < 8:  # less than the header of a chunk
        return True
    file.seek(position)
    if file.read(3) in TAGS:
        return True
    if form is not None:
        for chunk in chunks_from(file, position, form):
            if chunk.name in AFTER_SAMPLES:
                return True
            plausible = chunk.name not in SOUND and all(32 <= byte < 127 for byte in chunk.name)
            if not plausible or chunk.start + chunk.size > length:
                break
            if length - form.after(chunk.start + chunk.size) < 8:
                return True
    file.seek(position)
    return length - position <= MAX_PADDING and not file.read().strip(b"\0")


def _check_ogg(path: Path | RemoteRecording, file: BinaryIO) -> None:
    """Checks that all pages are there, the last one marked as the end of its stream, and that no other stream follows.

    libsndfile reads only the first of several streams that follow each other.
    """
    last: _OggPage | None = None
    next_number: dict[int, int] = {}  # by stream
    length = file_length(file)
    for page in _ogg_pages(file):
        if page.first and last is not None and last.last:
            raise DataError(
                f"{path}: consists of several recordings one after another: divide it, or convert it to wav or flac."
            )
        complete = page.end <= length and next_number.get(page.stream, page.number) == page.number
        next_number[page.stream] = page.number + 1
        last = page
        if not complete:
            last = None
            break
    if last is None or not last.last:
        raise DataError(
            f"{path}: is cut off, or its recorder was stopped: {_seconds_there(path)} are there, and the rest is "
            "missing; copy it again, or if that is all there is, complete it (ffmpeg -i OLD.ogg -c copy NEW.ogg)."
        )


@dataclass(frozen=True, slots=True)
class _OggPage:
    first: bool  # of its stream
    last: bool
    stream: int
    number: int
    end: int  # position after the page


def _ogg_pages(file: BinaryIO) -> Iterator[_OggPage]:
    position = 0
    while True:
        file.seek(position)
        header = file.read(OGG_HEADER + 255)
        if len(header) < OGG_HEADER or header[:4] != b"OggS":
            return
        flags, stream, number, segments = OGG_FIELDS.unpack_from(header)
        sizes = header[OGG_HEADER : OGG_HEADER + segments]
        position += OGG_HEADER + segments + sum(sizes)
        yield _OggPage(bool(flags & 2), bool(flags & 4), stream, number, position)


def _seconds_there(path: Path | RemoteRecording) -> str:
    try:
        with sound_file(path) as sound:
            return f"{sound.frames / sound.samplerate:.1f} s"
    except (soundfile.SoundFileError, OSError):
        return "an unknown part"


def _check_mp3(path: Path | RemoteRecording, file: BinaryIO) -> None:
    """Checks the size in the header of the first frame (Xing, Info), or counts the frames if there is none."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3":  # a tag; its size has seven bits in each byte
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(512)
    at = max(frame.find(b"Xing", 0, 64), frame.find(b"Info", 0, 64))
    if at < 0:
        _check_mp3_length(path, mp3_seconds(file, start))
        return
    if not frame[at + 7] & 2:
        return
    field = at + 8 + 4 * (frame[at + 7] & 1)
    stated, present = int.from_bytes(frame[field : field + 4]), file_length(file) - start
    if stated > present + MP3_TOLERANCE:
        raise DataError(
            f"{path}: is cut off: {stated - present} of {stated} bytes are missing according to its header; "
            "copy it again."
        )


def _check_mp3_length(path: Path | RemoteRecording, seconds: float) -> None:
    """Checks that libsndfile reads an mp3 file to its end: without an index it takes the bit rate for constant."""
    with contextlib.suppress(soundfile.SoundFileError), sound_file(path) as sound:
        readable = sound.frames / sound.samplerate
        if readable < seconds - MP3_DIFFERENCE_S:
            raise DataError(
                f"{path}: only {readable:.1f} of {seconds:.1f} s can be read, because this mp3 file has a variable bit "
                "rate and no index: convert it to wav or flac."
            )
