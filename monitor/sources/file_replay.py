"""A source that plays recordings one after another, as if they were live."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from monitor.audio.bandwidth import is_narrow, narrow_note
from monitor.audio.quality import channel_note
from monitor.audio.reader import RecordingHeader, read_blocks, recording_header
from monitor.audio.recording_time import recording_began
from monitor.audio.sound_facts import SoundSurvey
from monitor.config.schema import Features
from monitor.config.setting_types import Channel
from monitor.core.arguments import as_paths
from monitor.core.errors import DataError, RecordingsLeftOut
from monitor.core.text import counted
from monitor.sources.paced import BUFFER_S, PacedSource

log = logging.getLogger(__name__)


class FileReplay(PacedSource):
    """Plays recordings one after another, resampled to the model's sample rate.

    A file that cannot be read is left out, and the others are played; the source ends with an error that names it.

    Args:
        paths: the files, or a single one.
        sample_rate: sample rate of the model in Hz.
        channel: channel of the files that the model processes, or "mix" for the mean of all.
        speed, buffer_s: as in `monitor.sources.paced.PacedSource`.
        gapless: the files are parts of one continuous recording; otherwise each file is a recording of its own.
        features: settings of the model; with them it is logged if files lack frequencies that the model hears.

    Raises:
        ConfigError: if `paths` are no paths.
        DataError: if no file can be opened, or one of the parts of a continuous recording cannot; or if the sample rate
            or the speed is not valid.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        sample_rate: int,
        channel: Channel = "mix",
        *,
        speed: float = 1.0,
        gapless: bool = False,
        buffer_s: float = BUFFER_S,
        features: Features | None = None,
    ) -> None:
        files = as_paths(paths, "paths")
        super().__init__(files[0].name, sample_rate, speed=speed, buffer_s=buffer_s)
        self._channel, self._gapless = channel, gapless
        self._files: list[tuple[Path, RecordingHeader]] = []
        self._noted: set[str] = set()  # notes on channels that have been logged
        self._errors: list[DataError] = []
        self._given = len(files)
        for path in files:
            try:
                self._files.append((path, recording_header(path)))
            except DataError as error:
                self._errors.append(error)
        if gapless or not self._files:
            self._raise_errors()
        self.name = self._files[0][0].name
        if features is not None:
            self._note_narrow(features)

    def run(self) -> None:
        """Writes the samples of all files.

        Raises:
            RecordingsLeftOut: at the end, if files could not be read, with a line for each.
            DataError: if one of the parts of a continuous recording could not be read.
        """
        self._play()
        self._raise_errors()

    def _note_narrow(self, features: Features) -> None:
        """Logs if files lack the highest frequencies of the model: one line, whatever their number."""
        narrow = [(path, header.sample_rate) for path, header in self._files if is_narrow(header.sample_rate, features)]
        if narrow:
            path, rate = narrow[0]
            more = f" and {counted(len(narrow) - 1, 'other recording')}" if len(narrow) > 1 else ""
            log.warning("%s%s: %s: scores are not comparable with the limit.", path, more, narrow_note(rate, features))

    def _note_channels(self, path: Path, survey: SoundSurvey) -> None:
        """Logs what is wrong with the channels of a file, unless the same has been logged of an earlier one."""
        note = channel_note(survey.facts())
        if note and note not in self._noted:
            self._noted.add(note)
            log.warning("%s: %s", path, note)

    def _raise_errors(self) -> None:
        if self._errors:
            others_played = len(self._files) > 0 and len(self._errors) < self._given and not self._gapless
            raise (RecordingsLeftOut if others_played else DataError)(*map(str, self._errors))

    def _play(self) -> None:
        total = sum(header.duration_s for _, header in self._files)
        for number, (path, header) in enumerate(self._files):
            gapless, length, survey = self._gapless and number > 0, header.duration_s, SoundSurvey()
            began = recording_began(path, length)
            self.begin(path.name, total if self._gapless else length, gapless=gapless, began=began)
            try:
                blocks = read_blocks(path, self.sample_rate, self._channel, block_s=1.0, observe=survey.add)
                for samples in blocks:
                    self.write(samples)
                    if self.stopping.is_set():
                        return
                self._note_channels(path, survey)
            except DataError as error:
                self._errors.append(error)
                if self._gapless:
                    return
