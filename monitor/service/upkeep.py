"""What is done beside the monitoring: at night streams that are commissioned learn, and self-tests are made; once a day
models that nobody needs any more are deleted.

The work itself is done by other commands, as processes of their own with low priority, one at a time: so torch never
enters the process that listens, and nothing that fails there can disturb it.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from monitor.config.schema import Config
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import EXIT_ANOMALY, EXIT_INTERRUPTED, EXIT_OK, MonitorError
from monitor.core.text import counted, duration_text, printable, shortened
from monitor.service.commissioning import AGAIN_S, DAY_S, Commissioning, Night, Stream, digest
from monitor.service.low_priority import LONGEST_TEXT, MONITOR, Finished, run_command
from monitor.service.nightly import next_time

TICK_S, SHORTEST_S = 5.0, 0.05  # longest and shortest time between two looks at what is due
LEARNING_S, SELFTEST_S, CLEANING_S = 6 * 3600.0, 3 * 3600.0, 3600.0  # longest time of a command
FIRST_CLEANING_S = 3600.0  # after the start; then each day
PUT_OFF_S = 600.0  # time between two looks whether an anomaly still prevents learning
SET_S = 600.0  # if the clock differs by more from the time that has passed, it was set, or the computer has slept
CLOSE_S = 15.0
SELFTESTS = "selftests.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What upkeep needs of the monitor that it runs in. All is called on the thread of upkeep."""

    improve: Callable[[str], Sequence[str]]  # the arguments of the command by which a stream learns
    selftest: Callable[[], Sequence[str]]  # those of the self-test
    unjudged: Callable[[str], bool]  # whether an anomaly of a stream lasts that nobody has judged
    show: Callable[[str, str], None]  # shows a remark at a stream; "" for none
    note: Callable[[str, str, str], None]  # notes in the audit trail what was done, to which stream, with what result
    clean: Callable[[], Sequence[str]] = tuple  # those of the command that deletes models; empty: there are none
    program: Sequence[str] = MONITOR  # that the commands belong to


