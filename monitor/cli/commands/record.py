"""`monitor record`: records normal sound for training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monitor.cli.options import FILE, Number, microphone_options, settings_in_force, settings_options
from monitor.cli.output import say
from monitor.cli.times import DURATION


@click.command()
@microphone_options
@click.option("--minutes", type=Number(0, min_open=True), metavar="M", help="Minutes to record.")
@click.option(
    "--over",
    type=DURATION,
    metavar="PERIOD",
    help="Spread them over this period, such as 12h or 3d: pieces of ten seconds at random times.",
)
@click.option("--out", type=FILE, help="Folder for the recordings.")
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["wav", "flac"]),
    default="flac",
    show_default=True,
    help="Format of the files.",
)
@click.option(
    "--compare",
    type=FILE,
    metavar="FOLDER",
    help="Record nothing; say how the days of the recordings in this folder differ.",
)
@settings_options
def record(
    device: str | None,
    channel: Any,
    minutes: float | None,
    over: float | None,
    out: Path | None,
    suffix: str,
    compare: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Record a healthy machine, for training. Writes files of ten seconds, 16 bit, at the sample rate of the model.

    A machine does not sound the same on all days. With --over the minutes are not one stretch, but pieces at random
    times of some days. The same command goes on after a restart, and makes up for what was missed.

    \b
    Examples:
      monitor record --minutes 30 --out recordings/
      monitor record --minutes 120 --over 3d --out recordings/
      monitor record --compare recordings/
      monitor record --device "USB Audio" --channel 0 --minutes 30 --out recordings/ --format wav
      monitor train recordings/ --out runs/pump
    """
    if compare is not None:
        from monitor.cli.spread_capture import show_days

        show_days(compare)
        return
    if minutes is None or out is None:
        raise click.UsageError(f"Missing option '{'--minutes' if minutes is None else '--out'}'.")
    config = settings_in_force(config_file, overrides, device=device)
    chosen = config.features.channel if channel is None else channel
    if over is not None:
        from monitor.cli.spread_capture import record_over
        from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

        with stderr_redirected(log_file(), keep_ours=True):
            record_over(config, chosen, minutes, over, out, suffix)
        return
    from monitor.cli.capture_progress import CaptureProgress
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected
    from monitor.sources.recording_session import record_files

    files = 0
    try:
        with stderr_redirected(log_file(), keep_ours=True), CaptureProgress(minutes) as progress:
            for _ in record_files(
                config.audio, config.features.sample_rate, chosen, minutes, out, suffix, progress.show
            ):
                files += 1
    finally:
        if files:
            say(f"{files} recordings of 10 s are in {out}. Next: monitor train {out} --out runs/mine")
