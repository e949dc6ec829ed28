"""`monitor record`: records normal sound for training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monitor.cli.options import FILE, Number, microphone_options, settings_in_force, settings_options
from monitor.cli.output import say


@click.command()
@microphone_options
@click.option("--minutes", type=Number(0, min_open=True), required=True, metavar="M", help="Minutes to record.")
@click.option("--out", type=FILE, required=True, help="Folder for the recordings.")
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["wav", "flac"]),
    default="flac",
    show_default=True,
    help="Format of the files.",
)
@settings_options
def record(
    device: str | None,
    channel: Any,
    minutes: float,
    out: Path,
    suffix: str,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Record a healthy machine, for training. Writes files of ten seconds, 16 bit, at the sample rate of the model.

    \b
    Examples:
      monitor record --minutes 30 --out recordings/
      monitor record --device "USB Audio" --channel 0 --minutes 30 --out recordings/ --format wav
      monitor train recordings/ --out runs/pump
    """
    config = settings_in_force(config_file, overrides, device=device)
    from monitor.cli.capture_progress import CaptureProgress
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected
    from monitor.sources.recording_session import record_files

    features = config.features
    files = 0
    try:
        with stderr_redirected(log_file(), keep_ours=True), CaptureProgress(minutes) as progress:
            for _ in record_files(
                config.audio, features.sample_rate, features.channel if channel is None else channel, minutes, out,
                suffix, progress.show,
            ):  # fmt: skip
                files += 1
    finally:
        if files:
            say(f"{files} recordings of 10 s are in {out}. Next: monitor train {out} --out runs/mine")
