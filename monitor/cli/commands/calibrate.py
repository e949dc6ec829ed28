"""`monitor calibrate` determines new thresholds; `monitor drift` shows or undoes the adaptation of the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monitor.cli.options import FILE, Number, bundle_and_settings, microphone_options, settings_options
from monitor.cli.output import say
from monitor.core.errors import ConfigError


@click.command()
@click.argument("bundle", type=FILE)
@click.argument("normal", type=FILE, nargs=-1)
@microphone_options
@click.option("--minutes", type=Number(0.5), metavar="M", help="Calibrate with M minutes from the microphone.")
@click.option("--relearn", is_flag=True, help="Also learn again which sound is normal. Needs half an hour of sound.")
@click.option(
    "--force",
    is_flag=True,
    help="Accept less than ten minutes, recordings trained on, and limits below a third of the old ones.",
)
@click.option(
    "--out", type=FILE, help="Write the new model to this file.  [default: BUNDLE; the old one is kept as *.previous]"
)
@settings_options
def calibrate(
    bundle: Path,
    normal: tuple[Path, ...],
    device: str | None,
    channel: Any,
    minutes: float | None,
    relearn: bool,
    force: bool,
    out: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Determine new limits of a model from normal sound, without training.

    NORMAL are recordings of the healthy machine, or folders of recordings: ten minutes or more, and not those that the
    model was trained on. With --minutes the machine is recorded by a microphone instead; sound that is silent, clipped
    or unsteady is refused.

    \b
    Examples:
      monitor calibrate runs/pump/model.safetensors on-site/
      monitor calibrate runs/pump/model.safetensors monday.wav tuesday.wav --out runs/pump/site-b.safetensors
      monitor calibrate runs/pump/model.safetensors --device "USB Audio" --minutes 10
      monitor calibrate runs/pump/model.safetensors on-site/ --relearn
      monitor calibrate runs/pump/model.safetensors on-site/ --set calibration.false_alarms_per_day=0.1
    """
    if bool(normal) == (minutes is not None):
        raise ConfigError("Give either recordings to calibrate from, or --minutes to calibrate from a microphone.")
    loaded, config = bundle_and_settings(bundle, config_file, overrides, device=device)
    from train.commands import calibrate as command
    from train.commands.model_files import save_over
    from train.commands.progress import ConsoleProgress
    from train.evaluation.summary import calibration_summary

    if minutes is not None:
        from monitor.cli.capture_progress import CaptureProgress
        from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

        with stderr_redirected(log_file(), keep_ours=True), CaptureProgress(minutes) as capturing:
            calibrated = command.calibrate_by_microphone(
                loaded, config, channel, minutes, capturing.show, relearn=relearn, force=force
            )
    else:
        with ConsoleProgress() as progress:
            calibrated = command.calibrate(
                loaded, config, normal, progress, channel=channel, relearn=relearn, force=force
            )
    calibrated = save_over(calibrated, out or bundle)
    say(calibration_summary(loaded, calibrated, out or bundle))


@click.command()
@click.argument("bundle", type=FILE)
@click.option("--undo", is_flag=True, help="Undo the adaptation. It is kept in a file *.undone.")
@click.option("--stream", default="", metavar="NAME", help="Name of one of the streams in config.yaml.")
def drift(bundle: Path, undo: bool, stream: str) -> None:
    """Show how far a model has adapted to a slowly changing machine (setting drift.enabled), or undo the adaptation.

    \b
    Examples:
      monitor live runs/pump/model.safetensors --set drift.enabled=true
      monitor drift runs/pump/model.safetensors
      monitor drift runs/pump/model.safetensors --undo
      monitor drift press/model.safetensors --stream "press 2"
    """
    if set(stream) & set("/\\"):
        raise ConfigError(f"--stream {stream}: the name of a stream cannot contain a slash.")
    from monitor.bundle.bundle_io import load_bundle
    from monitor.detection.drift import DriftFile

    file = DriftFile.beside(bundle, load_bundle(bundle), stream)
    if not undo:
        say(file.describe())
    elif file.undo():
        say(f"Undone: the model is as it was calibrated. The adaptation is kept in {file.path.name}.undone.")
    else:
        say(file.describe())
