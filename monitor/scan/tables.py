"""The results of a scan as Parquet: a row for each second of a piece, and a row for each event of the archive."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from monitor.core.errors import MonitorError
from monitor.core.text import printable
from monitor.scan.joining import Piece
from monitor.scan.scoring import Scored
from monitor.scan.seconds import STATES


def require_parquet() -> None:
    """Checks that Parquet can be written.

    Raises:
        MonitorError: if pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MonitorError("A scan writes Parquet: pip install 'acoustic-monitor[parquet]'.") from None


def seconds_table(piece: Piece, scored: Scored) -> bytes:
    """The Parquet file of a piece, a row for each second.

    Columns: file (its name in the archive), time_s (position in the piece), time (time stamp, UTC; null if it is not
    known), score (highest of the second), mean_score, share (how near the alarm is; 1 is the alarm), error, level (dB
    relative to full scale), state, bands (of each mel band the percent that it contributes to the highest score,
    negative for missing sound). Missing values are null.
    """
    import pyarrow as pa
    from pyarrow import parquet

    seconds, began = scored.seconds, piece.files[0].began
    count, n_mels = seconds.bands.shape
    position = np.arange(count, dtype=np.float64)
    ends = np.cumsum([one.seconds for one in piece.files])
    number = np.minimum(np.searchsorted(ends, position, side="right"), len(ends) - 1).astype(np.int32)
    if math.isnan(began):
        time = pa.nulls(count, pa.timestamp("us", tz="UTC"))
    else:
        time = pa.array(np.round((began + position) * 1e6).astype(np.int64), pa.timestamp("us", tz="UTC"))

    def numbers(values: Any) -> Any:
        return pa.array(np.where(np.isfinite(values), values, np.nan), pa.float32(), from_pandas=True)  # NaN is null

    table = pa.table(
        {
            "file": pa.DictionaryArray.from_arrays(number, [printable(one.name) for one in piece.files]),
            "time_s": pa.array(position),
            "time": time,
            "score": numbers(seconds.score),
            "mean_score": numbers(seconds.mean_score),
            "share": numbers(seconds.share),
            "error": numbers(seconds.error),
            "level": numbers(seconds.level),
            "state": pa.DictionaryArray.from_arrays(seconds.state, [str(state) for state in STATES]),
            "bands": pa.FixedSizeListArray.from_arrays(pa.array(seconds.bands.reshape(-1)), n_mels),
        }
    )
    written = io.BytesIO()
    parquet.write_table(table, written, compression="zstd")
    return written.getvalue()


def events_table(events: Iterable[Mapping[str, Any]]) -> bytes:
    """The Parquet file of all events, with the columns of the JSON lines; bands are a list of structures."""
    import pyarrow as pa
    from pyarrow import parquet

    band = pa.struct(
        [("low_hz", pa.float64()), ("high_hz", pa.float64()), ("share", pa.float64()), ("change", pa.string())]
    )
    schema = pa.schema(
        [
            ("time", pa.string()), ("piece", pa.string()), ("file", pa.string()), ("kind", pa.string()),
            ("cause", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64()), ("duration_s", pa.float64()),
            ("wall_time", pa.float64()), ("peak", pa.float64()), ("mean", pa.float64()), ("threshold", pa.float64()),
            ("cut_off", pa.bool_()), ("reported_s", pa.float64()), ("model_id", pa.string()), ("id", pa.string()),
            ("bands", pa.list_(band)),
        ]
    )  # fmt: skip
    rows = [{name: one.get(name) for name in schema.names} for one in events]
    written = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema), written, compression="zstd")
    return written.getvalue()
