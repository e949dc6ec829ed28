"""`monitor report` writes what happened into one page for a browser, a phone or paper."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import click

from monitor.cli.looking_back import matching, open_store, settings_of, store_options
from monitor.cli.options import FILE, Number
from monitor.cli.output import say
from monitor.cli.times import WHEN, require_order
from monitor.core.text import counted, printable

log = logging.getLogger(__name__)

_WEEK_S = 7 * 86_400.0
_SHORTEST_S = 60.0


@click.command()
@click.option("--out", type=FILE, required=True, help="The file to write, such as report.html.")
@click.option("--since", type=WHEN, help="Begin of the report: 24h, 7d, yesterday, 2026-11-20 ….  [default: 7d]")
@click.option("--until", type=WHEN, help="Its end.  [default: now]")
@click.option(
    "--stream", "patterns", metavar="PATTERN", multiple=True, help="Only streams with this name; * stands for any text."
)
@click.option(
    "--max-mb",
    type=Number(0, 1000),
    default=25.0,
    show_default=True,
    help="Room for clips and pictures in the file, in megabytes; the strongest anomalies come first.",
)
@store_options
def report(
    out: Path,
    since: float | None,
    until: float | None,
    patterns: tuple[str, ...],
    max_mb: float,
    state: Path | None,
    config_file: Path | None,
) -> None:
    """Write what happened into one HTML file: timelines, anomalies with picture and sound, verdicts, limits, drift.

    The file needs no network and no other file. It can be read on a phone and printed. Clips and pictures beyond
    --max-mb are named by their paths.

    \b
    Examples:
      monitor report --out report.html
      monitor report --since 30d --stream pump --out pump.html
      monitor report --since 2026-11-01 --until 2026-12-01 --max-mb 100 --out november.html
    """
    now = time.time()
    until = now if until is None else min(until, now)
    since = until - _WEEK_S if since is None else since
    require_order(since, until)
    from monitor.core.atomic_io import require_folder, require_other_file, write_atomically

    require_folder(out)
    since = min(since, until - _SHORTEST_S)
    config = settings_of(state, config_file)
    with open_store(config) as store:
        from monitor.clips.access import ClipAccess
        from monitor.report.attachments import Attachments
        from monitor.report.contents import Contents
        from monitor.report.page import page
        from monitor.store import queries
        from monitor.store.location import store_files

        require_other_file([out], store_files(config))
        streams = matching(queries.streams(store), patterns)
        clips = ClipAccess(config)
        attachments = Attachments(clips, max_mb * 1e6)
        contents = Contents(store, streams, since, until, attachments)
        write_atomically(out, page(contents, now))
        clips.close()
    anomalies = counted(contents.anomalies, "anomaly", "anomalies")
    size = f", {out.stat().st_size / 1e6:.1f} MB" if out.is_file() else ""
    say(f"{printable(str(out))}: {counted(len(streams), 'stream')}, {anomalies}{size}.")
    if attachments.left_out:
        say(f"{counted(attachments.left_out, 'clip or picture', 'clips and pictures')} are named only: see --max-mb.")
    if attachments.failure:
        log.warning("Clips and pictures are missing in it: %s", attachments.failure)
