"""What `monitor live` does beside listening: commissioning, self-tests, cleaning, by other commands of this program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.cli.stream_models import note_models, stream_name
from monitor.core.errors import ConfigError, MonitorError
from monitor.service.upkeep import Surroundings, Upkeep
from monitor.store.location import state_folder, store_url

if TYPE_CHECKING:
    from monitor.config.schema import Config
    from monitor.core.snapshot import Snapshot
    from monitor.runtime.live_streams import LiveStreams


def make_upkeep(
    streams: LiveStreams,
    config: Config,
    config_file: Path | None,
    overrides: Sequence[str],
    note: Callable[[str, str, str], None],
    *,
    stores: bool = False,
) -> Upkeep:
    """Upkeep of streams, which is not started yet.

    Args:
        streams: whose session is running.
        config: the settings at the start.
        config_file: the settings file that the command line names.
        overrides: the settings that the command line changes, each `group.name=value`: they hold for the commands, too.
        note: notes in the audit trail what was done, to which stream, with what result.
        stores: whether there is a store, which may have models that were handed out.
    """
    folder = state_folder(config)
    options = ["--json", "--state", str(folder), *(() if config_file is None else ("--config", str(config_file)))]
    options += [f"--set={one}" for one in overrides]

    def show(name: str, text: str) -> None:
        for request, stream in streams.pairs:
            if stream_name(request) == name:
                stream.show_note(text)

    def unjudged(name: str) -> bool:
        for request, stream in streams.pairs:
            if stream_name(request) == name:
                return has_unjudged_anomaly(stream.latest, config)
        return False

    return Upkeep(
        folder,
        Surroundings(
            improve=lambda name: ["improve", "--commissioning", *options, "--", name],
            selftest=lambda: ["selftest", *options, "--", *(stream_name(request) for request, _ in streams.pairs)],
            unjudged=unjudged,
            show=show,
            note=note,
            clean=lambda: ["model", "clean", *options] if stores else (),
        ),
    )


def require_material(config: Config) -> None:
    """Checks that there is something to learn from, if streams are commissioned.

    Raises:
        ConfigError: if there is not.
    """
    if not config.commissioning.days:
        return
    for group in ("store", "normal"):
        if not getattr(config, group).enabled:
            raise ConfigError(
                f"commissioning.days needs {group}.enabled: true, because it learns from what is kept there: change "
                "one of the two."
            )


def look_after(upkeep: Upkeep, streams: LiveStreams, started: Config) -> None:
    """Tells upkeep of the settings and streams in force, and notes their models for other commands.

    Args:
        upkeep: of the streams.
        streams: whose session is running.
        started: the settings at the start, which say where the state folder is.
    """
    requests = [request for request, _ in streams.pairs]
    note_models(requests, started)
    upkeep.use(streams.config, {stream_name(request): request.model for request in requests})


def has_unjudged_anomaly(snapshot: Snapshot, config: Config) -> bool:
    """Whether an anomaly lasts that nobody has judged, as far as the store can be asked."""
    lasting = [event.id for event in snapshot.events if event.kind == "anomaly" and event.end_s is None]
    if not lasting:
        return False
    from monitor.store.database import Store
    from monitor.store.verdicts import histories

    try:
        with Store.open(store_url(config), create=False) as store:
            verdicts = histories(store, lasting)
    except MonitorError:
        return True
    return not all(verdicts.get(one) and verdicts[one][-1].verdict for one in lasting)
