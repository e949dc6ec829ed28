"""Files are written atomically, and links that an attacker planted in the folder are not followed."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.core import atomic_io
from monitor.core.atomic_io import (
    atomic_file,
    remove_leftovers,
    require_other_file,
    require_writable,
    write_atomically,
)
from monitor.core.errors import ConfigError, MonitorError
from support.listening import DEADLINE_S


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_bytes(b"the old file")
    return path


def test_a_file_gets_its_content_and_missing_folders_are_created(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"
    write_atomically(path, (part for part in (b"in ", b"", b"pieces")), durable=False)
    assert path.read_bytes() == b"in pieces"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_until_the_new_one_is_on_the_disk(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushed to disk first, renamed after, so that a crash leaves either the old or the new file."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def observed_fsync(descriptor: int) -> None:
        fsync(descriptor)
        assert os.fstat(descriptor).st_size == 7
        assert old.read_bytes() == b"the old file"
        done.append("flushed")

    def observed_replace(path: Path, target: Path) -> Path:
        assert path.parent == old.parent, "a rename is atomic within a folder"
        done.append("renamed")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", observed_fsync)
    monkeypatch.setattr(Path, "replace", observed_replace)
    write_atomically(old, b"the new")
    assert done == ["flushed", "renamed"]
    assert old.read_bytes() == b"the new"
    write_atomically(old, b"the next", durable=False)
    assert done == ["flushed", "renamed", "renamed"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_unchanged_and_no_temporary_file(
    old: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(MonitorError, match=r"file\.txt: cannot be written: No space left on device\.$"):
        write_atomically(old, b"the new")
    assert old.read_bytes() == b"the old file"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("error", [ValueError("half-way"), KeyboardInterrupt()])
def test_an_error_while_the_content_is_generated_leaves_the_old_file_unchanged_and_no_temporary_file(
    old: Path, error: BaseException
) -> None:
    def content() -> Iterator[bytes]:
        yield b"the first half"
        raise error

    def write_in_a_block() -> None:
        with atomic_file(old) as file:
            file.writelines(content())

    with pytest.raises(type(error)):
        write_atomically(old, content())
    with pytest.raises(type(error)):
        write_in_a_block()
    assert old.read_bytes() == b"the old file"
    assert list(old.parent.iterdir()) == [old]


def test_an_unfinished_file_is_hidden_and_not_found_by_its_suffix(old: Path) -> None:
    """Recordings are found by searching folders."""
    with atomic_file(old) as file:
        file.write(b"half")
        file.flush()
        assert old.read_bytes() == b"the old file"
        assert list(old.parent.glob("*.txt")) == [old]
        assert [path for path in old.parent.iterdir() if not path.name.startswith(".")] == [old]
    assert old.read_bytes() == b"half"


def test_a_link_planted_at_the_temporary_file_is_not_followed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if an attacker who may write in the folder guesses the temporary file's name."""
    victim = old.with_name("victim")
    victim.write_bytes(b"precious")
    monkeypatch.setattr(atomic_io.secrets, "token_hex", lambda _: "guessed")
    planted = old.with_name(f".{old.name}.guessed.tmp")
    planted.symlink_to(victim)
    with pytest.raises(MonitorError, match="cannot be written: File exists"):
        write_atomically(old, b"the new")
    assert victim.read_bytes() == b"precious"
    assert old.read_bytes() == b"the old file"
    assert planted.is_symlink(), "the planted link is not removed"


def test_the_temporary_files_name_cannot_be_guessed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, replace = [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, target: (names.append(path.name), replace(path, target))[1])
    for _ in range(20):
        write_atomically(old, b"new", durable=False)
    parts = [name.removeprefix(f".{old.name}.").removesuffix(".tmp") for name in names]
    assert len(set(parts)) == 20
    assert all(len(part) >= 16 for part in parts), "64 bits"


def test_concurrent_writes_of_one_file_do_not_mix_their_content(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([letter]) * 200_000 for letter in b"abcd"]
    barrier = threading.Barrier(len(contents))

    def write(content: bytes) -> None:
        barrier.wait(DEADLINE_S)
        for _ in range(5):
            write_atomically(path, (content[start : start + 1000] for start in range(0, 200_000, 1000)), durable=False)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_if_the_path_is_a_link_its_target_is_replaced(tmp_path: Path) -> None:
    """So that a model may be stored elsewhere."""
    target, link = tmp_path / "there" / "target", tmp_path / "link"
    link.symlink_to(target)
    for content in (b"made", b"replaced"):
        write_atomically(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    write_atomically(Path(os.devnull), b"nothing")
    assert not Path(os.devnull).is_file()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, [b"in ", b"pieces"])
    reader.join(DEADLINE_S)
    assert read == [b"in pieces"]
    assert pipe.is_fifo()


def test_a_new_file_has_the_users_default_permissions(tmp_path: Path) -> None:
    """Not the private ones of a temporary file, because a service of another user may read the model."""
    write_atomically(tmp_path / "atomic", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".txt")
    write_atomically(path, b"long")
    assert path.read_bytes() == b"long"


def test_if_a_file_cannot_be_written_the_error_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder"):
        with pytest.raises(MonitorError, match="cannot be written") as caught:
            write_atomically(path, b"content")
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("folder", ["/", ".", "..", "folder"])
def test_a_folder_in_the_place_of_a_file_is_an_error_of_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MonitorError, match=r"cannot be written: Is a directory\.$"):
        write_atomically(Path(folder), b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


# Checks before long computations


def test_a_writable_folder_is_created_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b", "advice")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_is_not_writable_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file.*cannot be written.*choose another"):
        require_writable(tmp_path / "file", "choose another one.")


def test_an_input_file_is_not_overwritten_under_any_of_its_names(tmp_path: Path) -> None:
    read, other = tmp_path / "read", tmp_path / "other"
    read.touch()
    other.touch()
    (tmp_path / "link").symlink_to(read)
    (tmp_path / "hard").hardlink_to(read)
    require_other_file([None, other, tmp_path / "new"], [read, tmp_path / "missing"])
    for name in ("read", "link", "hard", "../" + tmp_path.name + "/read"):
        with pytest.raises(ConfigError, match="would be overwritten"):
            require_other_file([other, tmp_path / name], [tmp_path / "missing", read])


@pytest.mark.parametrize("links", [True, False])
def test_without_replacing_an_existing_file_stays_and_no_other_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:  # as on a FAT file system

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a"
    with atomic_file(path, replace=False) as file:
        file.write(b"first")
    with pytest.raises(FileExistsError), atomic_file(path, replace=False) as file:
        file.write(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_program_left_is_removed_when_it_is_an_hour_old_and_nothing_else(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "below" / "file"):
        [name] = [path.name for path in (tmp_path / "below").iterdir()]
    ours = [tmp_path / name, tmp_path / "below" / name]
    others = [tmp_path / other for other in ("file.tmp", ".hidden", ".notes.tmp", ".x.0123456789abcdeg.tmp", "model")]
    for path in (*ours, *others):
        path.write_bytes(b"x")
        os.utime(path, (1e9, 1e9))
    new = tmp_path / ".new.0123456789abcdef.tmp"
    new.write_bytes(b"x")
    remove_leftovers(tmp_path)
    assert [path.exists() for path in ours] == [False, True]
    remove_leftovers(tmp_path, below=True)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in (*others, new))
