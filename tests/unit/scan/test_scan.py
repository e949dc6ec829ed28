"""Scans of archives: the same results however they are made, and nothing is done twice or lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pyarrow import parquet

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import save_bundle
from monitor.core.errors import ConfigError, DataError
from monitor.scan.archive import Archive
from monitor.scan.files import write_files
from monitor.scan.joining import Piece
from monitor.scan.results import DONE, ResultFolder
from monitor.scan.task import TASK_S, tasks
from support.archives import Heard, contents, named, scan, sensitive_bundle, sound, touch, write_archive, write_surveyed
from support.builders import write_sound


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.fixture
def sensitive(model: Path) -> Bundle:
    return sensitive_bundle(model)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "archive")


def test_a_row_a_second_and_events_are_written_for_each_recording(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    found = scan(str(archive), sensitive, model, tmp_path / "out")
    write_files(tmp_path / "out", found.findings, found.left_out)
    assert [(one.name, len(one.files), one.anomalies) for one in found.findings] == [
        (f"hall/{named(0, recorder='fan')}", 1, 1),
        (f"hall/{named(0)}", 3, 0),
        (f"hall/{named(30)}", 1, 0),
    ]
    rows = parquet.read_table(tmp_path / "out" / "seconds" / f"hall/{named(0)}.parquet").to_pylist()
    assert [row["time_s"] for row in rows[:12]] == list(range(12))
    assert [row["file"] for row in rows[3:5]] == [f"hall/{named(0)}", f"hall/{named(4)}"]
    assert rows[2]["time"].isoformat() == "2026-11-20T10:00:02+00:00"
    assert rows[2]["state"] == "NORMAL"
    assert len(rows[2]["bands"]) == sensitive.config.features.n_mels
    [line] = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    event = json.loads(line)
    assert (event["kind"], event["file"]) == ("anomaly", f"hall/{named(0, recorder='fan')}")
    assert 3 <= event["file_s"] <= 5
    assert parquet.read_table(tmp_path / "out" / "events.parquet").to_pylist()[0]["id"] == event["id"]
    ranking = (tmp_path / "out" / "ranking.csv").read_text().splitlines()
    assert ranking[1].startswith(f"hall/{named(0, recorder='fan')},1,")


@pytest.mark.long
def test_any_number_of_processes_gives_the_same_bytes(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.scan.task.TASK_S", 1.0)
    one = scan(str(archive), sensitive, model, tmp_path / "one")
    two = scan(str(archive), sensitive, model, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert [found.fields() for found in one.findings] == [found.fields() for found in two.findings]


def test_what_is_done_is_not_done_again_unless_file_or_model_have_changed(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    def seconds_done() -> float:
        heard = Heard()
        scan(str(archive), sensitive_bundle(model), model, tmp_path / "out", heard=heard)
        return round(heard.done[-1][0] - heard.done[0][0], 3)

    assert seconds_done() == 25
    assert seconds_done() == 0
    touch(archive / "hall" / named(30), 1.0)
    assert seconds_done() == 4
    (tmp_path / "out" / "seconds" / f"hall/{named(30)}.parquet").unlink()
    assert seconds_done() == 4
    write_sound(archive / "hall" / named(12), sound(4, seed=5))
    assert seconds_done() == 16  # it continues the first recording
    heard = Heard()
    other = save_bundle(replace(sensitive, provenance={"date": "another"}, mean=sensitive.mean + 0.1), model)
    scan(str(archive), other, model, tmp_path / "out", heard=heard)
    assert heard.done[0][2] == 0


def test_a_recording_that_is_gone_takes_its_results_with_it(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    scan(str(archive), sensitive, model, tmp_path / "out")
    (archive / "hall" / named(30)).unlink()
    found = scan(str(archive), sensitive, model, tmp_path / "out")
    assert len(found.findings) == 2
    assert sorted(contents(tmp_path / "out")) == sorted(f"{one.name}.parquet" for one in found.findings)


def test_a_line_that_was_cut_off_by_kill_9_costs_only_its_own_recording(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    scan(str(archive), sensitive, model, tmp_path / "out")
    before, done = contents(tmp_path / "out"), tmp_path / "out" / DONE
    done.write_bytes(done.read_bytes()[:-30])
    heard = Heard()
    scan(str(archive), sensitive, model, tmp_path / "out", heard=heard)
    assert 0 < heard.done[0][2] < 25
    assert contents(tmp_path / "out") == before


def test_damaged_files_are_listed_and_the_sound_around_them_is_scored(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    broken = archive / "hall" / named(4)
    broken.write_bytes(broken.read_bytes()[:5000])
    found = scan(str(archive), sensitive, model, tmp_path / "out")
    assert [one.name for one in found.left_out] == [f"hall/{named(4)}"]
    assert "cut off" in found.left_out[0].reason
    assert [len(one.files) for one in found.findings] == [1, 1, 1, 1]


def test_a_file_that_turns_out_to_be_damaged_while_it_is_heard_divides_its_recording(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    bad = archive / "hall" / named(4)
    samples = sound(4)
    samples[30_000] = np.nan
    soundfile.write(bad, samples, 16_000, subtype="FLOAT")
    found = scan(str(archive), sensitive, model, tmp_path / "out")
    assert [(one.name, one.final) for one in found.left_out] == [(f"hall/{named(4)}", True)]
    assert {f"hall/{named(0)}", f"hall/{named(8)}"} <= {one.name for one in found.findings}
    heard = Heard()
    scan(str(archive), sensitive, model, tmp_path / "out", heard=heard)
    assert heard.done[0][0] == heard.done[0][1]  # it is not tried again, because the file is as it was


def test_a_file_that_could_not_be_read_is_tried_again_though_it_looks_as_before(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    file = archive / "hall" / named(30)
    content, modified = file.read_bytes(), file.stat().st_mtime
    file.write_bytes(bytes(len(content)))
    touch(file, modified)
    assert len(scan(str(archive), sensitive, model, tmp_path / "out").left_out) == 1
    file.write_bytes(content)
    touch(file, modified)
    assert scan(str(archive), sensitive, model, tmp_path / "out").left_out == []


def test_names_as_long_as_a_file_system_allows_have_results(sensitive: Bundle, model: Path, tmp_path: Path) -> None:
    names = ["ü" * 120 + ".wav", "x" * 250 + ".wav", "x" * 250 + "y.wav"]
    for name in names:
        write_sound(tmp_path / "short.wav", sound(4))
        (tmp_path / "archive").mkdir(exist_ok=True)
        (tmp_path / "short.wav").rename(tmp_path / "archive" / name)
    found = scan(str(tmp_path / "archive"), sensitive, model, tmp_path / "out", separate=True)
    assert {one.name for one in found.findings} == set(names)
    assert len(contents(tmp_path / "out")) == 3


def test_an_archive_without_a_readable_file_is_an_error(sensitive: Bundle, model: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.wav").write_bytes(b"")
    with pytest.raises(DataError, match="none of its files can be read"):
        scan(str(tmp_path / "archive"), sensitive, model, tmp_path / "out")


def test_a_folder_without_results_takes_the_archive_that_was_meant(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "mistyped").mkdir()
    with pytest.raises(DataError, match="no recordings there"):
        scan(str(tmp_path / "mistyped"), sensitive, model, tmp_path / "out")
    assert scan(str(archive), sensitive, model, tmp_path / "out").files == 5


def test_the_folder_of_another_scan_of_something_else_or_in_use_is_refused(
    archive: Path, sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    scan(str(archive), sensitive, model, out)
    shutil.copytree(archive, tmp_path / "other")
    with pytest.raises(ConfigError, match="another archive"):
        ResultFolder(out, Archive.parse(str(tmp_path / "other")))
    with pytest.raises(ConfigError, match="something else"):
        ResultFolder(archive, Archive.parse(str(archive)))
    with ResultFolder(out, Archive.parse(str(archive))), pytest.raises(ConfigError, match="another scan"):
        ResultFolder(out, Archive.parse(str(archive)))


def test_the_longest_recordings_are_handed_out_first_and_short_ones_together() -> None:
    lengths = [5.0, 7200.0, 20.0, 1900.0, *[10.0] * 500]
    pieces = [Piece((write_surveyed(f"{n:03d}.wav", seconds=one),)) for n, one in enumerate(lengths)]
    handed_out = tasks(pieces)
    assert [task[0].seconds for task in handed_out[:3]] == [7200.0, 1900.0, 20.0]
    assert sum(len(task) for task in handed_out) == len(pieces)
    assert all(len(task) == 1 or sum(piece.seconds for piece in task) <= TASK_S for task in handed_out)
    assert len(handed_out) == 7


def test_thousands_of_tiny_recordings_are_shared_by_their_number() -> None:
    handed_out = tasks(Piece((write_surveyed(f"{n}.wav", seconds=0.1),)) for n in range(3000))
    assert max(map(len, handed_out)) < 400


def test_recordings_without_the_highest_frequencies_of_the_model_are_pointed_out(
    sensitive: Bundle, model: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write_sound(tmp_path / "archive" / f"{number}.wav", sound(2), 8000)
    heard = Heard()
    scan(str(tmp_path / "archive"), sensitive, model, tmp_path / "out", heard=heard)
    [note] = heard.notes
    assert note.startswith("0.wav and 2 other recordings: ")
    assert "not comparable" in note


def test_a_name_in_a_store_cannot_lead_out_of_the_folder(archive: Path, tmp_path: Path) -> None:
    with ResultFolder(tmp_path / "out", Archive.parse(str(archive))) as folder:
        for name in ("../../a.wav", "hall/../../../a.wav", "//a.wav"):
            path = folder.rows(name)
            assert ".." not in path.parts
            assert path.is_relative_to(tmp_path / "out" / "seconds")
