"""The score log: scores as CSV, one line for each hop."""

from __future__ import annotations

import csv
import io
import logging
import math
from pathlib import Path

from monitor.core.appended_file import new_file
from monitor.core.events import ScoreRows
from monitor.outputs.background import LineSink

log = logging.getLogger(__name__)

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how formulas begin


class ScoreLog(LineSink):
    """Writes the scores of windows to a CSV file. If the file exists, a new one with a number in its name is written.

    Columns: source (recording), time_s, error (reconstruction error), score (empty before the first), threshold. A name
    that begins like a formula (= + - @) has an apostrophe before it, so that no spreadsheet computes it.

    Args:
        path: of the file; its folder must exist.
        wait: as in `monitor.outputs.background.BackgroundSink`.
        named: whether to write the name of the stream as the first column.
    """

    def __init__(self, path: Path, *, wait: bool = True, named: bool = False) -> None:
        self._named = named
        self.path = new_file(path)
        if self.path != path:
            log.warning("%s: exists and is kept; the scores are written to %s.", path, self.path)
        header = f"{'stream,' if named else ''}source,time_s,error,score,threshold\n"
        super().__init__(self.path, wait=wait, header=header)
        self._write(lambda: "", 0)  # writes the header

    def scores(self, rows: ScoreRows) -> None:
        """Writes the lines of windows."""
        self._write(lambda: as_csv(rows, named=self._named), len(rows.score))


def as_csv(rows: ScoreRows, *, named: bool) -> str:
    """The CSV lines of scores; `named` as in `ScoreLog`."""
    # Only the names may need quotes. The csv module would be too slow for every row.
    quoted = io.StringIO()
    names = [rows.stream, rows.source] if named else [rows.source]
    csv.writer(quoted, lineterminator="\r\n").writerow(map(_no_formula, names))
    name, threshold = quoted.getvalue().removesuffix("\r\n"), f"{rows.threshold:.9g}"
    lines = [
        f"{name},{(rows.first + i) * rows.hop_s:.4f},{error:.9g},{_blank_if_nan(score)},{threshold}\n"
        for i, (error, score) in enumerate(zip(rows.error.tolist(), rows.score.tolist(), strict=True))
    ]
    return "".join(lines)


def _no_formula(name: str) -> str:
    """The name with an apostrophe before it if a spreadsheet would compute it as a formula."""
    return f"'{name}" if name.startswith(FORMULA) else name


def _blank_if_nan(score: float) -> str:
    return "" if math.isnan(score) else f"{score:.9g}"
