"""The page of an event as HTML, and its parts, which are exchanged when something has changed."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from markupsafe import Markup, escape

from monitor.core.text import band_range
from monitor.report import event_text
from monitor.web.event import event_view
from monitor.web.event.event_view import EventView

PARTS = ("ways", "player", "judge", "facts")


def whole(view: EventView, *, may_write: bool, clips_enabled: bool) -> str:
    """The page's content."""
    return _render("event.html", view, may_write=may_write, clips_enabled=clips_enabled)


def parts(view: EventView, *, may_write: bool, clips_enabled: bool, just_judged: bool = False) -> dict[str, str]:
    """The parts of the page that may have changed, by name.

    Args:
        view: the event.
        may_write: whether the user may judge.
        clips_enabled: whether sound is kept at all.
        just_judged: whether the user has just said what it was, and now wants the next one.
    """
    options = {"may_write": may_write, "clips_enabled": clips_enabled, "just_judged": just_judged}
    return {name: _render(f"event_{name}.html", view, **options) for name in PARTS}


def _render(template: str, view: EventView, *, clips_enabled: bool, just_judged: bool = False, **options: Any) -> str:
    event = view.event
    verdict = view.verdicts[-1].verdict if view.verdicts else ""
    values = {
        "view": view,
        "event": event,
        "title": event_view.title(event),
        "subtitle": event_view.subtitle(event),
        "bands": ", ".join(map(band_range, event.bands)),
        "facts": event_view.facts(view),
        "choices": event_view.choices(),
        "just_judged": just_judged,
        "silent": event_view.why_silent(event, clips_enabled=clips_enabled),
        "consequence": _with_commands(event_view.consequence(verdict, event.stream)) if verdict else "",
        "moment": lambda at: event_text.moment(at).strip(),
    }
    return str(_templates().get_template(template).render(**values, **options))


def _with_commands(text: str) -> Markup:
    """A text in which commands stand between backquotes."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


@cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("monitor.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
