"""Writes one clip and its picture, step by step, so that a disk that fails repeats nothing that is done."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from monitor.audio.writer import from_int16
from monitor.clips.clip import PICTURE, Clip, flac, write_new
from monitor.clips.folder import ClipFolder
from monitor.clips.memory import Int16Array
from monitor.clips.speech import muted, seconds
from monitor.core.background_worker import reason
from monitor.core.errors import MonitorError
from monitor.outputs.event_picture import Excerpt, draw_event, frames_for
from monitor.streaming.hops import FrameStream

PICTURE_BYTES = 500_000  # that a picture takes at most, about


class ClipWriting:
    """Writes one clip: looks for speech, writes the sound, then the picture, and deletes old clips.

    Args:
        folder: where to.
        clip: the clip.
    """

    def __init__(self, folder: ClipFolder, clip: Clip) -> None:
        self._folder, self._clip, self._settings = folder, clip, folder.settings
        self._samples: Int16Array | None = None  # that may be written
        self._content = b""
        self._note = " ".join(clip.notes)
        self._path: Path | None = None  # of the sound

    def __call__(self) -> bool:
        """Does what remains to be done; it may be called again after an error.

        Returns:
            False if the disk has no room for the clip.

        Raises:
            OSError, MonitorError: if something cannot be written.
        """
        with self._folder.lock:
            if self._samples is None:
                self._prepare()
            if self._samples is None:
                self._report(self._note)
                return True
            if self._path is None and not self._write_sound():
                self._report("The disk is nearly full: the clip is not kept.")
                return False
            self._report(self._note, self._path)
            if self._settings.pictures:
                self._draw(self._samples)
            self._folder.delete_old()
            return True

    def _prepare(self) -> None:
        """Decides what may be written of the clip: nothing, all, or all but the speech."""
        clip, samples = self._clip, self._clip.cut.samples()
        spans = [] if self._settings.speech == "keep" else self._folder.find_speech(samples, clip.rate)
        if spans and self._settings.speech == "drop":
            self._note = "Speech: the clip is not kept."
            return
        if spans:
            samples = muted(samples, spans, clip.rate)
            self._note = f"{self._note} Speech: {math.ceil(seconds(spans, clip.rate))} s muted.".strip()
        self._samples, self._content = samples, flac(clip, samples, self._note)

    def _write_sound(self) -> bool:
        """Writes the sound; returns False if the disk has no room for it."""
        try:
            if not self._folder.has_room(len(self._content) + PICTURE_BYTES * self._settings.pictures):
                return False
            self._path = write_new(self._folder.path / self._clip.path, self._content)
        except OSError as error:
            self._report(f"The clip could not be written so far: {reason(error)}.")
            raise
        self._content = b""
        return True

    def _draw(self, samples: Int16Array) -> None:
        """Draws the picture of the samples (n,) that were written: what is muted in them is not in it, either."""
        assert self._path is not None
        clip, bundle, oldest = self._clip, self._clip.bundle, self._clip.cut.first
        stream, picture = FrameStream(bundle.config.features), self._path.with_suffix(PICTURE)
        power = np.concatenate([stream.push(from_int16(samples)), stream.flush()])
        first, stop = frames_for(bundle, clip.event, oldest, oldest + len(power))
        try:
            drawn = draw_event(bundle, Excerpt(clip.event, first, power[first - oldest : stop - oldest]), picture)
        except MonitorError as error:
            self._report(f"{self._note} The picture could not be written so far: {error}".strip(), self._path)
            raise
        if drawn:
            self._report(self._note, self._path, picture)

    def _report(self, note: str, sound: Path | None = None, picture: Path | None = None) -> None:
        """Reports the files of the event, by their paths in the folder."""
        names = [None if one is None else one.relative_to(self._folder.path).as_posix() for one in (sound, picture)]
        began = None if sound is None else self._clip.began
        self._folder.files(self._clip.event.id, clip=names[0], picture=names[1], clip_start=began, note=note)
