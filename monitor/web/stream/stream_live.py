"""The upper part of a stream's page: its state now, the live charts, and what can be done about it."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from typing import Any

from nicegui import ui

from monitor.core.errors import MonitorError
from monitor.core.events import Band, State
from monitor.core.text import precision_text, printable
from monitor.dashboard.render.formatting import level, share
from monitor.dashboard.widgets.long_term import long
from monitor.dashboard.widgets.reason import REASONS, sound_at
from monitor.notify.acknowledgement import acknowledge
from monitor.notify.muting import mute
from monitor.report import event_text as words
from monitor.service.status_client import ask
from monitor.web.context import WebContext
from monitor.web.login.users import User
from monitor.web.stream.charts import LiveView, Text, button
from monitor.web.stream.stream_elsewhere import Elsewhere, read_elsewhere
from monitor.web.stream.stream_facts import StreamFacts, StreamNow, read_now

EVERY_S = 0.5  # between two messages to the browser
STORE_EVERY_S = 5.0
ASK_S = 2.0  # longest time to wait for live values
MUTES = (
    ("30 min", 1800.0),
    ("1 h", 3600.0),
    ("4 h", 4 * 3600.0),
    ("8 h", 8 * 3600.0),
    ("1 d", 86_400.0),
    ("7 d", 7 * 86_400.0),
)
FACTS = ("Level", "Running for", "Not heard", "Source", "Model", "Limit", "False alarms", "Computed in", "Processing")


class LivePanel:
    """The live values of one stream in one browser. Nothing is asked for while nobody can see it.

    Args:
        context: of the process.
        user: who looks.
        facts: of the stream.
    """

    def __init__(self, context: WebContext, user: User, facts: StreamFacts) -> None:
        self._context, self._user, self._facts = context, user, facts
        self._stream = facts.stream
        self._here = self._stream.host == context.host  # only this computer's monitor can be asked
        self._after, self.shown = -1, True  # the newest slot of the browser; whether the page can be seen
        self._stored_due = 0.0
        self._now: StreamNow | None = None
        self._make()
        self._timer = ui.timer(EVERY_S, self._turn)

    def _make(self) -> None:
        with ui.element("section").classes("panel now").props('aria-label="Now"'):
            with ui.element("div").classes("headline"):
                self._state = Text(tag="span").classes("state")
                self._share = Text(tag="span").classes("share")
                self._reason = Text(tag="span").classes("reason")
                self._event = ui.element("a").classes("button")
                with self._event:
                    Text("Open the event")
                ui.element("span").classes("grow")
                self._muted = Text(tag="span").classes("muted-until")
                if self._user.may_write:
                    self._acknowledge = button("Acknowledge", self._on_acknowledge).classes("main")
                    self._acknowledge.props('title="Seen: no more reminders (a)" data-key="a"')
                    self._acknowledge.set_visibility(False)
                    self._mute_choice()
            self._event.set_visibility(False)
            with ui.element("div").props('role="status"').classes("sr"):
                self._said = Text()
            offset = datetime.datetime.now().astimezone().utcoffset()
            label = (
                f"{self._facts.name}: score and error against their limits, and the spectrogram, of the last minutes"
            )
            self.view = LiveView(label, offset.total_seconds() if offset else 0.0, self._on_shown)
            self._note = Text(tag="p").classes("muted note")
            with ui.element("dl").classes("facts"):
                self._values: dict[str, Text] = {}
                for name in FACTS:
                    with ui.element("div"):
                        Text(name, "dt")
                        self._values[name] = Text("–", "dd")

    def _mute_choice(self) -> None:
        options = "".join(f'<option value="{seconds:.0f}">{name}</option>' for name, seconds in MUTES)
        self._mute = ui.html(
            f'<option value="">Mute …</option>{options}<option value="0">end muting</option>',
            sanitize=False,
            tag="select",
        ).classes("field")
        self._mute.props('aria-label="Mute: events are recorded, but no messages are sent" data-key="m"')
        self._mute.on(
            "change",
            lambda event: self._on_mute(event.args),
            js_handler="(e) => { emit(e.target.value); e.target.value = ''; }",
        )

    async def _turn(self) -> None:
        """Brings the page up to date; the next turn begins when this one is done."""
        if not self.shown:
            return
        if time.monotonic() >= self._stored_due:
            await self._read_stored()
        if not self._here:
            return
        if not self._context.live_values.alive:
            self._show_nothing(self._context.live_values.trouble)
            return
        if self._stream.name not in self._context.live():
            self._show_nothing("The monitor that runs does not listen to this stream.")
            return
        request = {"command": "recent", "stream": self._stream.name, "after": self._after - 1}
        try:
            answer = await self._context.run(lambda: ask(self._context.folder, request, timeout_s=ASK_S))
            values, slots = answer["values"], answer["slots"]
        except MonitorError as error:
            self._show_nothing(" ".join(error.messages))
            return
        except KeyError:
            self._show_nothing("The monitor is of another version than this page: restart both.")
            return
        self._show(values, answer["time"])
        if slots["score"]:
            self._after = (
                slots["first"] + len(slots["score"]) - 1
            )  # this slot may not be complete: it is asked for again
            self.view.push(
                {**slots, "limit": values["limit"], "error_limit": values["error_limit"], "time": answer["time"]}
            )

    async def _read_stored(self) -> None:
        self._stored_due = time.monotonic() + STORE_EVERY_S
        try:
            self._now = await self._context.read(lambda store: read_now(store, self._stream.id))
            if not self._here:
                self._show_elsewhere(await self._context.read(lambda store: read_elsewhere(store, self._stream.id)))
        except MonitorError:  # the frame says so
            return
        until = self._now.muted_until
        is_muted = until is not None and until > time.time()
        self._muted.show(f"muted until {words.moment(until or 0.0).strip()[:-3]}" if is_muted else "")
        if self._user.may_write:
            self._acknowledge.set_visibility(bool(self._now.unseen))

    def _show_elsewhere(self, found: Elsewhere) -> None:
        """Shows what the store says of a stream of another computer."""
        self._set_state(found.state, found.state.lower().replace(" ", "-"))
        self._share.show("" if found.share is None else f"{share(found.share)} of the limit")
        self._reason.show("" if found.since is None else f"since {words.moment(found.since).strip()}")
        self._note.show(found.note)
        self._link(None)
        shown = {"Level": level(found.level), "Source": printable(found.stream.source), "Model": found.stream.model_id}
        for name, text in shown.items():
            self._values[name].show(text or "–")

    def _show_nothing(self, why: str) -> None:
        self._set_state("not running", "not-running")
        self._share.show("")
        self._reason.show("")
        self._note.show(why)
        self._link(None)

    def _show(self, values: dict[str, Any], now: float) -> None:
        state = str(values["state"])
        self._set_state(state, state.lower().replace(" ", "-"))
        of_limit = values["share_of_limit"]
        self._share.show("" if of_limit is None else f"{share(of_limit)} of the limit")
        self._reason.show(values["failure"] or reason(values, now))
        self._note.show("")
        self._link(values["event"])
        shown = {
            "Level": level(values["level_dbfs"] if values["level_dbfs"] is not None else float("nan")),
            "Running for": long(values["uptime_s"] or 0.0),
            "Not heard": long(values["not_heard_s"]) if values["not_heard_s"] else "nothing missed",
            "Source": values["source"],
            "Model": values["model"],
            "Computed in": precision_text(values["precision"], values["limits_precision"]) or "–",
            "Limit": values["limit_note"],
            "False alarms": values.get("false_alarms") or "not known for this limit",
            "Processing": "–" if values["processing_s"] is None else f"{1000 * values['processing_s']:.1f} ms",
        }
        for name, text in shown.items():
            self._values[name].show(str(text))

    def _set_state(self, word: str, look: str) -> None:
        if self._state.content != word:
            self._state.classes(replace=f"state {look}")
            self._state.show(word)
            self._said.show(f"{self._facts.name}: {word}")

    def _link(self, event: dict[str, Any] | None) -> None:
        """The event that goes on, as far as the store has it."""
        ongoing = self._now.ongoing if self._now is not None else ()
        known = event["id"] if event and event["kind"] == "anomaly" else ongoing[0].id if ongoing else ""
        self._event.set_visibility(bool(known))
        if known:
            self._event.props(f'href="/event/{known}"')

    def _on_shown(self, shown: bool) -> None:
        self.shown = shown

    async def _on_acknowledge(self) -> None:
        ids = self._now.unseen if self._now is not None else ()
        await self._act(lambda store, by: acknowledge(store, ids, by), "Acknowledged: there are no more reminders.")

    async def _on_mute(self, chosen: object) -> None:
        if not isinstance(chosen, str) or chosen not in {"0", *(f"{seconds:.0f}" for _, seconds in MUTES)}:
            return
        until = time.time() + float(chosen) if chosen != "0" else None
        said = "Messages are sent again." if until is None else "Muted: events are recorded, no messages are sent."
        await self._act(lambda store, by: mute(store, [self._stream.id], until, by), said)

    async def _act(self, work: Callable[..., Any], said: str) -> None:
        try:
            await self._context.act(self._user, work)
        except MonitorError as error:
            said = " ".join(error.messages)
        ui.run_javascript(f"page.say({json.dumps(said)})")
        await self._read_stored()


def reason(values: dict[str, Any], now: float) -> str:
    """Why the state is what it is: unusual for 2 min: new sound at 2.1-2.8 kHz."""
    state = next((one for one in State if one.value == values["state"]), None)
    text = REASONS[state] if state is not None else ""
    event = values["event"]
    if event is None or state not in (State.ANOMALY, State.LOST, State.NO_SIGNAL):
        return text
    lasted = long(max(now - event["began"], 0.0))
    if state is not State.ANOMALY:
        return f"{text}, for {lasted}"
    text = f"{'a little unusual' if event['cause'] == 'small but lasting' else 'unusual'} for {lasted}"
    places = sound_at([Band(low, high, 0.0, change) for low, high, change in event["bands"]], 200)
    return f"{text}: {places}" if places else text
