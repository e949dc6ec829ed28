"""The errors a user can meet. Each class carries the exit code the program ends with.

    MonitorError             1   anything that went wrong
    ├── ConfigError          2   a setting or a command line that cannot be used
    ├── DataError            1   recordings that cannot be used
    ├── SourceLost           3   the sound stopped coming
    └── BundleError          4   a trained model that cannot be trusted

A message is one sentence or two: what is wrong, where, and what to do. No traceback reaches a user.
"""

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_SOURCE_LOST = 3
EXIT_BUNDLE = 4
EXIT_ANOMALY = 5
EXIT_INTERRUPTED = 130


class MonitorError(Exception):
    """Anything the user should be told in one sentence."""

    exit_code = EXIT_FAILURE


class ConfigError(MonitorError):
    """A setting, a configuration file or a command line that cannot be used."""

    exit_code = EXIT_USAGE


class DataError(MonitorError):
    """Recordings that are missing, unreadable or not enough."""


class SourceLost(MonitorError):
    """The audio source is gone."""

    exit_code = EXIT_SOURCE_LOST


class BundleError(MonitorError):
    """A bundle that is damaged, foreign, or computes other scores here than where it was made."""

    exit_code = EXIT_BUNDLE
