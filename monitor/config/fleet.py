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
