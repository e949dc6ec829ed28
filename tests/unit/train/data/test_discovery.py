"""How recordings are labelled by the names of folders and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.core.errors import DataError
from support.builders import write_sound
from support.logs import logged
from train.data.discovery import Recordings, find_recordings, normal_files


def files(root: Path, *names: str) -> Path:
    """Creates empty files, because only their names are read."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def named(found: Recordings) -> dict[str, list[str]]:
    lists = ("train_normal", "test_normal", "test_anomaly", "unlabelled")
    return {name: [found.name(path) for path in getattr(found, name)] for name in lists if getattr(found, name)}


# Layouts


@pytest.mark.parametrize("prefix", ["", "exp1_dataset_ToyCar/", "deep/below/"])
def test_the_toyadmos_layout(tmp_path: Path, prefix: str) -> None:
    """The label depends on the folders only, not on the names of the files."""
    root = files(
        tmp_path,
        *(
            f"{prefix}{folder}/case1_{n}.wav"
            for folder in ("train_normal", "test_normal", "test_anomaly")
            for n in "ba"
        ),
    )
    assert named(find_recordings(root)) == {
        folder: [f"{prefix}{folder}/case1_a.wav", f"{prefix}{folder}/case1_b.wav"]
        for folder in ("train_normal", "test_normal", "test_anomaly")
    }


def test_the_names_of_dcase_2020(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        "ToyCar/train/normal_id_01_00000000.wav",
        "ToyCar/train/normal_id_02_00000001.wav",
        "ToyCar/test/normal_id_01_00000000.wav",
        "ToyCar/test/anomaly_id_01_00000000.wav",
        "ToyCar/test/id_05_00000000.wav",
    )
    assert named(find_recordings(root)) == {
        "train_normal": ["ToyCar/train/normal_id_01_00000000.wav", "ToyCar/train/normal_id_02_00000001.wav"],
        "test_normal": ["ToyCar/test/normal_id_01_00000000.wav"],
        "test_anomaly": ["ToyCar/test/anomaly_id_01_00000000.wav"],
        "unlabelled": ["ToyCar/test/id_05_00000000.wav"],
    }


def test_the_names_of_dcase_2022_and_later(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        "fan/train/section_00_source_train_normal_0000_m-n_W.wav",
        "fan/train/section_00_target_train_normal_0001_m-n_X.wav",
        "fan/test/section_00_source_test_normal_0001_m-n_W.wav",
        "fan/test/section_00_source_test_anomaly_0001.wav",
        "fan/source_test/section_01_source_test_normal_0000.wav",
        "fan/target_test/section_01_target_test_anomaly_0000.wav",
    )
    assert named(find_recordings(root)) == {
        "train_normal": [
            "fan/train/section_00_source_train_normal_0000_m-n_W.wav",
            "fan/train/section_00_target_train_normal_0001_m-n_X.wav",
        ],
        "test_normal": [
            "fan/source_test/section_01_source_test_normal_0000.wav",
            "fan/test/section_00_source_test_normal_0001_m-n_W.wav",
        ],
        "test_anomaly": [
            "fan/target_test/section_01_target_test_anomaly_0000.wav",
            "fan/test/section_00_source_test_anomaly_0001.wav",
        ],
    }


def test_normal_and_abnormal_folders_as_in_mimii(tmp_path: Path) -> None:
    root = files(tmp_path, "6_dB_fan/fan/id_00/normal/00000000.wav", "6_dB_fan/fan/id_00/abnormal/00000000.wav")
    assert named(find_recordings(root)) == {
        "train_normal": ["6_dB_fan/fan/id_00/normal/00000000.wav"],
        "test_anomaly": ["6_dB_fan/fan/id_00/abnormal/00000000.wav"],
    }


def test_a_plain_folder_is_a_folder_of_normal_recordings(tmp_path: Path) -> None:
    root = files(tmp_path, "monday/1.wav", "2.flac", "tuesday/deep/3.ogg", "4.npy", "5.WAV")
    assert named(find_recordings(root)) == {
        "train_normal": ["2.flac", "4.npy", "5.WAV", "monday/1.wav", "tuesday/deep/3.ogg"]
    }


