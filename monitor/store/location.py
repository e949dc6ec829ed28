"""Where the store, the clips and the state folder of a monitor are, by its settings."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from monitor.config.schema import Config

FOLDER = "acoustic-monitor"  # in the user's folder for state
DATABASE = "monitor.sqlite"
URL_VARIABLE = "MONITOR_STORE_URL"


def is_chosen(config: Config) -> bool:
    """Whether somebody has chosen the state folder, by the settings or as that of the service."""
    return config.state.folder is not None or bool(os.environ.get("STATE_DIRECTORY"))


def state_folder(config: Config) -> Path:
    """The folder in which a monitor keeps its state: `state.folder`, or that of the service, or the user's."""
    if config.state.folder is not None:
        return config.state.folder.expanduser()
    if service := os.environ.get("STATE_DIRECTORY"):  # set by systemd; several folders are divided by colons
        return Path(service.split(":")[0])
    if base := os.environ.get("XDG_STATE_HOME"):
        return Path(base, FOLDER)
    try:
        return Path.home() / ".local" / "state" / FOLDER
    except RuntimeError:  # there is no home folder
        return Path(FOLDER)


def store_url(config: Config) -> str:
    """The address of the store: `store.url`, or the variable MONITOR_STORE_URL, or a file in the state folder."""
    return (
        config.store.url
        or os.environ.get(URL_VARIABLE, "")
        or f"sqlite:///{state_folder(config).absolute() / DATABASE}"
    )


def spool_file(config: Config) -> Path:
    """The file into which a monitor writes first if its store is on a server (`monitor.store.spool`)."""
    return state_folder(config) / "spool.sqlite"


def store_files(config: Config) -> tuple[Path, ...]:
    """The files of a store in a file, with those that SQLite keeps beside it; none if a server has it."""
    scheme, _, rest = store_url(config).partition("://")
    file = Path(rest.removeprefix("/")).expanduser()
    return tuple(Path(f"{file}{end}") for end in ("", "-wal", "-shm")) if scheme == "sqlite" else ()


def clips_folder(config: Config) -> Path:
    """The folder of clips and pictures."""
    folder = config.clips.folder
    return state_folder(config) / "clips" if folder is None else folder.expanduser()


def clips_cache(config: Config) -> Path:
    """The folder of copies of clips that are in an object store (`clips.url`)."""
    return state_folder(config) / "clip-cache"


def host_name(config: Config) -> str:
    """The name of this computer in the store and in messages."""
    return config.state.host or platform.node()[:60] or "localhost"


def normal_folder(config: Config) -> Path:
    """The folder of normal sound, with a folder for each stream (`core.text.stream_folder` of its name)."""
    return state_folder(config) / "normal"


def models_folder(config: Config) -> Path:
    """The folder of the models that were made of others while the monitor ran, with a folder for each stream."""
    return state_folder(config) / "models"


def scores_folder(config: Config) -> Path:
    """The folder of the scores of each decision, with a folder for each stream."""
    return state_folder(config) / "scores"
