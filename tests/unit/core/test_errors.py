"""The exit codes of the error classes, which scripts rely on."""

from __future__ import annotations

from monitor.core.errors import BundleError, ConfigError, DataError, MonitorError, SourceLost


def test_exit_codes_are_as_documented() -> None:
    codes = {error: error.exit_code for error in (MonitorError, DataError, ConfigError, SourceLost, BundleError)}
    assert codes == {MonitorError: 1, DataError: 1, ConfigError: 2, SourceLost: 3, BundleError: 4}
    assert all(issubclass(error, MonitorError) for error in codes)