def test_a_single_recording_is_a_data_set_of_one(tmp_path: Path) -> None:
    files(tmp_path, "a.wav", "b.wav")
    assert named(find_recordings(tmp_path / "a.wav")) == {"train_normal": ["a.wav"]}


def test_every_kind_of_sound_file_counts_and_others_are_counted_in_one_line(tmp_path: Path) -> None:
    files(tmp_path, "train/a.wav", "train/b.MP3", "train/c.aiff", "train/d.W64", "train/e.NPY", "train/opus/f.opus")
    files(tmp_path, "train/a.txt", "train/b.TXT", "manifest.csv", "train/README")
    (tmp_path / "train" / "folder.wav").mkdir()
    (tmp_path / "train" / "gone.wav").symlink_to("nowhere.wav")
    found = find_recordings(tmp_path)
    assert named(found) == {
        "train_normal": [f"train/{name}" for name in ("a.wav", "b.MP3", "c.aiff", "d.W64", "e.NPY", "opus/f.opus")]
    }
    with logged("train") as messages:
        found.log_unused()
    assert messages == ["Passed over, because they are not sound: 1 × .csv, 2 × .txt, 1 × broken link, 1 × no suffix."]


def test_a_thousand_kinds_of_other_files_are_one_short_line(tmp_path: Path) -> None:
    parts = [f"part.{number:04d}" for number in range(1000)]
    found = find_recordings(files(tmp_path, "a.wav", "x.csv", "y.csv", *parts))
    with logged("train") as messages:
        found.log_unused()
    [message] = messages
    assert "2 × .csv" in message
    assert "993 × other kinds" in message
    assert len(message) < 200


def test_recordings_without_a_label_are_counted_in_one_line(tmp_path: Path) -> None:
    found = find_recordings(files(tmp_path, "train/a.wav", "loose.wav", "other/loose.wav"))
    with logged("train") as messages:
        found.log_unused()
    assert messages == [
        "Left out: 2 recordings whose names and folders say neither normal nor anomaly, such as loose.wav."
    ]


@pytest.mark.parametrize("name", [".Trash-1000/files/bad.wav", ".ipynb_checkpoints/a.wav", "__MACOSX/._a.wav"])
def test_what_was_thrown_away_is_not_trained_on(tmp_path: Path, name: str) -> None:
    assert named(find_recordings(files(tmp_path, "a.wav", name))) == {"train_normal": ["a.wav"]}


def test_a_link_to_a_folder_is_labelled_by_where_it_stands(tmp_path: Path) -> None:
    """The same folder can have two labels, as here; under the same label it counts once."""
    files(tmp_path, "nas/n.wav", "set/train_normal/m.wav")
    for name in ("test_normal", "train_normal/monday", "train_normal/tuesday"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "nas")
    assert named(find_recordings(tmp_path / "set")) == {
        "train_normal": ["train_normal/m.wav", "train_normal/monday/n.wav"],
        "test_normal": ["test_normal/n.wav"],
    }


def test_a_link_back_to_the_data_set_gives_nothing_a_second_label(tmp_path: Path) -> None:
    root = files(tmp_path, "train_normal/a.wav", "test_anomaly/b.wav", "loose.wav")
    (root / "train_normal" / "all").symlink_to(root)
    assert named(find_recordings(root)) == {
        "train_normal": ["train_normal/a.wav"], "test_anomaly": ["test_anomaly/b.wav"], "unlabelled": ["loose.wav"],
    }  # fmt: skip


def test_the_name_of_the_root_folder_does_not_count(tmp_path: Path) -> None:
    """A data set may be in a folder called test."""
    root = files(tmp_path / "test" / "anomaly_study", "a.wav", "b.wav")
    assert named(find_recordings(root)) == {"train_normal": ["a.wav", "b.wav"]}


def test_the_innermost_folder_with_a_meaning_counts(tmp_path: Path) -> None:
    root = files(tmp_path, "test/train/a.wav", "train/test/normal_b.wav", "train/anomaly/c.wav", "test/x/normal_d.wav")
    assert named(find_recordings(root)) == {
        "train_normal": ["test/train/a.wav"],
        "test_normal": ["test/x/normal_d.wav", "train/test/normal_b.wav"],
        "test_anomaly": ["train/anomaly/c.wav"],
    }


