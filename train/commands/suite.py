"""`monitor evaluate --suite`: trains and evaluates every data set of a suite with every seed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from monitor.core.atomic_io import require_writable, write_atomically
from monitor.core.errors import DataError, MonitorError
from monitor.core.text import counted
from train.commands.folders import removed_on_failure
from train.commands.progress import Progress
from train.commands.suite_run import code_digest, run_once
from train.evaluation.suite_figures import Scores, SetResult, SuiteResult, scores_of
from train.evaluation.suite_file import DataSet, Suite
from train.evaluation.suite_table import SuiteReport
from train.evaluation.summary import as_json

JSON_FILE, MARKDOWN_FILE, PREVIOUS_FILE = "suite.json", "suite.md", "suite.previous.json"

log = logging.getLogger(__name__)

# Makes what shows the progress of one training and evaluation; the argument says which one it is.
ProgressOf = Callable[[str], AbstractContextManager[Progress]]


def evaluate_suite(suite: Suite, progress_of: ProgressOf) -> SuiteResult:
    """Trains and evaluates all sets with all seeds; what is kept in `suite.out` and has not changed is not done again.

    An error ends the work on its set; it is logged, and the other sets go on.

    Args:
        suite: what is to be done.
        progress_of: shows the progress.

    Raises:
        ConfigError: if the folder for the results cannot be written in.
    """
    with removed_on_failure(suite.out):
        require_writable(suite.out, f"choose another folder as `out` in {suite.file}.")
        sets = [_evaluate_set(suite, number, progress_of) for number in range(len(suite.sets))]
    return SuiteResult(sets, suite.streams, code_digest())


def write_result(suite: Suite, report: SuiteReport) -> None:
    """Writes suite.json and suite.md; a suite.json with other figures is kept as suite.previous.json."""
    file, content = suite.out / JSON_FILE, f"{as_json(report.result.as_json())}\n".encode()
    if file.is_file() and (earlier := file.read_bytes()) != content:
        write_atomically(suite.out / PREVIOUS_FILE, earlier)
    write_atomically(file, content)
    write_atomically(suite.out / MARKDOWN_FILE, report.markdown(suite.file.stem).encode())


def require_all(result: SuiteResult) -> None:
    """Checks that no set of a suite failed.

    Raises:
        DataError: naming those that did.
    """
    if failed := [one.name for one in result.sets if one.error]:
        raise DataError(f"{len(failed)} of {counted(len(result.sets), 'set')} failed: {', '.join(failed)}.")


def _evaluate_set(suite: Suite, number: int, progress_of: ProgressOf) -> SetResult:
    one = suite.sets[number]
    runs: dict[int, Scores] = {}
    error = ""
    with _no_line_twice():
        for position, seed in enumerate(suite.seeds, number * len(suite.seeds) + 1):
            label = f"{one.name}, seed {seed} ({position} of {suite.runs})"
            error, scores = _run(suite, one, seed, label, progress_of)
            if error:
                break
            runs[seed] = scores
    own = next((next(iter(scores)) for scores in runs.values()), "")
    return SetResult(one.name, own, runs, error)


def _run(suite: Suite, one: DataSet, seed: int, label: str, progress_of: ProgressOf) -> tuple[str, Scores]:
    """Trains and evaluates a set with one seed; returns why it failed, or "", and the figures."""
    config = one.config.model_copy(update={"train": one.config.train.model_copy(update={"seed": seed})})
    folder: Path = suite.out / one.name / f"seed-{seed}"
    try:
        with progress_of(f"{label}: ") as progress:
            result = run_once(config, one.data, folder, suite.streams, progress)
    except MonitorError as failure:
        error = " ".join(failure.messages)
    except Exception as failure:
        # One set that cannot be computed must not cost a night's work on the others.
        if os.environ.get("MONITOR_DEBUG"):
            raise
        error = (
            f"an unforeseen error, {type(failure).__name__}: {str(failure).rstrip('.')}. "
            "Run it again with MONITOR_DEBUG=1 in the environment to see where."
        )
    else:
        auc = "no AUC" if result["auc"] is None else f"AUC {result['auc']:.3f}"
        log.info("%s: %s.", label, auc)
        return "", scores_of(result)
    log.error("%s failed: %s", label, error)
    return error, {}


@contextmanager
def _no_line_twice() -> Iterator[None]:
    """Within the block each message is logged once: every seed reads the same recordings, and warns of the same."""
    seen: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        count = len(seen)
        seen.add(record.getMessage())
        return len(seen) > count

    handlers = {handler for name in ("monitor", "train") for handler in logging.getLogger(name).handlers}
    for handler in handlers:
        handler.addFilter(is_new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_new)
