"""What is read from the ring of a source, while the source goes on writing."""

from __future__ import annotations

import time
from collections import deque

from monitor.config.schema import Features
from monitor.runtime.stream_input import StreamInput
from monitor.sources.source import Mark
from support.builders import noise
from support.listening import HandFedSource

RATE = 22050  # so that samples are resampled


def test_a_recording_that_begins_while_the_end_of_the_one_before_is_read_is_not_taken_for_its_end() -> None:
    source, before, after = HandFedSource(rate=RATE, live=False), noise(2205), noise(4410)

    class Marks(deque[Mark]):
        """Another recording begins as soon as somebody has looked for one, as on the thread of a source."""

        def __bool__(self) -> bool:
            found = len(self) > 0
            if not found:
                self.append(Mark(source.ring.written, "recording", "next.wav"))
                source.write(after)
            return found

    source.marks = Marks()
    one = StreamInput(source, Features(), portion_s=0.1, long_chunks=True)
    source.write(before)
    assert len(one.take(one.limit(time.monotonic())).captured) == len(before)
    assert source.ring.written == len(before) + len(after)
