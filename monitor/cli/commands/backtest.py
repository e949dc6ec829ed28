"""`monitor backtest` says what other settings of the alarm would have done with the last weeks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.looking_back import console, one_stream, open_store, settings_of, store_options
from monitor.cli.options import FILE
from monitor.cli.output import say
from monitor.cli.times import WHEN, require_order
from monitor.core.errors import ConfigError
from monitor.core.text import printable, stream_folder

if TYPE_CHECKING:
    from monitor.bundle.bundle import Bundle
    from monitor.cli.stream_models import StreamModel
    from monitor.config.loader import SettingsSource
    from monitor.report.alarm_rerun import Rules

BUDGET = "calibration.false_alarms_per_day"
SETTINGS = (
    "alarm.threshold", "alarm.sensitivity", "alarm.k", "alarm.n", "alarm.lasting", "alarm.hold_s",
    "alarm.release_ratio", "alarm.release_s", "alarm.cool_down_s", BUDGET,
)  # fmt: skip
FOUR_WEEKS_S = 28 * 86_400.0
MANY = 12  # columns of a table
WIDEST = 1000  # characters in a line of it


@click.command()
@click.argument("stream", required=False)
@click.option(
    "--set", "changes", metavar="GROUP.KEY=VALUE", multiple=True, help="Another setting of the alarm. May be repeated."
)
@click.option("--sweep", metavar="GROUP.KEY=A,B,…", help="Several values of one setting, a column for each.")
@click.option("--since", type=WHEN, help="Only scores after this time: 4w, 7d, 2026-11-20 ….  [default: 4w]")
@click.option("--until", type=WHEN, help="Only scores before this time.")
@click.option("--model", type=FILE, help="Configured model of the stream.  [default: as `monitor live` uses it]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, with times in UTC.")
@store_options
def backtest(
    stream: str | None,
    changes: tuple[str, ...],
    sweep: str | None,
    since: float | None,
    until: float | None,
    model: Path | None,
    as_json: bool,
    state: Path | None,
    config_file: Path | None,
) -> None:
    """Say what other settings of the alarm would have done with the last weeks, beside what those in force do.

    The alarm decides again on the scores that `monitor live` has kept (store.keep_scores_days). Nothing is changed.
    With verdicts (`monitor verdict`) it says which real faults would still be reported, and how much later.

    STREAM is its name or a part of it; it can be left out if there is only one.

    \b
    Examples:
      monitor backtest pump --set alarm.threshold=2.5
      monitor backtest pump --set alarm.k=4 --set alarm.n=6 --since 7d
      monitor backtest pump --set calibration.false_alarms_per_day=0.2
      monitor backtest pump --sweep alarm.threshold=2,2.5,3,4
      monitor backtest pump --set alarm.lasting=false --json
    """
    require_order(since, until)
    variants = _variants(changes, sweep)
    config = settings_of(state, config_file)
    with open_store(config) as store:
        from monitor.bundle.bundle_io import load_bundle
        from monitor.cli.options import settings_source
        from monitor.cli.stream_models import model_of
        from monitor.outputs.score_history import read_scores
        from monitor.report import backtest as backtests
        from monitor.report import backtest_text as words
        from monitor.store import queries
        from monitor.store.location import host_name, scores_folder

        one = one_stream(queries.streams(store), stream, host_name(config))
        found = model_of(settings_source(config_file, ()), config, one.name, model)
        bundle = load_bundle(found.in_force)
        rules = [_rules(bundle, found, config_file, variant) for variant in ((), *variants)]
        begin = time.time() - FOUR_WEEKS_S if since is None else since
        end = time.time() if until is None else until
        segments = read_scores(scores_folder(config) / stream_folder(one.name), since=begin, until=end)
        events = queries.events(store, since=begin, until=end, streams=[one.id], kinds=["anomaly"], newest_first=False)
    tested = backtests.backtest(bundle, segments, events, rules)
    names = ["in force", *(", ".join(variant) for variant in variants)]
    notes = [*words.notes(tested), *_budget_notes(bundle, variants)]
    if as_json:
        say(
            json.dumps(
                {"stream": one.name, "model_id": bundle.model_id, **words.figures(tested, names), "notes": notes}
            )
        )
        return
    from rich.measure import Measurement

    out = console()
    short = [name.replace("alarm.", "").replace("calibration.", "") for name in names]
    table = words.table(tested, short)
    # A narrow terminal wraps its lines, which is better than cells that are cut off.
    out.width = max(out.width, Measurement.get(out, out.options.update(max_width=WIDEST), table).maximum)
    out.print(table)
    if len(tested.outcomes) == 2:
        for line in words.lines(tested, tested.outcomes[1]):
            out.print(line, markup=False, soft_wrap=True)
    for note in notes:
        out.print(note, markup=False, soft_wrap=True)


def _variants(changes: tuple[str, ...], sweep: str | None) -> list[tuple[str, ...]]:
    """The changes of settings of each column after the first."""
    if sweep is None:
        _require_known(changes)
        return [changes] if changes else []
    key, equals, values = sweep.partition("=")
    each = [value.strip() for value in values.split(",") if value.strip()]
    if not equals or not each:
        raise ConfigError(
            f"--sweep {printable(sweep)}: write it as group.key=A,B, such as --sweep alarm.threshold=2,3,4."
        )
    if len(each) > MANY:
        raise ConfigError(f"--sweep {printable(sweep)}: these are {len(each)} values: give at most {MANY}.")
    if key.strip() in _keys(changes):
        raise ConfigError(f"{printable(key.strip())} is given with --set and with --sweep: leave one of them away.")
    variants = [(*changes, f"{key.strip()}={value}") for value in each]
    for variant in variants:
        _require_known(variant)
    return variants


def _require_known(changes: Sequence[str]) -> None:
    keys = _keys(changes)
    for key, change in zip(keys, changes, strict=True):
        if key not in SETTINGS:
            raise ConfigError(
                f"--set {printable(change)}: stored scores cannot say what this would change; these can be given: "
                f"{', '.join(SETTINGS)}."
            )
    if BUDGET in keys and {"alarm.threshold", "alarm.sensitivity"} & set(keys):
        raise ConfigError(f"{BUDGET} chooses the limits: leave alarm.threshold and alarm.sensitivity away.")


def _keys(changes: Sequence[str]) -> list[str]:
    return [change.partition("=")[0].strip() for change in changes]


def _rules(bundle: Bundle, found: StreamModel, config_file: Path | None, changes: Sequence[str]) -> Rules:
    """What the alarm decides by with these changes of its settings."""
    from monitor.cli.options import settings_source
    from monitor.detection.cusum import Limits
    from monitor.report.alarm_rerun import Rules
    from monitor.report.backtest import rules_for_budget

    source: SettingsSource = settings_source(config_file, tuple(changes))
    config = source.for_model(bundle.config, str(found.configured), found.alarm)
    if BUDGET in _keys(changes):
        return rules_for_budget(bundle, config.alarm, config.calibration.false_alarms_per_day)
    return Rules(config.alarm, Limits.of(bundle, config.alarm))


def _budget_notes(bundle: Bundle, variants: Sequence[Sequence[str]]) -> list[str]:
    from monitor.report.backtest import is_beyond_calibration

    changes = [change.partition("=") for variant in variants for change in variant]
    budgets = [float(value) for key, _, value in changes if key.strip() == BUDGET]
    if not budgets:
        return []
    expected = bundle.thresholds["score"].expected
    made = [
        f"The limits for other numbers of false alarms are interpolated between those that the calibration knows, for "
        f"{0.1 * expected:.3g}, {expected:.3g} and {10 * expected:.3g} a day, on logarithmic scales."
    ]
    if any(is_beyond_calibration(bundle, one) for one in budgets):
        made.append("Beyond these numbers they are extrapolated: `monitor calibrate` finds limits that are measured.")
    return made
