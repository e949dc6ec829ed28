"""What all steps of `monitor setup` share: the machine's folder and answers, and the commands that they run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.logs import set_up_logs
from monitor.cli.output import say
from monitor.cli.setup.progress import SetupProgress
from monitor.cli.setup.questions import Questions
from monitor.core.errors import MonitorError
from monitor.core.text import printable

if TYPE_CHECKING:
    from monitor.config.schema import Config

MODEL, CHECKPOINT, SETTINGS = "model.safetensors", "checkpoint.safetensors", "config.yaml"
RECORDINGS, STATE = "recordings", "state"  # folders
Facts = dict[str, Any]


@dataclass(slots=True)
class Setup:
    """What all steps share."""

    progress: SetupProgress
    questions: Questions
    config: Config  # the settings in force, without those of the machine
    options: tuple[str, ...]  # --config and --set, as they are given to other commands
    install: bool = False
    answers: Facts = field(init=False)

    def __post_init__(self) -> None:
        self.answers = self.progress.answers

    @property
    def folder(self) -> Path:
        """The folder of the machine."""
        return self.progress.folder

    @property
    def recordings(self) -> Path:
        """The folder of the recordings to train on."""
        return Path(self.answers["recordings"]) if self.answers.get("recordings") else self.folder / RECORDINGS

    @property
    def microphone(self) -> tuple[str, ...]:
        """The options that choose the microphone. The file with an address is among `options`."""
        device, channel = self.answers.get("device"), self.answers.get("channel")
        return (
            *(() if device is None else (f"--device={device}",)),
            *(() if channel is None else (f"--channel={channel}",)),
        )

    def run(self, *words: object) -> None:
        """Prints a command line of this program, and runs it.

        Raises:
            MonitorError: if the command fails.
        """
        from monitor.cli.main import cli

        name, *arguments = map(str, words)
        say(printable(f"  $ monitor {shlex.join([name, *arguments])}"))
        try:
            code = cli.commands[name].main(arguments, prog_name=f"monitor {name}", standalone_mode=False)
        finally:
            set_up_logs()  # the command may have changed them
        if isinstance(code, int) and code:
            raise MonitorError(f"monitor {name} ended with code {code}.")
