"""`monitor bench`: measures the speed of this computer."""

from __future__ import annotations

import logging
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

from monitor.cli.environment import INSTALL_TORCH, choose_thread_waiting
from monitor.cli.options import FILE, Number, bundle_and_settings, settings_in_force, settings_options
from monitor.cli.output import say
from monitor.core.errors import ConfigError, MonitorError

SECTIONS = (
    "latency", "replay", "machine", "model", "streams", "frames", "store", "network", "uptime", "cache", "training",
    "distributed", "gpu", "precision",
)  # fmt: skip
NEED_TORCH = ("model", "frames", "training", "distributed", "gpu", "precision")

log = logging.getLogger(__name__)


@click.command()
@click.option("--bundle", type=FILE, help="Model to measure with.  [default: an untrained one of the same size]")
@click.option("--data", type=FILE, help="For the section precision: the test recordings of the model.")
@click.option("--device", metavar="NAME|INDEX", help="Microphone to listen to.  [default: a simulated one]")
@click.option("--seconds", type=Number(1), default=30, show_default=True, help="How long the section latency listens.")
@click.option("--only", type=click.Choice(SECTIONS), multiple=True, help="Run only this section. May be repeated.")
@click.option("--json", "json_file", type=FILE, help="Also write the figures to this JSON file (-: print only them).")
@settings_options
def bench(
    bundle: Path | None,
    data: Path | None,
    device: str | None,
    seconds: float,
    only: tuple[str, ...],
    json_file: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Measure the speed of this computer: the delay of listening, and the speed of replay, features and training.

    \b
    latency   cost of one live stream, headless, watched, hop by hop, and with the dashboard; its delay
    machine   matrix products per second, and the number of streams that they allow at most
    model     time of the autoencoder for a window, compared with torch and onnxruntime
    replay    speed of replaying a recording, compared with one window at a time; time to start
    streams   how many streams of one model the computer can follow; delay of 64 live streams
    frames    speed of computing mel frames, compared with torchaudio and librosa
    store     size of a year of minute values of 40 streams, and time to read one stream's (1.5 GB in TMPDIR)
    network   processor time and memory of receiving a source in the network, for each codec (needs ffmpeg)
    uptime    whether an hour costs as much after hours as at first: processor time and memory, with outputs
    cache     speed of computing the frames of 200 recordings, compared with librosa file by file
    training  speed of an epoch, compared with its steps alone and a DataLoader; parts of a step; bfloat16; disk reads
    distributed  training in two processes, compared with one; how much of a step they wait for each other
    precision errors, scores and AUC in bfloat16 and int8, compared with float32 (needs --bundle and --data)
    gpu       with a GPU: number of streams computed, and through the whole program; speed of training

    Compared programs run alternately in the same process; a ratio is the median over all rounds. All sections
    together take about a quarter of an hour. Without PyTorch the sections that need it are left out: model, frames,
    training, distributed, precision and gpu.

    \b
    Examples:
      monitor bench
      monitor bench --only frames --only training
      monitor bench --device default --seconds 600 --json bench.json
      monitor bench --bundle runs/pump/model.safetensors --data data/ --only precision
    """
    choose_thread_waiting()
    lacking = [name for name in NEED_TORCH if not only or name in only] if find_spec("torch") is None else []
    if only and lacking:
        raise MonitorError(
            f"PyTorch is not installed here: --only {' --only '.join(lacking)} needs it. Leave that out, or install "
            f"it: {INSTALL_TORCH}"
        )
    loaded = None
    if bundle is None:
        config = settings_in_force(config_file, overrides, device=device)
    else:
        loaded, config = bundle_and_settings(bundle, config_file, overrides, device=device)
    import json

    from monitor.bench import run_bench
    from monitor.core.atomic_io import write_atomically
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected
    from train.bench import SECTIONS as OFFLINE

    sections = dict(OFFLINE)
    if loaded is not None and data is not None and "precision" not in lacking:
        from train.bench.precision import measure as precision

        sections["precision"] = partial(precision, loaded, data)
    elif "precision" in only:
        raise ConfigError("--only precision compares scores of recordings: add --bundle and --data.")
    silent = json_file == Path("-")
    if lacking:
        log.warning("PyTorch is not installed here: left out are the sections that need it: %s.", ", ".join(lacking))
        only = tuple(name for name in SECTIONS if name not in lacking)
    with stderr_redirected(log_file(), keep_ours=True):
        figures = run_bench(
            config, loaded, microphone=device is not None, seconds=seconds, only=only, further=sections,
            show=(lambda _: None) if silent else say,
        )  # fmt: skip
    text = json.dumps(figures, indent=2) + "\n"
    if silent:
        say(text, end="")
    elif json_file is not None:
        write_atomically(json_file, text.encode())
