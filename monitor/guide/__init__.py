"""The manual: one markdown file for each page. `monitor guide TOPIC` shows a page in the terminal."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["page", "topics"]

TOPICS = (  # names of the pages, in reading order
    "first-model",
    "screen",
    "alarms",
    "store",
    "looking-back",
    "web",
    "clips",
    "normal-sound",
    "verdicts",
    "selftest",
    "many-microphones",
    "network",
    "plant",
    "service",
    "container",
    "fleet",
    "notify",
    "integrations",
    "scan",
    "labels",
    "article",
    "method",
    "figures",
    "troubleshooting",
    "commands",
    "settings",
    "python",
    "export",
)


def topics() -> dict[str, str]:
    """The titles of all pages by their names, in reading order."""
    return {name: page(name).splitlines()[0].lstrip("# ") for name in TOPICS}


def page(name: str) -> str:
    """The text of a page in markdown.

    Raises:
        FileNotFoundError: if there is no page of this name.
    """
    return (files(__package__) / f"{name}.md").read_text(encoding="utf-8")
