"""The streams of `monitor live`: from settings to a session, and from changed settings to a change of the session."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.audio.bandwidth import narrow_note
from monitor.config.loader import SettingsSource
from monitor.config.schema import Alarm, Config
from monitor.core.errors import MonitorError
from monitor.core.free_memory import return_free_memory
from monitor.outputs.sink import Sink
from monitor.runtime.builder import LoadedRequest, StreamRequest, load_requests, make_plans
from monitor.runtime.change import Change
from monitor.runtime.monitored_stream import MonitoredStream
from monitor.runtime.output_set import Output, OutputSet
from monitor.runtime.session import Session
from monitor.runtime.setting_changes import changed_alarm, changed_outputs, needing_restart, with_fixed
from monitor.runtime.start_failures import StartFailures
from monitor.sources.device.microphones import Microphones
from monitor.sources.source import Source
from monitor.streaming.recent_frames import can_follow


class Sources:
    """Makes the sources of streams: microphones, which streams of one device share.

    Args:
        end_when_lost: whether a source ends when its device is lost, instead of reconnecting.
    """

    def __init__(self, *, end_when_lost: bool = False) -> None:
        self._microphones = Microphones(end_when_lost=end_when_lost)

    def make(self, loaded: Sequence[LoadedRequest]) -> Sequence[Source]:
        """A source for each stream."""
        return self._microphones.sources([one.listener for one in loaded])

    def require(self, loaded: Sequence[LoadedRequest]) -> None:
        """Checks that the microphones of streams are there.

        Raises:
            MonitorError: if they are not.
        """
        self._microphones.require_present([one.listener for one in loaded])


@dataclass(frozen=True, slots=True)
class Running:
    """A stream that is monitored, and the request that it was made from."""

    request: LoadedRequest
    stream: MonitoredStream

    @property
    def alarm(self) -> Alarm:
        """The settings of its alarm."""
        return self.request.config.alarm


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change that can be applied: models are loaded, outputs opened, and new streams made."""

    settings: SettingsSource  # as they were read
    config: Config  # the settings in force from then on
    running: dict[str, Running]  # all streams from then on, by their names
    added: tuple[MonitoredStream, ...]  # those that are new
    outputs: OutputSet
    change: Change  # of the engine
    changed: tuple[str, ...]  # what changes, in words
    needs_restart: tuple[str, ...]  # names of settings that have changed, but need a restart


