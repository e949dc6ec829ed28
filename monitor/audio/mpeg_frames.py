"""The length of an mp3 file, counted frame by frame, because a file of variable bit rate need not state it."""

from __future__ import annotations

from typing import BinaryIO

BLOCK = 1 << 20  # bytes that are read at once
BIT_RATES = (  # kbit/s by index, of MPEG 1 and of MPEG 2 and 2.5 (ISO 11172-3 and 13818-3, layer III)
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz, by version


def mp3_seconds(file: BinaryIO, start: int) -> float:
    """Counts the seconds of sound in the frames of an mp3 file.

    Args:
        file: the file.
        start: position of the first frame in bytes.

    Returns:
        seconds up to the first bytes that are no frame, such as a tag at the end; 0 if there is none at `start`.
    """
    file.seek(start)
    seconds, content, at = 0.0, b"", 0
    while True:
        if len(content) - at < 4:
            content, at = content[at:] + file.read(BLOCK), 0
        size, length_s = _frame(content[at : at + 4])
        if not size:
            return seconds
        seconds += length_s
        at += size
        if at > len(content):
            file.seek(at - len(content), 1)
            content, at = b"", 0


def _frame(header: bytes) -> tuple[int, float]:
    """Size in bytes and length in seconds of the frame with this header; (0, 0) if it is none of layer III."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0, 0.0
    version, rate_index, bit_index = header[1] >> 3 & 3, header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or rate_index == 3 or bit_index in (0, 15):
        return 0, 0.0
    rate, first = SAMPLE_RATES[version][rate_index], version == 3
    samples = 1152 if first else 576
    size = samples // 8 * 1000 * BIT_RATES[0 if first else 1][bit_index] // rate + (header[2] >> 1 & 1)
    return size, samples / rate
