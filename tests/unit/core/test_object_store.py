"""Files by name in a folder or on a server: each whole or not at all, and what is wrong in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from monitor.core.errors import EXIT_USAGE
from monitor.core.object_errors import in_words, is_missing
from monitor.core.object_store import ObjectMissing, ObjectStore, ObjectStoreError

SECRET = "AKIA-geheim"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A folder, and a server that is written to in two steps because files do not appear whole on it."""
    if request.param == "folder":
        (tmp_path / "shared").mkdir()
        return ObjectStore.open(f"file://{tmp_path / 'shared'}")
    return ObjectStore.open(f"memory://{tmp_path.name}/{request.node.name}")


def test_what_is_written_is_read_listed_and_deleted(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file")
    store.write("a/b/one", b"1")
    store.write("a/two", tmp_path / "file")
    store.write("a/b/one", b"other")
    assert store.read("a/b/one") == b"other"
    assert store.size("a/two") == 11
    assert (store.exists("a/two"), store.exists("a"), store.exists("b")) == (True, False, False)
    assert sorted((one.path, one.size) for one in store.list()) == [("a/b/one", 5), ("a/two", 11)]
    assert [one.path for one in store.list("a/b")] == ["a/b/one"]
    assert all(one.modified > 1.7e9 for one in store.list())
    assert list(store.list("nowhere")) == []
    with store.open_read("a/two") as file:
        assert file.seek(5) == 5
        assert file.read() == b"a file"
    for _ in range(2):
        store.delete("a/b/one")
    assert [one.path for one in store.list()] == ["a/two"]
    store.close()


def test_a_file_that_is_not_there_is_told_from_other_failures(store: ObjectStore) -> None:
    store.write("there", b"")
    for ask in (store.read, store.size, store.open_read):
        with pytest.raises(ObjectMissing):
            ask("not there")


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(store: ObjectStore, path: str) -> None:
    for ask in (store.read, store.delete, lambda path: store.write(path, b"")):
        with pytest.raises(ObjectStoreError):
            ask(path)


def test_the_folder_of_a_disk_that_is_not_mounted_is_not_filled(tmp_path: Path) -> None:
    store = ObjectStore.open(str(tmp_path / "mnt" / "clips"))
    for ask in (lambda: store.write("a", b""), lambda: store.read("a"), lambda: list(store.list())):
        with pytest.raises(ObjectStoreError, match="there is no such folder") as error:
            ask()
        assert not isinstance(error.value, ObjectMissing)
    assert not (tmp_path / "mnt").exists()
    with ObjectStore.open(str(tmp_path / "models"), create=True) as made:
        made.write("a", b"1")
        assert made.read("a") == b"1"


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips").touch()
    store = ObjectStore.open(str(tmp_path / "clips"))
    for ask in (lambda: store.write("a", b""), lambda: store.read("a"), lambda: list(store.list())):
        with pytest.raises(ObjectStoreError, match="clips: this is a file: give a folder"):
            ask()


def test_a_kind_of_address_without_its_library_says_what_to_install() -> None:
    with pytest.raises(ObjectStoreError, match=r"gs://plant: needs a library .* pip install 'fsspec\[gs\]'") as error:
        ObjectStore.open("gs://plant")
    assert error.value.exit_code == EXIT_USAGE
    with pytest.raises(ObjectStoreError, match="no kind of address"):
        ObjectStore.open("nonsense://plant")


def test_a_folder_needs_no_library_for_object_stores(tmp_path: Path) -> None:
    script = (
        "import sys; from monitor.core.object_store import ObjectStore; import monitor.clips.access; "
        f"store = ObjectStore.open({str(tmp_path)!r}); store.write('a', b'1'); store.read('a'); "
        "assert not {'fsspec', 's3fs', 'botocore'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{SECRET} is wrong"}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (client_error("NoSuchBucket"), "there is no such bucket: create it"),
        (client_error("SignatureDoesNotMatch"), "the user or password is refused"),
        (client_error("Strange"), "it fails with the error Strange"),
        (client_error(f"{SECRET} <xml>"), "it fails with the error ClientError"),
        (EndpointConnectionError(endpoint_url=f"http://{SECRET}@nas"), "the server cannot be reached"),
        (NoCredentialsError(), "no user and password are known"),
        (PermissionError(SECRET), "the user or password is refused"),
        (OSError(28, SECRET), "No space left on device"),
        (ValueError(SECRET), "it fails with the error ValueError"),
    ],
)
def test_errors_of_libraries_are_told_in_words_and_never_with_their_own_text(error: Exception, words: str) -> None:
    assert in_words(error).startswith(words)
    assert SECRET not in in_words(error)


def test_a_missing_bucket_is_not_taken_for_a_missing_file() -> None:
    missing = FileNotFoundError("The specified bucket does not exist")
    missing.__cause__ = client_error("NoSuchBucket")
    assert not is_missing(missing)
    missing.__cause__ = client_error("NoSuchKey")
    assert is_missing(missing)
