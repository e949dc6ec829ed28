"""Settings of a model, with some of them changed as on the command line."""

from __future__ import annotations

from dataclasses import replace

from monitor.bundle.bundle import Bundle
from monitor.config.loader import SettingsSource
from monitor.config.schema import Config


def settings_with(bundle: Bundle, *overrides: str) -> Config:
    """Returns the settings in force for a model with these `--set` options."""
    return SettingsSource.from_options(overrides).for_model(bundle.config, "the model")


def with_settings(bundle: Bundle, *overrides: str) -> Bundle:
    """Returns the model as if it had been calibrated with these settings."""
    return replace(bundle, config=settings_with(bundle, *overrides))
