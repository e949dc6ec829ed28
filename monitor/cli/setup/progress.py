"""What `monitor setup` knows and has done, kept in the machine's folder so that it can be continued."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.core.atomic_io import write_atomically
from monitor.core.errors import ConfigError

FILE = "setup.json"
VERSION = 1


@dataclass(slots=True)
class SetupProgress:
    """The answers so far, and what each finished step was made from.

    A step is done if what it would be made from now equals what it was made from then: so another answer, or another
    recording, makes the steps that depend on it due again, and no others.
    """

    folder: Path
    answers: dict[str, Any] = field(default_factory=dict)
    done: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the name of the step

    @classmethod
    def load(cls, folder: Path) -> SetupProgress:
        """The progress in a folder; an empty one if nothing has been done there.

        Raises:
            ConfigError: if the file is damaged, or of a newer version of this program.
        """
        path = folder / FILE
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["version"] > VERSION:
                raise ConfigError(f"{path}: was written by a newer version of this program.")
            return cls(folder, dict(kept["answers"]), {name: dict(made) for name, made in kept["done"].items()})
        except FileNotFoundError:
            return cls(folder)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(f"{path}: is damaged: delete it to begin anew; recordings and model stay.") from None

    def save(self) -> None:
        """Writes the file in one go.

        Raises:
            MonitorError: if it cannot be written.
        """
        kept = {"version": VERSION, "answers": self.answers, "done": self.done}
        write_atomically(self.folder / FILE, (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode())

    def finish(self, step: str, made_from: dict[str, Any]) -> None:
        """Takes note that a step is done, at once."""
        self.done[step] = made_from
        self.save()
