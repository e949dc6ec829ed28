"""The templates of pages that are one HTML file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2


def templates(folder: str, filters: Mapping[str, Callable[..., Any]]) -> jinja2.Environment:
    """The templates in a folder of this package, with these filters and `whole`, which keeps percentages on a line."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("monitor", folder),
        autoescape=True,  # names of streams and files come from outside
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {**filters, "whole": lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")}
    return made
