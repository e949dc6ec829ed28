"""The settings of monitors on several computers that write to one store."""

from __future__ import annotations

from pydantic import Field

from monitor.config.setting_types import Group


class Fleet(Group):
    """Monitors on several computers with one store; `monitor fleet status` shows them."""

    every_s: float = Field(
        30.0, ge=1, le=3600,
        description="seconds between two signs of life in the store, with each of which it looks for a new model",
    )  # fmt: skip
    take_models: bool = Field(True, description="whether models are taken that `monitor model push` hands out")
    keep_models_days: float = Field(
        90.0, ge=1, le=36_500,
        description="days for which a model that was handed out is kept after it was added, handed out or taken last; "
        "those that a stream uses stay",
    )  # fmt: skip
    keep_models: int = Field(
        5, ge=1, le=1000,
        description="newest models that were handed out to a stream, which are kept for it whatever their age",
    )  # fmt: skip