class _SelfTests(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    began: float  # when they were first asked for
    last: float | None = None
    tried: float | None = None  # when the last one began, if it was broken off


class Upkeep:
    """Does what is due, on a thread of its own.

    Args:
        folder: the state folder.
        surroundings: of the monitor.
        clock: returns the Unix time.
        steady: returns seconds that pass evenly, also when the clock is set.
    """

    def __init__(
        self,
        folder: Path,
        surroundings: Surroundings,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.commissioning = Commissioning(folder)
        self._around, self._clock, self._path = surroundings, clock, folder / SELFTESTS
        self._self_tests: _SelfTests | None = None  # they are read when they are first asked for
        self._steady, self._ahead = steady, clock() - steady()
        self._config, self._models = Config(), dict[str, str]()  # digests of the configured models
        self._cleaning_due = steady() + FIRST_CLEANING_S
        self._put_off: dict[str, float] = {}  # until when streams do not learn, because of an anomaly
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def use(self, config: Config, models: Mapping[str, Path]) -> None:
        """Takes the settings, and the configured model of each stream, at the start and when they have changed."""
        digests = {name: digest(model) for name, model in models.items()}
        with self._lock:
            self._config, self._models = config, digests

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Ends a command that is running, and the thread."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def tick(self) -> float:
        """Does what is due now; returns the seconds until it should be called again."""
        with self._lock:
            config, models = self._config, self._models
        days, at = config.commissioning.days, config.commissioning.at
        self._follow_clock()
        for name, model in models.items():
            if days and not self._ending.is_set():
                self.commissioning.begin(name, model, days, self._clock())
                self._commission(name, at)
            stream = self.commissioning.stream(name)
            lasts = days and stream is not None and stream.ended is None
            self._around.show(name, stream.text(self._clock()) if lasts and stream is not None else "")
        if config.selftest.every_days and models and not self._ending.is_set():
            self._test(config.selftest.every_days, at)
        if self._steady() >= self._cleaning_due and not self._ending.is_set():
            self._clean()
        return self._rest(list(models), at) if days else TICK_S

    def _run(self) -> None:
        failure = ""
        while not self._ending.is_set():
            rest = TICK_S
            try:
                rest = self.tick()
            except Exception as error:  # the next time may do better
                if failure != repr(error):
                    log.exception("Upkeep failed, and is tried again: %s", error)
                failure = repr(error)
            self._ending.wait(rest)

    def _rest(self, names: Sequence[str], at: str) -> float:
        """Seconds until something may be due for a stream that is commissioned; at most until the next look."""
        now, known = self._clock(), self.commissioning
        lasting = [stream for name in known.lasting(names) if (stream := known.stream(name))]
        ends = [stream.until - now for stream in lasting]
        dues = [rest for stream in lasting if (rest := stream.due(at) - now) > 0]  # what is overdue was put off
        return max(SHORTEST_S, min([TICK_S, *ends, *dues]))

    def _follow_clock(self) -> None:
        """Moves the times of commissioning if the clock was set, so that no day is lost or added."""
        ahead = self._clock() - self._steady()
        moved, self._ahead = ahead - self._ahead, ahead
        if abs(moved) > SET_S:
            self.commissioning.move(moved)
            self._put_off.clear()

    def _commission(self, name: str, at: str) -> None:
        """Lets a stream learn if that is due, and ends its commissioning if that is over."""
        stream, now = self.commissioning.stream(name), self._clock()
        if stream is None or stream.ended is not None:
            return
        if now >= stream.until:
            self._end(name, stream, f"its {_length(stream.days)} are over")
        elif now >= stream.due(at) and now >= self._put_off.get(name, 0.0):
            if self._around.unjudged(name):
                if name not in self._put_off:
                    log.info("%s: %s: nothing is learnt until the anomaly is over, or judged", name, stream.text(now))
                self._put_off[name] = now + PUT_OFF_S
                return
            self._put_off.pop(name, None)
            self._learn(name, stream)

    def _learn(self, name: str, stream: Stream) -> None:
        self._around.show(name, f"{stream.text(self._clock())}, learning")
        self.commissioning.trying(name, self._clock())
        finished = self._command(self._around.improve(name), LEARNING_S, (EXIT_OK,))
        if finished is None:
            if self._ending.is_set():  # the next start makes it up at once
                self.commissioning.trying(name, None)
            return
        now = self._clock()
        if isinstance(finished, str):
            night, sure = Night(time=now, text=f"It could not learn: {finished}"), False
        else:
            said = finished.last_object
            found = said.get("sentences")
            sentences = " ".join(map(str, found)) if isinstance(found, list) and found else "Nothing was said about it."
            text = shortened(printable(sentences), LONGEST_TEXT)
            night = Night(time=now, promoted=said.get("promoted") is True, text=text)
            sure = said.get("proven") is True
        said_so = log.warning if isinstance(finished, str) else log.info
        said_so("%s: %s: %s", name, stream.text(now), night.text)
        self.commissioning.note(name, night)
        self._around.note("commissioning", name, night.text)
        if sure:
            self._end(name, stream, "the budget of false alarms is certain to be kept", sure=True)

    def _end(self, name: str, stream: Stream, why: str, *, sure: bool = False) -> None:
        self.commissioning.end(name, self._clock(), why, sure=sure)
        last = f" The last time: {stream.nights[-1].text}" if stream.nights else ""
        text = f"The commissioning has ended: {why}.{last}"
        log.info("%s: %s", name, text)
        self._around.note("commissioning", name, text)

    def _test(self, every_days: float, at: str) -> None:
        """Makes a self-test of all streams if one is due."""
        known, now = self._self_tests or self._read(), self._clock()
        newest = max([known.began, *(one for one in (known.last, known.tried) if one is not None)])
        if newest > now:  # the clock was set back
            known = _SelfTests(began=now)
            self._write(known)
        if every_days < 1:
            due = (known.last or known.began) + every_days * DAY_S
        else:  # half a day is left, so that it stays at its time of day
            due = next_time(known.began if known.last is None else known.last + (every_days - 0.5) * DAY_S, at)
        if now < due or (known.tried is not None and now < known.tried + AGAIN_S):
            return
        self._write(known.model_copy(update={"tried": now}))
        finished = self._command(self._around.selftest(), SELFTEST_S, (EXIT_OK, EXIT_ANOMALY))
        if finished is None:
            if self._ending.is_set():
                self._write(known)
            return
        self._write(_SelfTests(began=known.began, last=self._clock()))
        if isinstance(finished, str):
            log.warning("The self-test could not be made, and is tried again in its turn: %s", finished)
        elif finished.code == EXIT_ANOMALY:
            log.warning("The self-test finds faults harder to detect than at first: see monitor selftest --trend.")
        else:
            log.info("The self-test finds that faults are detected as at first.")

    def _clean(self) -> None:
        """Deletes models that were handed out and that nobody needs any more."""
        self._cleaning_due = self._steady() + DAY_S
        if not (arguments := self._around.clean()):
            return
        finished = self._command(arguments, CLEANING_S, (EXIT_OK,))
        if isinstance(finished, str):
            log.warning("Models that nobody needs could not be deleted, which is tried again tomorrow: %s", finished)
        elif finished is not None and (count := len(finished.last_object.get("deleted") or ())):
            log.info("Deleted from the store, because nobody needs it any more: %s.", counted(count, "model"))

    def _command(self, arguments: Sequence[str], longest_s: float, good: Sequence[int]) -> Finished | str | None:
        """Runs a command; a sentence if it fails, None if it was ended, by upkeep itself or by the system's SIGTERM."""
        try:
            finished = run_command(arguments, self._ending, longest_s=longest_s, program=self._around.program)
        except MonitorError as error:
            return str(error)
        finally:
            self._follow_clock()
        if finished is None or finished.code in (EXIT_INTERRUPTED, -signal.SIGTERM):
            return None
        return finished if finished.code in good else finished.failure

    def _read(self) -> _SelfTests:
        try:
            return _SelfTests.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            first = _SelfTests(began=self._clock())
            self._write(first)
            return first

    def _write(self, known: _SelfTests) -> None:
        self._self_tests = known
        try:
            write_atomically(self._path, known.model_dump_json().encode())
        except (OSError, MonitorError) as error:
            log.warning("%s: cannot be written: %s", self._path, error)


def _length(days: float) -> str:
    return f"{days:g} days" if days >= 1 else duration_text(days * DAY_S)
