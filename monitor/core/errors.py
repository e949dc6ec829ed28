"""Errors that are shown to the user. The class of an error sets the program's exit code.

    MonitorError             1   any failure with a message for the user
    ├── ConfigError          2   a setting, a settings file or a command line is invalid
    ├── DataError            1   recordings are missing, unreadable or too few
    │   └── RecordingsLeftOut 1  some of several recordings could not be played
    ├── SourceLost           3   the audio source is lost
    └── BundleError          4   a model file is damaged, or computes other scores here than where it was made

A message has one or two sentences: what is wrong, where, and what to do. The user never sees a traceback. An error has
one message, or several that are shown on a line each.
"""

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_SOURCE_LOST = 3
EXIT_BUNDLE = 4
EXIT_ANOMALY = 5
EXIT_INTERRUPTED = 130


class MonitorError(Exception):
    """A failure with a message for the user; the base class of all errors here.

    Args:
        messages: one or more. Each is shown as one line, even if a name in it contains a line break.
    """

    exit_code = EXIT_FAILURE

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages

    def __str__(self) -> str:
        return "\n".join(self.messages)


class ConfigError(MonitorError):
    """A setting, a settings file or a command line is invalid."""

    exit_code = EXIT_USAGE


class DataError(MonitorError):
    """Recordings are missing, unreadable or too few."""


class RecordingsLeftOut(DataError):
    """Some of several recordings could not be played; the others were."""


class SourceLost(MonitorError):
    """The audio source is lost."""

    exit_code = EXIT_SOURCE_LOST


class BundleError(MonitorError):
    """A bundle is damaged, is not a bundle, or computes other scores here than where it was made."""

    exit_code = EXIT_BUNDLE
