"""A mode that was never heard in training is told from an anomaly, and an anomaly is only seconds late for that."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.types import IndexArray
from monitor.detection.mode_watch import ModeWatch
from monitor.scoring.operating_modes import OperatingModes
from monitor.scoring.row_layout import RowLayout
from support.builders import pieces, small_config

N_MELS, ROWS, THRESHOLD = 8, 10, 1.0
LAYOUT = RowLayout.of(small_config(f"features.n_mels={N_MELS}"), modes=2)
KNOWN, FAULT, UNKNOWN, OFF = "known", "fault", "unknown", "off"


def two_modes() -> OperatingModes:
    """Both with a level of 0 and a roughness of 5 in each band, and deviations of 1."""
    usual = np.zeros((4, 2, N_MELS), np.float32)
    usual[1], usual[2], usual[3] = 1.0, 5.0, 1.0
    return OperatingModes(np.zeros((2, N_MELS), np.float32), np.ones(N_MELS, np.float32), usual)


def mean_row(kind: str) -> np.ndarray:
    """In an unknown mode all bands are louder, with a fault some of them."""
    row = np.zeros(LAYOUT.mean_width)
    row[LAYOUT.mode_columns] = 0.5
    row[LAYOUT.level_columns] = {UNKNOWN: np.full(N_MELS, 3.0), FAULT: 30.0 * (np.arange(N_MELS) < 2)}.get(kind, 0.0)
    highest, lowest = LAYOUT.extreme_columns
    row[highest], row[lowest] = 4.0, -1.0
    return row


SCORES = {KNOWN: 0.5, FAULT: 3.0, UNKNOWN: 2.0, OFF: np.nan}


def watched(kinds: list[str], cuts: list[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The scores for the alarm and whether the mode is unknown, of windows of these kinds pushed in pieces."""
    watch = ModeWatch(two_modes(), LAYOUT, ROWS)
    found = []
    for part in pieces(len(kinds), cuts or [len(kinds)]):
        rows = np.array([mean_row(kind) for kind in kinds[part]])

        def of(indices: IndexArray, rows: np.ndarray = rows) -> np.ndarray:
            return rows[indices]

        found.append(watch.push(np.array([SCORES[kind] for kind in kinds[part]]), THRESHOLD, of))
    scores, unknown = zip(*found, strict=True)
    return np.concatenate(scores), np.concatenate(unknown)


RUNS = st.lists(st.tuples(st.sampled_from(sorted(SCORES)), st.integers(1, 2 * ROWS)), min_size=1, max_size=8)


@given(runs=RUNS, cuts=st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_any_cutting_of_the_scores_gives_the_same(runs: list[tuple[str, int]], cuts: list[int]) -> None:
    kinds = [kind for kind, count in runs for _ in range(count)]
    for ours, whole in zip(watched(kinds, cuts), watched(kinds), strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_unknown_modes_that_are_too_short_do_not_add_up_over_known_sound() -> None:
    """Also where the known sound between them comes as a push of its own."""
    kinds = ([UNKNOWN] * (ROWS // 2 - 1) + [KNOWN] * 3 * ROWS) * 5
    for cuts in ([len(kinds)], [ROWS // 2 - 1, 3 * ROWS]):
        assert not watched(kinds, cuts)[1].any()


def test_an_unknown_mode_is_recognized_after_half_a_mean_and_left_after_a_whole_one() -> None:
    _, unknown = watched([KNOWN] * 20 + [UNKNOWN] * 30 + [KNOWN] * 20)
    assert np.flatnonzero(unknown).tolist() == list(range(20 + ROWS // 2 - 1, 50 + ROWS - 1))


def test_until_it_is_recognized_its_scores_are_not_above_the_threshold() -> None:
    """So no alarm sounds for it; later its scores are not for the alarm."""
    kinds = [KNOWN] * 20 + [UNKNOWN] * 30
    scores, unknown = watched(kinds)
    assert not (scores[~unknown] > THRESHOLD).any()
    assert scores[20] == THRESHOLD


def test_the_scores_of_a_fault_are_held_back_for_two_means_and_then_are_what_they_are() -> None:
    scores, unknown = watched([KNOWN] * 20 + [FAULT] * 30)
    assert not unknown.any()
    np.testing.assert_array_equal(scores[20 : 20 + 2 * ROWS], THRESHOLD)
    np.testing.assert_array_equal(scores[20 + 2 * ROWS :], SCORES[FAULT])


def test_scores_that_are_not_above_the_threshold_are_left_as_they_are() -> None:
    kinds = [KNOWN] * 20 + [OFF] * 20 + [KNOWN] * 20
    np.testing.assert_array_equal(watched(kinds)[0], [SCORES[kind] for kind in kinds])


def test_a_fault_after_an_unknown_mode_is_an_anomaly_a_mean_later() -> None:
    scores, unknown = watched([UNKNOWN] * 30 + [FAULT] * 30)
    assert np.flatnonzero(~unknown & (scores > THRESHOLD))[0] == 30 + ROWS - 1


def test_after_a_gap_nothing_is_remembered() -> None:
    watch = ModeWatch(two_modes(), LAYOUT, ROWS)
    unknown, known = (np.tile(mean_row(kind), (ROWS, 1)) for kind in (UNKNOWN, KNOWN))
    assert watch.push(np.full(ROWS, 2.0), THRESHOLD, unknown.__getitem__)[1][-1]
    watch.reset()
    assert not watch.push(np.full(ROWS, 0.5), THRESHOLD, known.__getitem__)[1].any()
