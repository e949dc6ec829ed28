"""The sessions that recordings were made in, and folds for cross-validation that leave whole sessions out.

Sound of one session is more alike than that of different days: temperature, load and the place of the microphone stay.
A limit that was found with recordings of the same session on both sides of the cross-validation does not hold on
another day.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from monitor.audio.recording_time import stated_time
from monitor.audio.sound_files import natural_order
from monitor.core.types import BoolArray, DoubleArray, IndexArray
from train.data.dated_names import MAJORITY, NamedTimes, times_in_names
from train.data.feature_cache import Frames

# From the end of a recording to the beginning of the next one. Longer than a lunch break, and than the distances of
# pieces chosen at random from a day (up to 110 minutes in months of an air compressor); shorter than a shift.
PAUSE_S = 2 * 3600.0
DAY_S = 86400.0
LARGEST_SHARE = 0.5  # of all sound, in a session that is still left out as a whole: the rest has to be enough to fit on
# With fewer stems than this, the numbers behind them may well count independent recordings of a few modes.
MIN_STEMS = 5
# fan_1400_3 is a piece of fan_1400. A stem without a number names a kind of recordings, and numbers of more than three
# digits count the recordings of a data set.
_PIECE = re.compile(r"(?P<stem>.*\d.*?)[ _.-]+(?:piece|part|segment|seg)?[ _.-]*\d{1,3}", re.IGNORECASE)
# Other folders may stand for speeds or machines, which must not be left out as a whole.
_SESSION_FOLDER = re.compile(r"(?:session|day|date|visit|shift|week)[ _.-]*\d+", re.IGNORECASE)


class Evidence(StrEnum):
    """What the sessions were told by; the values are for messages."""

    DATED_NAMES = "dates in the names"
    DATED_FILES = "dates in the files"
    FOLDERS = "folders"
    NAMES = "names"  # which give an order, but no sessions


@dataclass(frozen=True, slots=True)
class Sessions:
    """The order of recordings in time, and which of them belong together."""

    order: IndexArray  # (n,) numbers of the recordings in order of time; by name where times are not known
    session: IndexArray  # (n,) number of the session of each recording: 0 is the first one
    groups: IndexArray  # (n,) number of the original recording that each is a piece of, ascending in that order
    evidence: Evidence
    days: int  # the number of calendar days on which sessions began; 0 if there are no dates

    @property
    def count(self) -> int:
        """The number of sessions."""
        return len(np.unique(self.session))

    @property
    def known(self) -> bool:
        """Whether sessions can be told. If not, all recordings are taken as one session."""
        return self.evidence is not Evidence.NAMES

    def facts(self) -> dict[str, Any]:
        """What a model remembers of the sessions of its sound."""
        return {"count": self.count, "days": self.days, "evidence": self.evidence.value}

    def of_parts(self, counts: Sequence[int]) -> Sessions:
        """The sessions of parts of the recordings: recording i is divided into `counts[i]` consecutive parts."""
        first = np.cumsum([0, *counts])
        order = [np.arange(first[i], first[i + 1]) for i in self.order]
        session, groups = np.repeat(self.session, counts), np.repeat(self.groups, counts)
        return Sessions(np.concatenate([*order, np.empty(0, np.int64)]), session, groups, self.evidence, self.days)


def recording_sessions(paths: Sequence[Path], seconds: Sequence[float]) -> Sessions:
    """Tells sessions by dates in names, else by dates in the metadata of the files, else by folders of sessions.

    The time of a file is not used: copying resets it. A new session begins after a pause of more than PAUSE_S; a
    series that lasts for a day or longer is divided at midnight. Without times of day, each date is a session. A
    recording without a date, where most have one, counts as made with the one before it by name.

    Args:
        paths: the recordings, in any order.
        seconds: their durations.
    """
    rank = _ranks(sorted(range(len(paths)), key=lambda i: natural_order(paths[i])))
    evidence, named = Evidence.DATED_NAMES, times_in_names(paths)
    if named is None:
        evidence, named = Evidence.DATED_FILES, _times_in_files(paths)
    if named is not None:
        time = _filled(named, rank)
    elif (by_folder := _session_folders(paths)) is not None:
        evidence, time = Evidence.FOLDERS, by_folder
    else:
        evidence, time = Evidence.NAMES, np.zeros(len(paths))
    exact = named is not None and named.exact
    # Pieces of one recording have its time in their names; a mere date is that of many recordings.
    group = _first_of_group(list(time) if exact else _stems(paths, time), rank)
    order = np.lexsort((rank, group, time))
    if exact:
        session = _series(time[order], np.asarray(seconds, np.float64)[order])[_ranks(order)]
    else:
        session = np.unique(time, return_inverse=True)[1]
    starts = time[order][np.flatnonzero(np.diff(session[order], prepend=-1))]
    days = 0 if named is None else len(np.unique(starts // DAY_S))
    groups = np.cumsum(np.diff(group[order], prepend=-1) != 0)[_ranks(order)] - 1
    return Sessions(order, session.astype(np.int64), groups.astype(np.int64), evidence, days)


def sessions_of_frames(recordings: Sequence[Frames], hop_s: float) -> Sessions:
    """The sessions that recordings were made in, of which there are mel frames every `hop_s` seconds."""
    return recording_sessions([one.path for one in recordings], [len(one.power) * hop_s for one in recordings])


def blocked_folds(sessions: Sessions, seconds: Sequence[float] | DoubleArray, folds: int) -> IndexArray:
    """Assigns recordings to folds that are consecutive in time and of about the same duration.

    A session is never divided, except one that has half of all sound or more, which is divided into blocks of
    consecutive recordings. The pieces of one recording stay in one fold, except if such a session has no other.

    Args:
        sessions: of the recordings.
        seconds: (n,) durations of the recordings.
        folds: the number of folds to make, if there are as many sessions, or recordings in a session to be divided.

    Returns:
        the number (n,) of the fold of each recording, from 0 on in order of time; at least two folds, if there are two
        recordings.
    """
    durations = np.maximum(np.asarray(seconds, np.float64), 1e-9)
    total = float(durations.sum())
    found = np.zeros(len(durations), np.int64)
    number = 0
    for units in _stretches(sessions, durations):
        unit_s = np.array([durations[unit].sum() for unit in units])
        count = min(len(units), max(1, round(folds * float(unit_s.sum()) / total)))
        for block in _blocks(unit_s, count):
            found[np.concatenate(units[block])] = number
            number += 1
    return found


def held_out_block(sessions: Sessions, seconds: Sequence[float] | DoubleArray, share: float, seed: int) -> BoolArray:
    """Chooses recordings to hold out that are consecutive in time: whole sessions where there are several.

    Recordings between those that a model was trained on are too easy for it.

    Args:
        sessions: of at least two recordings.
        seconds: (n,) durations of the recordings.
        share: of the sound, to hold out: it is met as nearly as whole folds allow.
        seed: which of the folds of this size is held out.

    Returns:
        (n,) whether a recording is held out; some are, and some are not.
    """
    smaller = min(share, 1 - share)
    folds = blocked_folds(sessions, seconds, max(2, round(1 / smaller)))
    chosen: BoolArray = folds == seed % (int(folds.max()) + 1)
    return chosen if share <= 0.5 else ~chosen


def _stretches(sessions: Sessions, durations: DoubleArray) -> list[list[IndexArray]]:
    """Consecutive sessions, divided into lists where one is large; each has the units that a fold is made of."""
    stretches: list[list[IndexArray]] = []
    adjoin = False  # whether the next session belongs to the last stretch
    for session in _runs(sessions.order, sessions.session):
        large = durations[session].sum() >= LARGEST_SHARE * durations.sum()
        if large:
            units = _runs(session, sessions.groups)
            stretches.append(units if len(units) > 1 else list(session[:, None]))
        elif adjoin:
            stretches[-1].append(session)
        else:
            stretches.append([session])
        adjoin = not large
    return stretches


def _blocks(unit_s: DoubleArray, count: int) -> list[slice]:
    """Divides units of these durations into `count` consecutive blocks of about the same duration."""
    ends = np.cumsum(unit_s)
    edges = [0]
    for i in range(1, count):
        low, high = (
            edges[-1] + 1,
            len(unit_s) - (count - i),
        )  # each block has a unit, and leaves one for each that follows
        distance = np.abs(ends[low - 1 : high] - ends[-1] * i / count)
        edges.append(low + int(np.argmin(distance)))
    return [slice(first, last) for first, last in zip(edges, [*edges[1:], len(unit_s)], strict=True)]


def _runs(order: IndexArray, labels: IndexArray) -> list[IndexArray]:
    """Recordings in order, divided where the label changes."""
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []


def _ranks(order: Sequence[int] | IndexArray) -> IndexArray:
    """The place (n,) of each recording in an order."""
    ranks = np.empty(len(order), np.int64)
    ranks[np.asarray(order, np.int64)] = np.arange(len(order))
    return ranks


def _times_in_files(paths: Sequence[Path]) -> NamedTimes | None:
    """The times in the metadata of most recordings; None if only few have one."""
    of_file = {path: stated_time(path) for path in dict.fromkeys(paths)}  # there may be several pieces of a file
    stated = [of_file[path] for path in paths]
    if len(stated) - stated.count(None) < max(1, MAJORITY * len(stated)):
        return None
    return NamedTimes([None if one is None else datetime.datetime.fromtimestamp(one) for one in stated], exact=True)


def _filled(named: NamedTimes, rank: IndexArray) -> DoubleArray:
    """The times (n,) in seconds since 1970, local; one that is missing is that of the recording before it by name."""
    zero = datetime.datetime(1970, 1, 1)
    time = np.array([np.nan if one is None else (one - zero).total_seconds() for one in named.times])
    by_name = np.argsort(rank)
    has = np.flatnonzero(~np.isnan(time[by_name]))
    before = np.maximum(np.searchsorted(has, np.arange(len(time)), side="right") - 1, 0)
    filled = np.empty_like(time)
    filled[by_name] = time[by_name][has[before]]
    return filled


def _series(start_s: DoubleArray, seconds: DoubleArray) -> IndexArray:
    """The number (n,) of the session of each recording, by their starts in ascending order, and their durations."""
    ends = np.maximum.accumulate(start_s + seconds)
    series = np.cumsum(np.r_[0.0, start_s[1:] - ends[:-1]] > PAUSE_S)
    first = np.flatnonzero(np.diff(series, prepend=-1))
    lasting = (np.maximum.reduceat(ends, first) - start_s[first] >= DAY_S)[series]
    midnight = lasting & (np.diff(start_s // DAY_S, prepend=-1) != 0)
    starts = (np.diff(series, prepend=-1) != 0) | midnight
    found: IndexArray = np.cumsum(starts) - 1
    return found


def _session_folders(paths: Sequence[Path]) -> DoubleArray | None:
    """The number (n,) of the folder of its session that each recording is in; None if there are no such folders."""
    found: list[str] = []
    for path in paths:
        parents = [folder for folder in path.absolute().parents if _SESSION_FOLDER.fullmatch(folder.name)]
        found.append(str(parents[-1]) if parents else "")
    if found.count("") or len(set(found)) < 2:
        return None
    names = sorted(set(found), key=lambda name: natural_order(Path(name)))
    return np.array([float(names.index(name)) for name in found])


def _stems(paths: Sequence[Path], time: DoubleArray) -> list[object]:
    """A key for each recording, the same for those whose names say that they are pieces of one."""
    stems: list[object] = []
    for path, at in zip(paths, time, strict=True):
        match = _PIECE.fullmatch(path.stem)
        stems.append((at, path.parent, match["stem"]) if match else path)
    numbered = {stem for stem in stems if isinstance(stem, tuple)}
    return stems if len(numbered) >= MIN_STEMS else list(paths)


def _first_of_group(keys: Sequence[object], rank: IndexArray) -> IndexArray:
    """The lowest rank (n,) among the recordings with the same key."""
    first: dict[object, int] = {}
    for key, place in zip(keys, rank.tolist(), strict=True):
        first[key] = min(place, first.get(key, place))
    return np.array([first[key] for key in keys], np.int64)
