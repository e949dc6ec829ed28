"""The steps of `monitor setup` that learn how the machine sounds: recordings, model, limits."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from monitor.cli.output import say
from monitor.cli.setup.checks import minutes_to_calibrate, minutes_to_record
from monitor.cli.setup.context import CHECKPOINT, MODEL, RECORDINGS, Facts, Setup
from monitor.cli.setup.microphone import microphone_facts
from monitor.core.errors import ConfigError, DataError
from monitor.core.text import counted, printable
from monitor.sources.recording_session import PIECE_S

SPARE_BYTES = 200_000_000  # of the disk, that recordings leave free


def _recorded(setup: Setup) -> list[Path]:
    return sorted((setup.folder / RECORDINGS).glob("normal_*.flac"))


def record(setup: Setup) -> None:
    """Records the machine, as far as its recordings are not there already."""
    if setup.answers.get("recordings"):
        if not setup.recordings.is_dir():
            raise ConfigError(f"{setup.recordings}: is not a folder of recordings.")
        say(printable(f"  The recordings in {setup.recordings} are taken."))
        return
    minutes = setup.questions.ask("minutes", "Minutes to record the machine, running as usual", 30, minutes_to_record)
    missing = minutes - len(_recorded(setup)) * PIECE_S / 60
    if missing * 60 < PIECE_S / 2:
        return
    _require_room(setup, missing)
    if _recorded(setup):
        say(f"  {counted(len(_recorded(setup)), 'file')} of ten seconds are there already.")
    setup.run(
        "record", *setup.microphone, "--minutes", f"{missing:.4g}", "--out", setup.folder / RECORDINGS, *setup.options
    )


def _require_room(setup: Setup, minutes: float) -> None:
    needed = int(minutes * 60 * setup.config.features.sample_rate * 2) + SPARE_BYTES
    free = shutil.disk_usage(setup.folder).free
    if free < needed:
        raise DataError(
            f"{setup.folder}: the disk has {free // 1_000_000} MB free, and {needed // 1_000_000} MB are needed: make "
            "room, or choose another --folder."
        )


def recording_facts(setup: Setup) -> Facts:
    """What the recordings depend on."""
    if setup.answers.get("recordings"):
        return {"recordings": str(setup.recordings)}
    return {**microphone_facts(setup), "minutes": setup.answers.get("minutes"), "files": len(_recorded(setup))}


def train(setup: Setup) -> None:
    """Trains the model, or goes on with an interrupted training."""
    resumed = ("--resume",) if (setup.folder / CHECKPOINT).is_file() and _same_recordings(setup) else ()
    setup.answers["training"] = training_facts(setup)
    setup.progress.save()
    setup.run("train", setup.recordings, "--out", setup.folder, *resumed, *setup.options)


def _same_recordings(setup: Setup) -> bool:
    return bool(setup.answers.get("training") == training_facts(setup))


def training_facts(setup: Setup) -> Facts:
    """What the model depends on."""
    files = sum(1 for path in setup.recordings.rglob("*") if path.is_file()) if setup.recordings.is_dir() else 0
    return {"recordings": str(setup.recordings), "files": files, "settings": list(setup.options)}


def calibrate(setup: Setup) -> None:
    """Makes the limits surer, or says how to do so later."""
    minutes = setup.questions.ask(
        "calibrate", "Minutes to go on listening to make the limits surer (0: later)",
        0,
        minutes_to_calibrate,
    )  # fmt: skip
    words = ("calibrate", setup.folder / MODEL, *setup.microphone)
    if minutes:
        setup.run(*words, "--minutes", f"{minutes:g}", "--relearn", *setup.options)
    else:
        later = printable(shlex.join(["monitor", *map(str, words), "--minutes", "60", "--relearn"]))
        say(f"  The limits are those of the training. To make them surer, while the machine is well:\n  $ {later}")


def calibration_facts(setup: Setup) -> Facts:
    """What the limits depend on."""
    return {"calibrate": setup.answers.get("calibrate"), "training": setup.progress.done.get("train")}