class LiveStreams:
    """The streams that a program listens to. When their settings are read again, only what has changed is touched.

    A stream goes on, whatever else changes, if it has the same name, microphone and channel, and the same model or one
    that can follow it (`can_follow`): models and settings of its alarm are changed between two scores. Otherwise it
    ends, and is made anew.

    Args:
        requests: returns the streams in settings.
        outputs: returns the outputs of settings and of streams with these names.
        check: raises a MonitorError if streams contradict the command line.
        sources: makes the sources of streams.
        end_with_first_error: whether an error of one stream ends the session.
    """

    session: Session  # set by `start`, as `outputs`
    outputs: OutputSet  # those in use

    def __init__(
        self,
        requests: Callable[[SettingsSource], Sequence[StreamRequest]],
        outputs: Callable[[Config, Sequence[str]], Sequence[Output]],
        *,
        check: Callable[[Sequence[LoadedRequest]], None] = lambda _: None,
        sources: Sources | None = None,
        end_with_first_error: bool = False,
    ) -> None:
        self._requests, self._outputs_of, self._check = requests, outputs, check
        self._sources, self._end_with_first_error = sources or Sources(), end_with_first_error
        self._running: dict[str, Running] = {}

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._config

    @property
    def settings(self) -> SettingsSource:
        """The settings as they were read last; some that have changed since the start may need a restart."""
        return self._settings

    @property
    def pairs(self) -> list[tuple[StreamRequest, MonitoredStream]]:
        """The streams that are monitored, each with its description. For any thread."""
        return [(one.request.request, one.stream) for one in self._running.values()]

    def load(self, settings: SettingsSource) -> None:
        """Loads the models, before anything is written. One of several that cannot be loaded is only logged.

        Raises:
            MonitorError: if no stream can be started.
        """
        requests = self._requests(settings)
        self._failures = StartFailures(tolerate=len(requests) > 1)
        self._loaded = load_requests(requests, settings, self._failures)
        self._check(self._loaded)
        self._settings, self._config = settings, settings.config

    def start(self) -> Session:
        """Makes the session, which is not run yet. A stream of several that cannot be started is shown as lost.

        Raises:
            MonitorError: if no stream can be started, or an output cannot be opened.
        """
        loaded, failures = self._loaded, self._failures
        self.outputs = OutputSet(self._outputs_of(self._config, [one.request.name for one in loaded]))
        sources = self._sources.make(loaded)
        try:
            self.outputs.open_shared()
            plans = make_plans(zip(loaded, sources, strict=True), self.outputs.sinks, failures)
        except MonitorError:
            self.outputs.discard()
            raise
        planned = {id(plan.source) for plan in plans}
        for source in sources:
            if id(source) not in planned:
                source.stop()
        self.session = Session(
            plans,
            device=self._config.train.device,
            precision=self._config.listening.precision,
            end_with_first_error=self._end_with_first_error,
            failures=failures,
        )
        self.outputs.begin()
        by_name = {one.request.name: one for one in loaded}
        self._running = {stream.name: Running(by_name[stream.name], stream) for stream in self.session.streams}
        return self.session

    def prepare(self, settings: SettingsSource, *, only: str | None = None) -> Prepared:
        """Prepares what has changed in the settings. Nothing is applied, and if anything is wrong, nothing remains.

        Args:
            settings: as they were read.
            only: the name of a stream whose model has changed, while the settings are those in force: no other stream
                is looked at, so that none of them can stand in its way. None: all streams.

        Raises:
            MonitorError: if a model, a microphone or an output cannot be used, with all messages of the first step
                that fails.
        """
        config = with_fixed(self._config, settings.config)
        requests = [one for one in self._requests(settings) if only is None or one.name == only]
        loaded = [
            replace(one, config=with_fixed(self._config, one.config)) for one in load_requests(requests, settings)
        ]
        self._check(loaded)
        reasons = {one.request.name: self._reason_to_make(one) for one in loaded}
        others = {} if only is None else {name: one for name, one in self._running.items() if name != only}
        new = [one for one in loaded if reasons[one.request.name]]
        kept = [self._going_on(one) for one in loaded if not reasons[one.request.name]]
        exchanged = [one for one in kept if one.request.bundle.model_id != one.stream.bundle.model_id]
        names = [one.stream.name for one in exchanged]
        self._sources.require(new)
        going_on = [*(one.stream for one in kept), *(one.stream for one in others.values())]
        outputs = self.outputs.changed(
            self._outputs_of(config, [*others, *reasons]), {stream.name for stream in going_on}, names
        )
        sources: Sequence[Source] = ()
        try:
            outputs.open_shared()
            sources = self._sources.make(new)
            added = self.session.prepare(make_plans(zip(new, sources, strict=True), outputs.sinks))
            plans = {
                one.stream: one.request.plan(one.stream.source, sinks=outputs.sinks(one.request)) for one in exchanged
            }
            if only is not None:
                _require_all_frequencies(added)
            models = self.session.model_changes(plans, going_on)
            sinks = {
                one.stream: found
                for one in kept
                if one.stream not in plans and (found := self._changed_sinks(one, outputs)) is not None
            } | {stream: plan.sinks for stream, plan in plans.items()}
        except BaseException:
            _discard(sources, outputs)
            raise
        made = [Running(one, stream) for one, stream in zip(new, added, strict=True)]
        by_name = others | {one.stream.name: one for one in (*kept, *made)}
        # In the order of the settings.
        running = {name: by_name[name] for name in (reasons if only is None else self._running | reasons)}
        alarms = {one.stream: text for one in kept if (text := changed_alarm(self._alarm_of(one), one.alarm))}
        change = Change(
            tuple(one.stream for one in running.values()),
            {one.stream: one.request.config for one in kept if one.stream in alarms and one.stream not in models},
            sinks,
            models,
        )
        exchanges = [(stream.name, f"model {plan.model_name}, without a gap") for stream, plan in plans.items()]
        exchanges += [(stream.name, text) for stream, text in alarms.items()]
        changed = self._in_words(reasons, [name for name in self._running if name not in running], exchanges, config)
        restart = needing_restart(self._config, settings.config) if only is None else []
        return Prepared(settings, config, running, tuple(added), outputs, change, tuple(changed), tuple(restart))

    def apply(self, prepared: Prepared) -> list[MonitoredStream]:
        """Applies a change, and returns the streams that were removed or made anew, which have ended.

        Raises:
            MonitorError: if the session has ended before.
        """
        before = self.session.streams
        try:
            prepared.outputs.begin()
            self.session.change(prepared.change)
        except BaseException:
            _discard([stream.source for stream in prepared.added], prepared.outputs)
            raise
        self._settings, self._config = prepared.settings, prepared.config
        self._running, self.outputs = prepared.running, prepared.outputs
        kept = set(prepared.change.streams)
        removed = [stream for stream in before if stream not in kept]
        gc.collect()  # there may be large arrays in cycles, and it looks only at what was made since the start
        return_free_memory()
        return removed

    def _in_words(
        self, reasons: Mapping[str, str], removed: Sequence[str], exchanges: Sequence[tuple[str, str]], config: Config
    ) -> list[str]:
        """What changes: streams that are made, those that are removed, models and alarms, outputs.

        Args:
            reasons: why streams are made, by their names; empty for those that go on.
            removed: names of streams that end.
            exchanges: names of streams that go on, and what changes.
            config: the settings in force from then on.
        """
        changed = [f"{_of(name)}{reason}" for name, reason in reasons.items() if reason]
        changed += [f"{_of(name)}removed" for name in removed]
        changed += [f"{_of(name)}{text}" for name, text in exchanges]
        return changed + changed_outputs(self._config, config)

    def _reason_to_make(self, one: LoadedRequest) -> str:
        """Why a stream has to be made, in words; empty if it is monitored and goes on."""
        was = self._running.get(one.request.name)
        if was is None:
            return "added"
        before = was.request
        reasons = [
            ("had ended", was.stream.ended),
            (
                "a model with other features",
                one.bundle.model_id != before.bundle.model_id and not can_follow(one.bundle, before.bundle),
            ),
            ("another microphone", one.listener.settings.device != before.listener.settings.device),
            ("another channel", one.channel != before.channel),
        ]
        found = [reason for reason, holds in reasons if holds]
        return f"{', '.join(found)}, begins anew" if found else ""

    def _going_on(self, one: LoadedRequest) -> Running:
        """A stream that goes on, if its model is the same with the one that is in memory already."""
        was = self._running[one.request.name]
        if one.bundle.model_id != was.request.bundle.model_id:
            return Running(one, was.stream)
        return Running(replace(one, bundle=was.request.bundle), was.stream)

    def _alarm_of(self, one: Running) -> Alarm:
        """The settings of the alarm of a stream that are in force."""
        return self._running[one.stream.name].alarm

    def _changed_sinks(self, one: Running, outputs: OutputSet) -> list[Sink] | None:
        """The new sinks of a stream that goes on, None if they are the same."""
        before, after = self.outputs.sinks(self._running[one.stream.name].request), outputs.sinks(one.request)
        if before == after:
            return None
        return [*after, *(sink for sink in one.stream.sinks if sink not in before)]


def _require_all_frequencies(streams: Sequence[MonitoredStream]) -> None:
    """Checks that new streams hear all frequencies of their models, as far as their devices are open already.

    Raises:
        MonitorError: if one does not.
    """
    for stream in streams:
        if note := narrow_note(stream.source.sample_rate, stream.bundle.config.features):
            raise MonitorError(
                f"{stream.source.name}: {note}: use a model for this sample rate, or restart the monitor."
            )


def _discard(sources: Sequence[Source], outputs: OutputSet) -> None:
    for source in sources:
        source.stop()
    outputs.discard()


def _of(name: str) -> str:
    return f"{name}: " if name else ""
