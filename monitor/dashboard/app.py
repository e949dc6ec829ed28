"""Shows the monitoring: on a dashboard, or as log lines where there is no terminal, and after a failure to draw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from monitor.core.snapshot import Snapshot
from monitor.dashboard.plain_log import PlainLogs, WriteLog

if TYPE_CHECKING:
    from monitor.dashboard.history import History
    from monitor.dashboard.viewer import Controls

_POLL_S = 0.1  # between looks for new log lines

_log = logging.getLogger(__name__)


def show(
    latest: Callable[[], Sequence[Snapshot]],
    controls: Controls,
    done: Callable[[], bool],
    *,
    published: Callable[[], Sequence[Snapshot]] | None = None,
    fps: float = 8.0,
    ascii: bool = False,
    colour: bool = True,
    console: Console | None = None,
    log: WriteLog | None = None,
    snapshot_dir: Path = Path(),
    log_every_s: float = 10.0,
    history: History | None = None,
    acknowledge: Callable[[str], None] | None = None,
) -> None:
    """Shows the monitoring until `done()`, or until q is pressed. Runs in the main thread.

    It writes plain log lines instead if the console is no terminal or cannot move its cursor, and after a failure
    to draw.

    Args:
        latest: returns the newest snapshot of each stream.
        controls: is called by the keys q, + and -.
        done: returns whether there is nothing more to show.
        published: as `latest`, for log lines, which need none that are made only to be looked at; None: `latest`.
        fps: frames a second.
        ascii: use no characters outside ASCII, as where the console cannot encode them.
        colour: False for no colours; NO_COLOR in the environment does the same.
        console: where to draw, standard output by default.
        log: takes a log line as a text and its facts; None writes the text on the console.
        snapshot_dir: where the key s saves pictures.
        log_every_s: seconds between log lines that summarise.
        history: where the key z gets hours and days from; None if nothing is kept.
        acknowledge: is told the id of an anomaly that was acknowledged with the key a.
    """
    console = console or Console(no_color=None if colour else True, highlight=False)
    ascii = ascii or not console.encoding.lower().startswith("utf")
    plain = PlainLogs(log or (lambda text, _: _write(console, text)), log_every_s)
    if console.is_terminal and not console.is_dumb_terminal:
        # Imported here, because listening without a screen starts sooner without them.
        from monitor.dashboard.keyboard import keyboard
        from monitor.dashboard.render.view import View
        from monitor.dashboard.viewer import Viewer

        viewer = Viewer(
            latest, controls, done, console, View(ascii=ascii, colour=colour), snapshot_dir, history, acknowledge
        )
        with console.screen(hide_cursor=True), keyboard() as wait:
            failure = viewer.run(wait, fps)
        if failure is None:
            return
        _log.debug("the dashboard failed to draw", exc_info=failure)
        plain.say(f"the dashboard stopped ({type(failure).__name__}: {failure}); monitoring goes on, with log lines")
    while True:
        over = done()  # asked before the snapshot is taken, so that the last one is logged
        plain.update((published or latest)())
        if over:
            return
        time.sleep(_POLL_S)


def _write(console: Console, text: str) -> None:
    console.file.write(text + "\n")
    console.file.flush()
