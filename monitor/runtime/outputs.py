"""Where what is heard goes, as the commands that listen are told it. What is heavy is imported when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.bundle.bundle import Bundle
    from monitor.outputs.sink import Sink


@dataclass(frozen=True, slots=True)
class Outputs:
    """To the terminal, and to files and a folder where there is one."""

    headless: bool  # lines of text in place of the dashboard
    scores: Path | None  # CSV
    events: Path | None  # JSON lines
    pictures: Path | None  # folder

    def sinks(self, *, wait: bool, named: bool = False) -> list[Sink]:
        """What all streams tell.

        Args:
            wait: for the disk, so that nothing is lost; what is heard live must not.
            named: there are several streams, and each has a name.

        Raises:
            MonitorError: if a file cannot be written.
        """
        from monitor.outputs.sink import EventLog, ScoreLog

        sinks: list[Sink] = [EventLog(self.events, wait=wait)] if self.events else []
        return sinks + ([ScoreLog(self.scores, wait=wait, named=named)] if self.scores else [])

    def pictures_of(self, bundle: Bundle, *, wait: bool) -> list[Sink]:
        """What draws the anomalies of one stream, by its model.

        Raises:
            MonitorError: if nothing can be written in the folder.
        """
        from monitor.outputs.event_plots import EventPictures

        return [EventPictures(self.pictures, bundle, wait=wait)] if self.pictures else []
