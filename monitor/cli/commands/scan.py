"""`monitor scan` searches any amount of recordings."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.options import (
    FILE,
    MODEL_SUFFIX,
    ChannelChoice,
    bundle_and_settings,
    require_model,
    sensitivity_option,
    sensitivity_override,
    settings_options,
)
from monitor.cli.output import say, say_error
from monitor.core.errors import EXIT_FAILURE, ConfigError
from monitor.core.text import counted, duration_text, printable

if TYPE_CHECKING:
    from monitor.scan.findings import Finding
    from monitor.scan.scan import Outcome

_MOST_SHOWN = 10  # recordings in the terminal


@click.command()
@click.argument("archive")
@click.argument("bundle", type=FILE)
@click.option("--out", type=FILE, required=True, help="Folder for the results; a scan that was ended goes on in it.")
@click.option("--workers", type=click.IntRange(1), help="Processes on this computer.  [default: one a processor]")
@click.option(
    "--cluster", metavar="ADDRESS", help="Scan on a cluster: dask://HOST:PORT or ray://HOST:PORT."
)  # fmt: skip
@click.option(
    "--channel", type=ChannelChoice(), help="Channel to score, or mix for the mean.  [default: as in training]"
)
@click.option("--separate", is_flag=True, help="Score each file by itself, even if it continues the one before.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@sensitivity_option
@settings_options
def scan(
    archive: str,
    bundle: Path,
    out: Path,
    workers: int | None,
    cluster: str | None,
    channel: Any,
    separate: bool,
    as_json: bool,
    sensitivity: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Search months of recordings: which are unusual, since when, and in which bands.

    ARCHIVE is a folder, a file, a pattern in quotes, or an address such as s3://bucket/hall-3. BUNDLE is the model.
    Recordings are scored as `monitor replay` does. In the folder --out are a page for a browser (index.html), rankings
    (CSV), events (JSON lines and Parquet), and for each recording a Parquet file with a row a second.

    A scan that was interrupted goes on with the same command; what is in the folder is not scored again, unless the
    file, the model or the settings have changed. Damaged files are listed, and the exit code is 1 then.

    \b
    Examples:
      monitor scan recordings/ runs/pump/model.safetensors --out scan/
      monitor scan "/mnt/archive/2026-*/*.flac" runs/pump/model.safetensors --out scan/ --workers 8
      monitor scan s3://recordings/hall-3 runs/pump/model.safetensors --out scan/
      monitor scan /mnt/archive runs/pump/model.safetensors --out scan/ --cluster dask://scheduler:8786
    """
    _check_order(archive, bundle, out)
    loaded, config = bundle_and_settings(bundle, config_file, (*overrides, *sensitivity_override(sensitivity)))
    from monitor.cli.scan_progress import ScanProgress
    from monitor.core.atomic_io import write_atomically
    from monitor.core.parallel_jobs import open_workers
    from monitor.runtime.builder import model_name
    from monitor.scan.archive import Archive
    from monitor.scan.files import PAGE, write_files
    from monitor.scan.page import page, sentences
    from monitor.scan.results import ResultFolder
    from monitor.scan.scan import Scan

    if config.drift.enabled:
        say_error("note: a scan does not follow drift: all recordings are compared with the sound of the training.")
    began = time.monotonic()
    found = Archive.parse(archive)
    job = Scan(found, loaded, bundle, config, channel, separate=separate, send_model=cluster is not None)
    try:
        with ResultFolder(out, found) as folder:
            with ScanProgress(quiet=as_json) as progress:
                outcome = job.run(folder, lambda jobs: open_workers(workers, cluster, jobs=jobs), progress)
            write_files(out, outcome.findings, outcome.left_out)
            name = model_name(bundle, loaded)
            content = page(found, loaded, name, outcome.findings, outcome.left_out, out.resolve(), time.time())
            write_atomically(out / PAGE, content)
    except KeyboardInterrupt:
        say_error(f"interrupted. Run the same command again to go on; what was finished is in {out}.")
        raise
    elapsed_s = time.monotonic() - began
    if as_json:
        say(json.dumps(_facts(found.text, bundle, out / PAGE, outcome, elapsed_s), indent=2))
    else:
        _print_ranking(outcome.findings)
        new_s = outcome.seconds - outcome.before_s
        say(" ".join(sentences(outcome.findings, outcome.left_out)))
        rate = f", {new_s / elapsed_s:,.0f} times real time" if new_s > 0 else ""
        say(f"{duration_text(elapsed_s)}{rate}. The page is {printable(str(out / PAGE))}.")
    if outcome.left_out:
        raise click.exceptions.Exit(EXIT_FAILURE)


def _check_order(archive: str, bundle: Path, out: Path) -> None:
    """Checks that the archive comes first, and that results are not written among the recordings.

    Raises:
        ConfigError: otherwise.
    """
    if archive.lower().endswith(MODEL_SUFFIX):
        raise ConfigError(
            f"{archive}: is a model. The archive comes first: monitor scan {bundle} {archive} --out {out}."
        )
    require_model(bundle, command=f"monitor scan {archive}")
    if "://" not in archive and Path(archive).is_dir() and out.exists() and out.samefile(archive):
        raise ConfigError(f"{out}: is the archive itself: choose another folder with --out.")


def _print_ranking(findings: Sequence[Finding]) -> None:
    """Prints the recordings with the highest share of the limit."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from monitor.cli.results import STYLES
    from monitor.dashboard.render.formatting import duration, share
    from monitor.detection.verdict import Word
    from monitor.report.event_text import moment
    from monitor.scan.overview import ranked

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("recording", overflow="fold")
    table.add_column("began")
    for heading in ("length", "of the limit"):
        table.add_column(heading, justify="right")
    table.add_column("verdict", overflow="fold")
    best = ranked(findings)
    for one in best[:_MOST_SHOWN]:
        began = "" if math.isnan(one.began) else moment(one.began, year=True)
        verdict = f"{one.verdict}: {one.reason}" if one.reason else one.verdict
        more = f" +{len(one.files) - 1}" if len(one.files) > 1 else ""
        table.add_row(
            Text(printable(one.name) + more), began, duration(one.seconds), share(one.share),
            Text(verdict, style=STYLES[Word(one.verdict)]),
        )  # fmt: skip
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 300
    console.print(table)
    if len(best) > _MOST_SHOWN:
        say(f"{counted(len(best) - _MOST_SHOWN, 'more recording')} in ranking.csv.")


def _facts(archive: str, bundle: Path, page: Path, outcome: Outcome, elapsed_s: float) -> dict[str, object]:
    """The summary as JSON."""
    from monitor.scan.files import local_time
    from monitor.scan.overview import anomalies, hours_of, onset, ranked

    found, change = anomalies(outcome.findings), onset(hours_of(outcome.findings))
    return {
        "archive": archive,
        "model": str(bundle),
        "files": outcome.files,
        "recordings": len(outcome.findings),
        "seconds": outcome.seconds,
        "scanned_before_s": outcome.before_s,
        "elapsed_s": elapsed_s,
        "anomalies": len(found),
        "first_anomaly": found[0]["time"] if found else None,
        "frequent_since": None if change is None else change.at.isoformat(),
        "highest": [
            {
                "recording": one.name,
                "began": local_time(one.began) or None,
                "share": None if math.isnan(one.share) else one.share,
                "anomalies": one.anomalies,
                "verdict": one.verdict,
                "reason": one.reason,
            }
            for one in ranked(outcome.findings)[:_MOST_SHOWN]
        ],
        "left_out": [{"file": one.name, "reason": one.reason} for one in outcome.left_out],
        "page": str(page),
    }
