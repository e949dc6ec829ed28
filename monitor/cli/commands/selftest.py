"""`monitor selftest` says which known faults would be reported, and how soon."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.looking_back import console, matching_here, open_store, settings_of, store_options
from monitor.cli.options import FILE, set_option
from monitor.cli.output import say
from monitor.core.errors import EXIT_ANOMALY, EXIT_OK, ConfigError, DataError, MonitorError
from monitor.core.text import counted, printable, stream_folder

if TYPE_CHECKING:
    from monitor.config.loader import SettingsSource
    from monitor.config.schema import Config
    from monitor.selftest.outcome import Outcome
    from monitor.selftest.run import SelfTest
    from monitor.store.database import Store
    from monitor.store.records import StoredStream


@click.command()
@click.argument("patterns", metavar="[STREAM]...", nargs=-1)
@click.option("--trend", "show_trend", is_flag=True, help="Test nothing: show the results of all self-tests so far.")
@click.option("--model", type=FILE, help="Model file of the stream.  [default: as `monitor live` uses it]")
@click.option("--json", "as_json_lines", is_flag=True, help="Print a JSON object for each stream.")
@set_option
@store_options
def selftest(
    patterns: tuple[str, ...],
    show_trend: bool,
    model: Path | None,
    as_json_lines: bool,
    state: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Mix known faults under stored normal sound, and say which would be reported, and how soon.

    STREAM is a name or a part of it, * stands for any text; without it all streams are tested. Each takes about half a
    minute of one processor core. It can run beside `monitor live`, which is not disturbed: nothing is played, and the
    faults are in no recording. A fault that is detected worse than at first begins an event "self-test", of which
    messages are sent as of others; the exit code is 5 then.

    \b
    Examples:
      monitor selftest
      monitor selftest pump
      monitor selftest pump --trend
      monitor selftest --json
    """
    from monitor.cli.options import settings_source
    from monitor.store import queries
    from monitor.store.location import host_name

    settings = settings_source(config_file, overrides)
    config = settings_of(state, config_file, overrides)
    with open_store(config) as store:
        host = host_name(config)
        chosen = matching_here(queries.streams(store), patterns, host)
        if not chosen:
            raise ConfigError("There is no stream in the store: nothing has been listened to yet.")
        if model is not None and len(chosen) > 1:
            raise ConfigError("--model is the model of one stream: name the stream.")
        if show_trend:
            _show_trend(store, chosen, as_json_lines=as_json_lines)
            return EXIT_OK
        failures, lost = [], False
        for stream in chosen:
            try:
                with _progress(stream.name, silent=as_json_lines) as progress:
                    result, outcome = _test(settings, config, store, stream, model, progress)
            except MonitorError as error:
                if len(chosen) == 1:
                    raise type(error)(f"{printable(stream.name)}: {error}") from None
                failures.append(f"{printable(stream.name)}: {error}")
                continue
            lost = lost or any(row.lost for row in outcome.rows)
            _show_json(stream, result, outcome) if as_json_lines else _show(stream, result, outcome)
    if failures:
        raise DataError(*failures)
    return EXIT_ANOMALY if lost else EXIT_OK


def _test(
    settings: SettingsSource,
    config: Config,
    store: Store,
    stream: StoredStream,
    model: Path | None,
    progress: Callable[[str, float], None],
) -> tuple[SelfTest, Outcome]:
    """Tests one stream, and stores the result."""
    from monitor.bundle.bundle_io import load_bundle
    from monitor.cli.stream_models import model_of
    from monitor.detection.drift import Drift, DriftFile
    from monitor.normal_sound.pieces import pieces_of
    from monitor.notify.rules import Rules
    from monitor.selftest.outcome import store_result
    from monitor.selftest.run import run
    from monitor.store.location import normal_folder

    found = model_of(settings, config, stream.name, model)
    path = found.in_force
    bundle = load_bundle(path)
    origin = bundle if path == found.configured else load_bundle(found.configured)
    in_force = settings.for_model(bundle.config, str(path), found.alarm)
    offsets = None
    if in_force.drift.enabled:
        drift = Drift(bundle, in_force.drift)
        DriftFile.beside(path, bundle, stream.name if found.listed else "").load(drift)
        offsets = drift.offsets
    pieces = pieces_of(normal_folder(config) / stream_folder(stream.name))
    result = run(bundle, in_force, pieces, reference=origin, offsets=offsets, progress=progress)
    outcome = store_result(
        store, stream, result, Rules(config.notify), model_id=bundle.model_id, origin=origin.model_id,
        lost_db=config.selftest.lost_db, now=time.time(),
    )  # fmt: skip
    return result, outcome


@contextlib.contextmanager
def _progress(stream: str, *, silent: bool) -> Generator[Callable[[str, float], None]]:
    """Shows on a terminal which fault is tested."""
    if silent or not sys.stderr.isatty():
        yield lambda _fault, _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(printable(stream), total=1.0)
        yield lambda fault, done: shown.update(task, description=f"{printable(stream)}: {fault}", completed=done)


def _show(stream: StoredStream, result: SelfTest, outcome: Outcome) -> None:
    from monitor.report.selftest_table import print_result

    left_out = f"; {counted(result.left_out, 'stretch', 'stretches')} left out, reported without a fault"
    say(
        f"{printable(stream.name)}: faults mixed under {counted(result.stretches, 'stretch', 'stretches')} of normal "
        f"sound from the last week ({counted(result.pieces, 'piece')}{left_out if result.left_out else ''}), in "
        f"{result.seconds:.0f} s. 0 dB is the level of the machine when its model was made, "
        f"{result.own.level_dbfs:.0f} dBFS."
    )
    print_result(console(), outcome.rows)
    if outcome.loss:
        say(f"{outcome.loss[0].upper()}{outcome.loss[1:]}; the faults are heard as much weaker.")
    if (event := outcome.event) is None:
        return
    if event.ended is not None:
        say("All faults are detected as at first again: the event of earlier self-tests has ended.")
    else:
        what = "Faults are detected worse than at first" if outcome.is_new else "Faults are still detected worse"
        say(f"{what}: {event.note}. Check the microphone. More: monitor events {event.id[:18]}")


def _show_json(stream: StoredStream, result: SelfTest, outcome: Outcome) -> None:
    event = outcome.event
    content = {
        "host": stream.host,
        "stream": stream.name,
        "time": outcome.rows[0].time,
        "model_id": outcome.rows[0].model_id,
        "seconds": round(result.seconds, 1),
        "loss": outcome.loss,
        "event": event.id if event is not None and event.ended is None else None,
        "faults": [
            {"fault": row.fault, "level_db": row.level_db, "delay_s": row.delay_s, **row.facts} for row in outcome.rows
        ],
    }
    say(json.dumps(content, ensure_ascii=False))


def _show_trend(store: Store, streams: list[StoredStream], *, as_json_lines: bool) -> None:
    """Shows the results of all self-tests of the streams."""
    from dataclasses import asdict

    from monitor.report.selftest_table import print_trend
    from monitor.store.selftests import self_tests

    for number, stream in enumerate(streams):
        rows = self_tests(store, stream.id)
        if as_json_lines:
            for row in rows:
                say(json.dumps({"host": stream.host, "stream": stream.name, **asdict(row)}, ensure_ascii=False))
        elif rows:
            say("", end="\n" if number else "")
            print_trend(console(), stream.name, rows)
        else:
            say(f"{printable(stream.name)}: there has been no self-test: `monitor selftest {printable(stream.name)}`.")
