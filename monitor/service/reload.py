"""Reads the settings again while the program listens, on SIGHUP or on request, and applies what has changed."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from monitor.config.loader import SettingsSource
from monitor.core.errors import ConfigError, MonitorError
from monitor.runtime.live_streams import LiveStreams, Prepared
from monitor.runtime.monitored_stream import MonitoredStream

_SETTINGS = ("settings read again", "those in force stay")
_MODEL = ("another model", "the one in force stays")
CLOSE_S = 10.0  # longest time that closing waits for a reload that is running

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload has done."""

    by: str  # who asked for it
    changed: tuple[str, ...]  # what was applied, in words
    needs_restart: tuple[str, ...]  # names of settings that have changed, but need a restart
    removed: tuple[MonitoredStream, ...] = ()  # streams that have ended, because they were removed or made anew

    @property
    def text(self) -> str:
        """What was applied, in a sentence."""
        return f"{'; '.join(self.changed)}." if self.changed else "nothing has changed."

    @property
    def restart_text(self) -> str:
        """What needs a restart, in a sentence; empty if nothing does."""
        if not self.needs_restart:
            return ""
        return f"{', '.join(self.needs_restart)}: changed in the settings, but not applied: this needs a restart."


class Reloader:
    """Reads settings again and applies them, one reload after another. If anything is wrong, nothing is applied.

    Args:
        streams: whose session is running.
        read: reads the settings.
        around: a context in which the settings are read and applied.
        after: is called with what a reload has done, on the thread of the reload.
    """

    def __init__(
        self,
        streams: LiveStreams,
        read: Callable[[], SettingsSource],
        *,
        around: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        after: Callable[[Reloaded], None] = lambda _: None,
    ) -> None:
        self._streams, self._read, self._around, self._after = streams, read, around, after
        self._one_at_a_time = threading.Lock()
        self._requests: SimpleQueue[str] = SimpleQueue()  # who asks; empty to end the thread
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self._thread.start()

    def request(self, by: str = "SIGHUP") -> None:
        """Asks for a reload, and returns at once. It may be called in a signal handler; what comes of it is logged."""
        self._requests.put(by)

    def reload(self, by: str) -> Reloaded:
        """Reads and applies the settings. The result is logged, too.

        Args:
            by: who asks for it, for the log.

        Raises:
            MonitorError: if something is wrong with the settings; those in force stay.
        """
        return self._applied(_SETTINGS, by, lambda: self._streams.prepare(self._read()))

    def use_model(self, stream: str, by: str) -> Reloaded:
        """Lets a stream take the version of its model that is in force, with the settings as they were read last.

        Nothing else is touched: settings that somebody is editing are not applied by a model that is handed out.

        Args:
            stream: its name in the settings; empty for the only one.
            by: who asks for it, for the log.

        Raises:
            MonitorError: if the stream cannot use it; it goes on as before.
        """
        return self._applied(_MODEL, by, lambda: self._streams.prepare(self._streams.settings, only=stream))

    def _applied(self, words: tuple[str, str], by: str, prepare: Callable[[], Prepared]) -> Reloaded:
        """Prepares a change and applies it; `words`, what it is and what stays otherwise, and `by` are for the log."""
        what, stays = words
        with self._one_at_a_time, self._around():
            try:
                prepared = prepare()
                removed = self._streams.apply(prepared)
            except MonitorError as error:
                for message in error.messages:
                    log.error("%s", message)
                log.error("%s (%s): nothing was applied, because of this; %s", what, by, stays)
                raise
            except Exception as error:
                log.exception("%s (%s): nothing was applied", what, by)
                raise MonitorError(
                    f"Nothing could be applied, by an unforeseen error, {type(error).__name__}: {error}."
                ) from error
            reloaded = Reloaded(by, prepared.changed, prepared.needs_restart, tuple(removed))
            log.info("%s (%s): %s", what, by, reloaded.text)
            if reloaded.needs_restart:
                log.warning("%s", reloaded.restart_text)
            try:
                self._after(reloaded)
            except Exception:  # the change is applied
                log.exception("%s (%s): not noted everywhere", what, by)
            return reloaded

    def answer(self, _request: object = None) -> dict[str, object]:
        """Reloads for another program, and returns what was done as values for JSON.

        Raises:
            ConfigError: if something is wrong with the settings; those in force stay.
        """
        try:
            done = self.reload("monitor reload")
        except MonitorError as error:
            raise ConfigError(*error.messages) from None
        return {"ok": True, "changed": list(done.changed), "needs_restart": list(done.needs_restart)}

    def close(self) -> None:
        """Waits for a reload that is running, for a limited time, and makes no further one."""
        self._requests.put("")
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while by := self._requests.get():
            # One reload answers all requests that have come so far.
            with contextlib.suppress(Empty):
                while True:
                    if not self._requests.get_nowait():
                        return
            with contextlib.suppress(MonitorError):  # it was logged
                self.reload(by)
