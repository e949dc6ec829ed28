"""Recognises the recordings that a model was trained on, by short digests of their contents in its bundle."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

from train.data.feature_cache import Frames

DIGEST_BYTES = 6  # of each SHA-256: among 100,000 recordings, a wrong match of another has a chance of 1 in 3 billion
MOST = 200_000  # recordings of which digests are stored, so that a bundle's header stays below 2 MB


def stored_contents(recordings: Iterable[Frames]) -> str:
    """The digests of recordings as text."""
    digests = sorted({_short(frames) for frames in recordings})[:MOST]
    return base64.b64encode(b"".join(digests)).decode()


def known_recordings(recordings: Sequence[Frames], contents: object) -> list[Frames]:
    """Those of the recordings whose digests are stored.

    Args:
        recordings: recordings.
        contents: text of `stored_contents`; of anything else, as in bundles of older versions, nothing is known.
    """
    try:
        stored = base64.b64decode(contents, validate=True) if isinstance(contents, str) else b""
    except binascii.Error:
        stored = b""
    known = {stored[start : start + DIGEST_BYTES] for start in range(0, len(stored), DIGEST_BYTES)}
    return [frames for frames in recordings if _short(frames) in known]


def _short(frames: Frames) -> bytes:
    return bytes.fromhex(frames.digest)[:DIGEST_BYTES]
