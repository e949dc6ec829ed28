"""The live values of a stream as plain numbers and words, for the status and for other programs."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from monitor.core.events import CAUSES, Event
from monitor.core.snapshot import Snapshot


def stream_values(snapshot: Snapshot, *, spectrum: bool = False) -> dict[str, Any]:
    """The values of a stream for JSON; None where there is no number.

    Args:
        snapshot: its newest state.
        spectrum: whether to add the newest column of the spectrogram: `spectrum_db`, the mean mel power of each band
            in dB, with the bands' centres in `band_hz`.
    """
    values: dict[str, Any] = {
        "stream": snapshot.stream,
        "state": snapshot.state.value,
        "share_of_limit": number(snapshot.share_of_limit),
        "score": number(snapshot.score),
        "limit": number(snapshot.threshold),
        "error": number(snapshot.error),
        "error_limit": number(snapshot.error_threshold),
        "lasting": number(snapshot.lasting_sum),
        "level_dbfs": number(snapshot.level_dbfs),
        "position_s": number(snapshot.position_s),
        "not_heard_s": number(snapshot.lost_s),
        "uptime_s": number(snapshot.uptime_s),
        "processing_s": number(snapshot.processing_s),
        "load": number(snapshot.load),
        "clock_ppm": number(snapshot.clock_ppm),
        "anomalies": snapshot.anomalies,
        "source": snapshot.source,
        "model": snapshot.model,
        "model_id": snapshot.model_id,
        "precision": snapshot.precision,
        "limits_precision": snapshot.limits_precision,
        "note": snapshot.note,
        "limit_note": snapshot.threshold_note,
        "false_alarms": snapshot.false_alarms,
        "ended": snapshot.finished,
        "failure": snapshot.failure,
        "event": _ongoing(snapshot),
    }
    if spectrum:
        newest = snapshot.spectrogram[-1] if len(snapshot.spectrogram) else []
        values["spectrum_db"] = [number(float(value), 2) for value in newest]
        values["band_hz"] = [round(float(hz), 1) for hz in snapshot.band_hz]
    return values


# How the bands of `recent_slots` are coded: a byte for each, level in dB = LOWEST_DB + STEP_DB * byte.
LOWEST_DB, STEP_DB, NO_BAND = -120.0, 0.75, 255


def recent_slots(snapshot: Snapshot, after: int = -1) -> dict[str, Any]:
    """The history of the last minute of a stream for JSON: what a live chart draws, in slots of a tenth of a second.

    Args:
        snapshot: its newest state.
        after: only slots with higher numbers than this.

    Returns:
        `slot_s`, `first` (number of the first slot), for each slot the highest `score`, `error` and `share` (of the
        limit), None where there is none; `spectrogram`, base64 text of `bands` bytes a slot (LOWEST_DB, STEP_DB);
        `band_hz`; and `added`, what each band adds to the score now, as a share of its limit, negative where sound is
        missing.
    """
    count = len(snapshot.score_history)
    start = min(max(after + 1 - snapshot.first_slot, 0), count)
    if after >= snapshot.first_slot + count:  # of a stream that has begun anew
        start = 0
    spectrogram = snapshot.spectrogram[start:]
    coded = np.rint((np.maximum(spectrogram, LOWEST_DB) - LOWEST_DB) / STEP_DB)
    octets = np.where(np.isfinite(coded), np.minimum(coded, NO_BAND - 1), NO_BAND).astype(np.uint8)
    unit = snapshot.threshold if 0 < snapshot.threshold < math.inf else 1.0
    return {
        "slot_s": snapshot.slot_s,
        "first": snapshot.first_slot + start,
        "score": [number(float(value), 5) for value in snapshot.score_history[start:]],
        "error": [number(float(value), 6) for value in snapshot.error_history[start:]],
        "share": [number(float(value), 4) for value in snapshot.share_history[start:]],
        "bands": len(snapshot.band_hz),
        "spectrogram": base64.b64encode(octets.tobytes()).decode("ascii"),
        "band_hz": [round(float(hz), 1) for hz in snapshot.band_hz],
        "added": [number(float(value) / unit, 4) for value in snapshot.band_contribution],
    }


def _ongoing(snapshot: Snapshot) -> dict[str, Any] | None:
    """The anomaly that lasts; else the newest other event that does; None if there is none."""
    lasting = [event for event in snapshot.events if event.end_s is None]
    anomalies = [event for event in lasting if event.kind == "anomaly"]
    return _event((anomalies or lasting)[-1]) if lasting else None


def _event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "kind": event.kind,
        "began": round(event.wall_time, 3),
        "cause": CAUSES.get(event.cause, event.cause),
        "bands": [[round(band.low_hz, 1), round(band.high_hz, 1), band.change] for band in event.bands],
    }


def number(value: float | None, digits: int = 6) -> float | None:
    """The value with so many digits behind the point; None if it is not a number."""
    return None if value is None or not math.isfinite(value) else round(float(value), digits)
