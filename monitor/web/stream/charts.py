"""Elements of the page of a stream: charts, which the browser draws (`static/*.js`), texts and buttons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from nicegui import ui

# Making the class known is what lets `history_chart.js` import ECharts, which is a part of NiceGUI.
from nicegui.elements.echart import EChart  # noqa: F401


class LiveView(ui.element, component="../static/live_view.js"):
    """The last minutes of a stream: score, error, spectrogram, and what is unusual.

    Args:
        label: what it shows, for those who cannot see it.
        offset_s: seconds by which local time is ahead of UTC.
        on_shown: called with whether the page can be seen, when that changes.
    """

    def __init__(self, label: str, offset_s: float, on_shown: Callable[[bool], None]) -> None:
        super().__init__()
        self._props["label"], self._props["offset"] = label, offset_s
        self.on("shown", lambda event: on_shown(bool(event.args)))

    def push(self, slots: Mapping[str, Any]) -> None:
        """Adds the newest slots (`monitor.service.status_values.recent_slots`), with both limits and their time."""
        self.run_method("push", slots)


class HistoryChart(ui.element, component="../static/history_chart.js"):
    """A stream's last hour, day or month.

    Args:
        on_open: called with the id of an event whose mark was clicked.
    """

    def __init__(self, on_open: Callable[[str], None]) -> None:
        super().__init__()
        self.on("opened", lambda event: on_open(str(event.args)))

    def show(self, data: Mapping[str, Any], label: str) -> None:
        """Shows other values.

        Args:
            data: as of `stream_charts.chart_values`.
            label: what they are, in words.
        """
        self._props["data"], self._props["label"] = data, label
        self.update()


class Text(ui.html):
    """An element with a text, which is sent again only if it changes.

    Args:
        text: the text; nothing in it is taken for HTML.
        tag: of the element.
    """

    def __init__(self, text: str = "", tag: str = "span") -> None:
        super().__init__(escape(text), sanitize=False, tag=tag)

    def show(self, text: str) -> None:
        """Shows another text."""
        if self.content != escape(text):
            self.set_content(escape(text))


def button(text: str, on_click: Callable[..., Any]) -> ui.element:
    """A button."""
    made = ui.element("button").classes("button").props('type="button"')
    with made:
        Text(text)
    made.on("click", on_click, args=[])
    return made
