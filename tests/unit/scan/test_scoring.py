"""A scan scores as a replay does, to the bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.core.events import Event
from monitor.outputs.parquet_log import Seconds as ReplayedSeconds
from monitor.scan.joining import Piece
from monitor.scan.scoring import PieceScorer, Scored, Unreadable
from monitor.scan.seconds import STATES
from support.archives import sensitive_bundle, sound, write_surveyed
from support.builders import RATE, write_sound
from support.listening import replay_plan, run_to_end


def scored(folder: Path, *names: str) -> Scored:
    bundle = sensitive_bundle(folder / "model.safetensors")
    files = tuple(
        write_surveyed(name, seconds=(folder / name).stat().st_size // 2 / RATE, began=100.0 * number)
        for number, name in enumerate(names)
    )
    return PieceScorer(bundle, bundle.config, None, lambda name: folder / name).score(Piece(files))


def same(event: Event) -> Event:
    """What two reports of one event have in common, but for the rounding of scores."""
    return replace(event, id="", wall_time=0.0, source="", peak=0.0, mean=0.0, bands=())


def test_scores_states_and_events_are_those_of_a_gapless_replay(tmp_path: Path) -> None:
    parts = [sound(21, loud=(8, 14.5)), sound(7.3, seed=1), sound(4.25, seed=2, loud=(2, 4))]
    paths = [write_sound(tmp_path / f"{n}.wav", one) for n, one in enumerate(parts)]
    bundle = sensitive_bundle(tmp_path / "model.safetensors")
    found = scored(tmp_path, *(path.name for path in paths))

    one, sink = replay_plan(bundle, paths, gapless=True)
    [stream] = run_to_end(one).streams
    seconds = ReplayedSeconds()
    # A replay renames its recording where the next file begins; a second that spans it has two rows there.
    rows = [replace(part, source="", wall_time=0.0) for part in sink.rows]
    replayed = [*(row for part in rows for row in seconds.push(part)), *seconds.flush()]
    for name in ("score", "error", "share"):
        values = np.concatenate([getattr(row, name) for row in replayed]).astype(np.float32)
        np.testing.assert_allclose(getattr(found.seconds, name), values, rtol=1e-5, err_msg=name)
    [result] = stream.results
    assert (found.result.score, found.result.highest_share) == pytest.approx(
        (result.score, result.highest_share), rel=1e-5
    )
    assert found.result.anomalies == result.anomalies == 2
    last = {event.id: event for event in sink.events}
    assert [same(event) for event in found.events] == [same(event) for event in last.values()]
    for event, expected in zip(found.events, last.values(), strict=True):
        assert (event.peak, event.mean) == pytest.approx((expected.peak, expected.mean), rel=1e-5)


def test_the_state_of_each_second_is_known_however_much_is_scored_at_once(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", sound(30, loud=(10, 20)))
    found = scored(tmp_path, "a.wav")
    anomalous = [STATES[one] == "ANOMALY" for one in found.seconds.state]
    assert not any(anomalous[:10])
    assert all(anomalous[12:20])
    assert not any(anomalous[27:])


def test_levels_and_bands_are_those_of_each_second(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", sound(10, loud=(5, 10)))
    seconds = scored(tmp_path, "a.wav").seconds
    quiet, loud = seconds.level[1:4].mean(), seconds.level[6:9].mean()
    assert loud - quiet == pytest.approx(20 * math.log10(4), abs=0.1)
    shares = np.abs(seconds.bands[6].astype(int)).sum()
    assert 70 <= shares <= 130  # of 100 percent, each band rounded to a whole one


def test_a_longer_recording_takes_no_more_memory_than_its_rows(tmp_path: Path) -> None:
    import tracemalloc

    bundle = sensitive_bundle(tmp_path / "model.safetensors")
    peaks = []
    for seconds in (20, 50):
        write_sound(tmp_path / "a.wav", sound(seconds))
        scorer = PieceScorer(bundle, bundle.config, None, lambda name: tmp_path / name)
        tracemalloc.start()
        scorer.score(Piece((write_surveyed("a.wav", seconds=float(seconds)),)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 30 * 2000  # bytes a second; the sound itself has 64,000


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", sound(2))
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(Unreadable, match=r"b\.wav") as caught:
        scored(tmp_path, "a.wav", "b.wav")
    assert caught.value.name == "b.wav"


def test_a_piece_that_is_too_short_for_a_score_has_none(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", sound(0.05))
    found = scored(tmp_path, "a.wav")
    assert math.isnan(found.result.highest_share)
    assert np.isnan(found.seconds.score).all()


def test_what_was_scored_before_does_not_change_the_last_digit(tmp_path: Path) -> None:
    bundle = sensitive_bundle(tmp_path / "model.safetensors")
    pieces = []
    for number, seconds in enumerate((3.7, 8.0)):
        write_sound(tmp_path / f"{number}.wav", sound(seconds, seed=number))
        pieces.append(Piece((write_surveyed(f"{number}.wav", seconds=seconds),)))
    scorer = PieceScorer(bundle, bundle.config, None, lambda name: tmp_path / name)
    alone = scorer.score(pieces[1]).seconds.score
    scorer.score(pieces[0])
    np.testing.assert_array_equal(scorer.score(pieces[1]).seconds.score, alone)
