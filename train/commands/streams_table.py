"""The table at the end of `monitor train --streams`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.core.text import printable
from train.commands.train_streams import TrainingOutcome

FILE_COLUMNS = 300  # where the table does not go to a terminal, so that each stream has one line


def print_streams(outcomes: Sequence[TrainingOutcome]) -> None:
    """Prints a line for each stream: what it was trained on, its limit, and where its model is."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stream", overflow="fold")
    for heading in ("recordings", "minutes", "epochs", "held-out loss", "limit"):
        table.add_column(heading, justify="right")
    table.add_column("model", overflow="fold")
    for outcome in outcomes:
        name, result = Text(printable(outcome.job.name)), outcome.result
        if result is None:
            table.add_row(name, "", "", "", "", "", Text("failed", style="red"))
            continue
        model = Text(printable(str(outcome.job.model)))
        if result.doubt:
            model.append(" (too little sound)", style="yellow")
        table.add_row(
            name, str(result.recordings), f"{result.seconds / 60:.1f}", str(result.epochs),
            f"{result.held_out_loss:.4f}", f"{result.limit:.4g}", model,
        )  # fmt: skip
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    console.print(table)