def test_loose_recordings_beside_a_layout_are_not_trained_on(tmp_path: Path) -> None:
    root = files(tmp_path, "train/a.wav", "test/normal_b.wav", "leftover.wav", "other/leftover.wav")
    assert named(find_recordings(root)) == {
        "train_normal": ["train/a.wav"],
        "test_normal": ["test/normal_b.wav"],
        "unlabelled": ["leftover.wav", "other/leftover.wav"],
    }


FAULT_NAMES = [
    "anomaly.wav",
    "Anomaly_id_01_0000.wav",
    "section_00_source_train_anomaly_0001.wav",
    "pump-abnormal-3.wav",
    "ABNORMAL.flac",
    "anomalous_bearing.npy",
    "0001_anomaly.wav",
]
FOLDERS = ["", "train/", "train_normal/", "normal/", "train/normal/", "test/", "monday/", "anomaly/", "test_anomaly/"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", FAULT_NAMES)
@pytest.mark.parametrize("beside", [(), ("train/good.wav", "test/normal_1.wav")])
def test_an_anomalous_recording_is_never_trained_on_whatever_its_folder(
    tmp_path: Path, folder: str, name: str, beside: tuple[str, ...]
) -> None:
    found = find_recordings(files(tmp_path, folder + name, *beside))
    assert [found.name(path) for path in found.test_anomaly] == [folder + name]
    assert folder + name not in named(found).get("train_normal", [])


@pytest.mark.parametrize("folder", ["anomaly", "abnormal", "Anomalous", "anomaly_belt", "AnomalousSound_IND"])
def test_recordings_in_an_anomaly_folder_are_anomalous_whatever_their_names(tmp_path: Path, folder: str) -> None:
    found = find_recordings(files(tmp_path, f"train/{folder}/normal_1.wav", f"{folder}/monday/2.wav"))
    assert sorted(named(found)) == ["test_anomaly"]
    assert len(found.test_anomaly) == 2


@pytest.mark.parametrize("name", ["anomaly01.wav", "anomaly 01.wav", "bearing.anomaly.3.wav", "anomalies_3.wav"])
def test_an_anomalous_recording_is_recognised_however_its_number_is_written(tmp_path: Path, name: str) -> None:
    assert named(find_recordings(files(tmp_path, f"train/{name}"))) == {"test_anomaly": [f"train/{name}"]}


def test_a_missing_or_empty_folder_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    files(tmp_path, "notes.txt")
    for path, words in ((tmp_path, "no recordings"), (tmp_path / "missing", "no such folder")):
        with pytest.raises(DataError) as caught:
            find_recordings(path)
        for word in (str(path), words, "train_normal/", "DCASE"):
            assert word in str(caught.value)
        assert "\n" not in str(caught.value)


# Recordings for calibration


def test_normal_files_are_those_named_and_the_normal_ones_of_folders(tmp_path: Path) -> None:
    files(tmp_path, "set/train/a.wav", "set/test/normal_b.wav", "set/test/anomaly_c.wav", "plain/d.wav", "e.wav")
    chosen = normal_files([tmp_path / "set", tmp_path / "plain", tmp_path / "e.wav", tmp_path / "e.wav"])
    assert [path.name for path in chosen] == ["e.wav", "d.wav", "normal_b.wav"], "each once, sorted by path"
    with pytest.raises(DataError, match="no such file or folder"):
        normal_files([tmp_path / "missing"])
    files(tmp_path, "faults/anomaly_1.wav")
    with pytest.raises(DataError, match="No normal recordings"):
        normal_files([tmp_path / "faults"])


def test_a_recordings_name_is_its_path_below_the_root(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "train" / "a.wav", np.zeros(10))
    found = find_recordings(tmp_path)
    assert found.name(path) == "train/a.wav"
    assert found.name(Path("/elsewhere/b.wav")) == "/elsewhere/b.wav"
