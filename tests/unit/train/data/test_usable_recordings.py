"""Which recordings are usable, and the reasons why others are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from support.builders import noise, write_sound
from support.feature_caches import reopened, usable
from train.data.feature_cache import FeatureCache, usable_frames


def bad_recordings(folder: Path) -> dict[str, tuple[Path, str]]:
    """Recordings that cannot be trained on, each with a word of the reason in the log."""
    sound = noise(16_000)
    not_finite, infinite, absurd = sound.copy(), sound.copy(), sound.copy()
    not_finite[5000], infinite[5000], absurd[5000] = np.nan, np.inf, -1e30
    clipped = np.clip(20 * sound, -1, 1)
    (folder / "text.wav").write_text("this is no sound")
    (folder / "empty.wav").touch()
    return {
        "unreadable": (folder / "text.wav", "not a recording that can be read"),
        "empty": (folder / "empty.wav", "is empty"),
        "missing": (folder / "missing.wav", "No such file"),
        "silent": (write_sound(folder / "silent.wav", np.zeros(16_000)), "silent"),
        "clipped": (write_sound(folder / "clipped.wav", clipped, subtype="PCM_16"), "clipped"),
        "short": (write_sound(folder / "short.wav", noise(19 * 160 - 1)), "too short"),
        "no sample": (write_sound(folder / "none.wav", noise(0)), "is empty"),
        "constant": (write_sound(folder / "constant.wav", np.full(16_000, 0.3)), "silent"),
        "NaN": (write_sound(folder / "nan.wav", not_finite), "not numbers"),
        "infinite": (write_sound(folder / "inf.wav", infinite), "not numbers"),
        "absurd": (write_sound(folder / "absurd.wav", absurd), "full scale"),
    }


def test_recordings_that_cannot_be_used_are_left_out_with_a_reason_each_and_the_others_stay(
    cache: FeatureCache, tmp_path: Path
) -> None:
    bad = bad_recordings(tmp_path)
    good = [write_sound(tmp_path / f"good{n}.wav", noise(16_000, seed=n)) for n in range(2)]
    advanced: list[None] = []
    reasons: list[str] = []
    kept = usable_frames(
        cache,
        [good[0], *(path for path, _ in bad.values()), good[1]],
        training=True,
        leave_out=lambda path, reason: reasons.append(f"{path}: {reason}"),
        advance=lambda: advanced.append(None),
    )
    assert [frames.path for frames in kept] == good
    assert len(reasons) == len(bad)
    for reason, (path, word) in zip(reasons, bad.values(), strict=True):
        assert reason.startswith(f"{path}: ")
        assert word in reason
        assert reason.endswith(".")
        assert "\n" not in reason
    assert len(advanced) == len(bad) + 2, "the progress goes on for those too"
    assert usable(reopened(cache), *(path for path, _ in bad.values()))[1] == reasons


def test_silent_and_clipped_recordings_are_still_used_for_tests(cache: FeatureCache, tmp_path: Path) -> None:
    """A faulty machine can be loud, or stand still."""
    bad = bad_recordings(tmp_path)
    kept, reasons = usable(cache, *(path for path, _ in bad.values()), training=False)
    assert [frames.path for frames in kept] == [bad[what][0] for what in ("silent", "clipped", "constant")]
    assert len(reasons) == len(bad) - 3


def test_the_shortest_recording_has_as_many_frames_as_a_window(cache: FeatureCache, tmp_path: Path) -> None:
    kept, reasons = usable(cache, write_sound(tmp_path / "just.wav", noise(19 * 160)))
    assert ([len(frames.power) for frames in kept], reasons) == ([20], [])


def test_a_loud_moment_or_a_normalised_peak_is_not_clipping(cache: FeatureCache, tmp_path: Path) -> None:
    sound = noise(16_000)
    sound[100:115] = 1.0
    assert len(usable(cache, write_sound(tmp_path / "a.wav", sound))[0]) == 1
    sound[100:120] = -1.0
    [reason] = usable(cache, write_sound(tmp_path / "b.wav", sound))[1]
    assert "clipped (0.1%" in reason


def test_clipping_of_one_channel_is_seen_before_the_channels_are_mixed(cache: FeatureCache, tmp_path: Path) -> None:
    sound = noise(16_000, streams=2)
    sound[1] = np.clip(30 * sound[1], -1, 1)
    path = write_sound(tmp_path / "a.wav", sound.T)
    assert "clipped" in usable(cache, path)[1][0]
    assert len(usable(reopened(cache, channel=0), path)[0]) == 1, "the other one is fine"


def test_channels_that_cancel_each_other_are_silent_and_one_of_them_alone_is_not(
    cache: FeatureCache, tmp_path: Path
) -> None:
    """As of a balanced microphone in a stereo socket: what the model would hear is the mean of both."""
    sound = noise(16_000)
    for weaker in (1.0, 0.98):
        path = write_sound(tmp_path / f"{weaker}.wav", np.stack([sound, -weaker * sound], axis=1))
        [reason] = usable(cache, path)[1]
        assert "its channels cancel each other" in reason
        assert "features.channel" in reason
        assert len(usable(reopened(cache, channel=1), path)[0]) == 1


def test_a_dead_channel_does_not_make_a_recording_unusable_and_is_known(cache: FeatureCache, tmp_path: Path) -> None:
    sound = np.zeros((16_000, 3), np.float32)
    sound[:, 0], sound[:, 2] = noise(16_000), noise(16_000, seed=1)
    path = write_sound(tmp_path / "a.wav", sound)
    for one in (cache, reopened(cache)):  # computed, and from the disk
        [frames] = usable(one, path)[0]
        assert frames.sound.dead_channels == (1,)
        assert frames.sound.sample_rate == 16_000


def test_a_quiet_recording_is_not_silent(cache: FeatureCache, tmp_path: Path) -> None:
    sound = np.zeros(16_000, np.float32)
    sound[::7] = 1 / 32768
    assert len(usable(cache, write_sound(tmp_path / "a.wav", sound, subtype="PCM_16"))[0]) == 1


def test_kept_frames_that_are_damaged_are_made_again_among_others_that_are_not(
    cache: FeatureCache, tmp_path: Path
) -> None:
    """Whether frames are kept is looked up first; they are checked when they are opened."""
    paths = [write_sound(tmp_path / f"{n}.wav", noise(8000, seed=n)) for n in range(3)]
    before = [np.array(frames.power) for frames in usable(cache, *paths)[0]]
    [damaged] = cache.folder.rglob(f"{cache.digest(paths[1])[:32]}*.mel")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    again = reopened(cache)
    kept, reasons = usable(again, *paths)
    assert not reasons
    assert again.computed == 1
    for frames, expected in zip(kept, before, strict=True):
        assert np.array_equal(frames.power, expected)
