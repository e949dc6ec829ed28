"""How long a source whose sound comes in segments may be silent follows from the segments that have arrived."""

from __future__ import annotations

from monitor.sources.network.segments import SegmentLengths


def test_segments_are_as_long_as_the_sound_between_two_requests() -> None:
    segments = SegmentLengths()
    segments.note(1, 0.0)
    assert segments.longest_s(4.0) == 4.0, "of the first one, what has come"
    segments.note(2, 6.0)
    segments.note(3, 12.0)
    assert segments.longest_s(12.0) == 6.0


def test_several_segments_that_come_at_once_are_not_taken_for_one() -> None:
    segments = SegmentLengths()
    segments.note(1, 0.0)
    segments.note(2, 2.0)
    segments.note(6, 10.0)
    segments.note(7, 12.0)
    assert segments.longest_s(12.5) == 2.0


def test_shorter_segments_count_once_the_longer_ones_are_past() -> None:
    segments = SegmentLengths()
    for number, sound_s in enumerate((0.0, 6.0, 12.0, 14.0, 16.0, 18.0), 1):
        segments.note(number, sound_s)
    assert segments.longest_s(18.0) == 2.0


def test_what_is_asked_for_without_sound_is_no_segment() -> None:
    """Keys, and the beginnings of MP4 files."""
    segments = SegmentLengths()
    segments.note(1, 0.0)
    segments.note(2, 0.0)
    segments.note(3, 4.0)
    assert segments.longest_s(4.0) == 4.0


def test_without_requests_that_can_be_counted_all_sound_is_one_segment() -> None:
    assert SegmentLengths().longest_s(9.0) == 9.0
