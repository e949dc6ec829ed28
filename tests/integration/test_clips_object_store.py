"""Clips in a real S3 server: moved there whole and once, kept as long as they may be, and found by all computers."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from monitor.audio.writer import as_int16
from monitor.bundle.bundle_io import save_bundle
from monitor.cli.main import run
from monitor.clips import mover as mover_module
from monitor.clips.access import NoClip
from monitor.clips.clip_records import StoreRecords
from monitor.clips.mover import ClipMover, clip_mover
from monitor.clips.retention import NoRecords
from monitor.config.plant import Clips, State
from monitor.config.schema import Config
from monitor.core import background_worker, fsspec_store
from monitor.core.object_store import ObjectMissing, ObjectStore, ObjectStoreError
from monitor.report.attachments import Attachments
from monitor.store.database import Store
from monitor.web.login import sessions, users
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.clip_folders import access_to, clip_file, names_in
from support.listening import alarmed_by_loud_noise, wait_until
from support.live_program import Live, reload
from support.logs import logged
from support.s3_server import PASSWORD, USER, S3Server, s3_server
from support.snapshots import snapshot
from support.stored import fill, stored_event
from support.virtual_microphone import VirtualMicrophone, why_not
from support.web_server import web_server

pytestmark = pytest.mark.long

EVENT = "019ac4f0-0000-7000-8000-0123456789ab"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def signed_in(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def url(signed_in: S3Server, request: pytest.FixtureRequest) -> str:
    """The address of an empty folder in the bucket."""
    return f"s3://plant/{request.node.name}"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover_module, "LOOK_S", 0.0)
    monkeypatch.setattr(background_worker, "FIRST_RETRY_S", 0.1)
    monkeypatch.setattr(background_worker, "LAST_RETRY_S", 0.1)


def config_of(folder: Path, url: str, host: str = "hall-a") -> Config:
    clips = Clips(folder=folder / "clips", url=url, min_free_gb=0)
    return Config(state=State(folder=folder / "state", host=host), clips=clips)


def wait_for(mover: ClipMover, condition: Callable[[], Any], what: str) -> None:
    def true() -> bool:
        mover.snapshot(snapshot())
        return bool(condition())

    wait_until(true, what)


@contextlib.contextmanager
def moving(folder: Path, url: str, host: str = "hall-a", records: Any = None) -> Iterator[ClipMover]:
    mover = clip_mover(config_of(folder, url, host), records or NoRecords())
    try:
        yield mover
    finally:
        mover.close()


def move_all(folder: Path, url: str, host: str = "hall-a") -> None:
    with moving(folder, url, host) as mover:
        wait_for(mover, lambda: not names_in(folder / "clips"), "all clips are moved")


def stored(url: str) -> list[str]:
    """The paths of all clips and pictures in the object store."""
    with ObjectStore.open(url) as store:
        return sorted(one.path for one in store.list() if not one.path.endswith(".write-test"))


def test_what_is_written_to_a_server_is_read_listed_and_deleted(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 8000)
    with ObjectStore.open(url) as store:
        store.write("hall/a[1] ä.flac", b"1")
        store.write("hall/large", tmp_path / "file")
        assert store.read("hall/a[1] ä.flac") == b"1"
        assert [(one.path, one.size) for one in store.list("hall")] == [
            ("hall/a[1] ä.flac", 1),
            ("hall/large", 2_048_000),
        ]
        assert all(abs(one.modified - time.time()) < 3600 for one in store.list())
        assert (store.exists("hall/large"), store.exists("hall"), store.exists("hall/l")) == (True, False, False)
        with store.open_read("hall/large") as file:
            assert file.seek(2_000_001) == 2_000_001
            assert file.read(3) == bytes([129, 130, 131])
        with pytest.raises(ObjectMissing):
            store.read("hall/missing")
        store.delete("hall/large")
        store.close()
        assert [one.path for one in store.list()] == ["hall/a[1] ä.flac"], "it may be used again"
    with ObjectStore.open(url.replace("plant", "plantx")) as store, pytest.raises(ObjectStoreError) as error:
        store.read("a")
    assert not isinstance(error.value, ObjectMissing)


@pytest.mark.parametrize(
    ("address", "variables", "sentence"),
    [
        ("s3://nobucket/clips", {}, "there is no such bucket: create it, or correct the address."),
        ("s3://plant/clips", {"AWS_SECRET_ACCESS_KEY": "geheim"}, "the user or password is refused"),
        ("s3://plant/clips", {"AWS_ACCESS_KEY_ID": "geheim"}, "the user or password is refused"),
        (
            "s3://plant/clips",
            {"AWS_ENDPOINT_URL_S3": "http://geheim:geheim@127.0.0.1:9"},
            "connection to the server fails",
        ),
        ("s3://plant/clips?endpoint_url=http://127.0.0.1:9", {}, "the server cannot be reached."),
    ],
)
def test_what_is_wrong_with_the_address_is_one_sentence_of_the_check_and_names_no_password(
    address: str, variables: dict[str, str], sentence: str, signed_in: S3Server, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as errors:
        code = run(["check", "--set", f"clips.url={address}"])
    assert code == 0, "it may come back"
    assert len(errors.getvalue().strip().splitlines()) == 1
    assert sentence in errors.getvalue()
    everything = said.getvalue() + errors.getvalue() + caplog.text
    for secret in (PASSWORD, USER, "geheim", "Traceback"):
        assert secret not in everything


def test_an_address_that_works_is_said_to_by_the_check(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run(["check", "--set", f"clips.url={url}", "--set", "state.host=hall-a"]) == 0
    assert f"# clips.url: {url}/hall-a can be written." in said.getvalue()
    assert stored(url) == []


def test_clips_are_moved_and_another_computer_reads_them(url: str, tmp_path: Path) -> None:
    office = access_to(tmp_path / "office" / "clips", url)
    for host in ("hall-a", "hall-b"):
        clip = clip_file(tmp_path / host / "clips", event_id=EVENT, content=host.encode(), age_days=1)
        path = clip.relative_to(tmp_path / host / "clips").as_posix()
        move_all(tmp_path / host, url, host)
        assert office.where(host, path) == f"{url}/{host}/{path}"
        assert office.size(host, path) == 6
        assert office.read(host, path) == host.encode()
        assert office.local(host, path).read_bytes() == host.encode()
        assert office.local(host, path.replace(".flac", ".png")).read_bytes() == host.encode()
    with pytest.raises(NoClip, match="is gone"):
        office.local("hall-c", path)
    with pytest.raises(NoClip, match="is gone"):
        office.size("hall-a", path.replace("pump", "fan"))
    assert len(names_in(tmp_path / "office" / "state" / "clip-cache")) == 4


def test_a_report_on_another_computer_has_picture_and_sound(url: str, tmp_path: Path) -> None:
    clip = clip_file(tmp_path / "hall-a" / "clips", event_id=EVENT)
    path = clip.relative_to(tmp_path / "hall-a" / "clips").as_posix()
    move_all(tmp_path / "hall-a", url)
    event = stored_event(host="hall-a", clip=path, picture=path.replace(".flac", ".png"))
    attachments = Attachments(access_to(tmp_path / "office" / "clips", url), 1e6)
    attachments.choose([event])
    assert len(attachments.included) == 2
    assert "audio/flac" in str(attachments.uri(event, event.clip))
    assert "image/png" in str(attachments.uri(event, event.picture))
    assert not (tmp_path / "office").exists(), "a report writes nothing but itself"


def test_while_the_server_is_away_clips_wait_and_are_moved_once_when_it_is_back(
    url: str, signed_in: S3Server, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    clip_file(clips, age_days=3)
    move_all(tmp_path, url)
    signed_in.kill()
    try:
        with moving(tmp_path, url) as mover, logged("monitor") as said:
            for age in (1, 2):
                clip_file(clips, age_days=age)
            wait_for(mover, lambda: mover.trouble, "the trouble")
            assert mover.trouble == f"{url}: the server cannot be reached; clips wait in {clips}."
            assert len(names_in(clips)) == 4
            signed_in.start()
            wait_for(mover, lambda: not names_in(clips), "all clips are moved")
            wait_for(mover, lambda: not mover.trouble, "the end of the trouble")
    finally:
        signed_in.start()
    assert len(stored(url)) == 6
    assert mover.error is None
    assert [line for line in said if PASSWORD in line] == []


def test_a_server_that_does_not_answer_holds_up_neither_the_engine_nor_the_end(
    url: str, signed_in: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual_s = fsspec_store.READ_S
    monkeypatch.setattr(background_worker, "CLOSE_S", 0.5)
    monkeypatch.setattr(fsspec_store, "READ_S", 1.0)
    clip = clip_file(tmp_path / "clips")
    path = clip.relative_to(tmp_path / "clips").as_posix()
    access = access_to(tmp_path / "office", url)
    signed_in.freeze()
    try:
        with moving(tmp_path, url) as mover:
            wait_for(mover, lambda: "does not answer" in mover.trouble, "the trouble")
        mover.finish()
        assert len(names_in(tmp_path / "clips")) == 2
        for _ in range(20):  # one that has failed is not asked again at once
            with pytest.raises(ObjectStoreError, match="the server does not answer"):
                access.read("hall-a", path)
    finally:
        signed_in.thaw()
    monkeypatch.setattr(fsspec_store, "READ_S", usual_s)  # a server of a busy machine may answer late
    move_all(tmp_path, url)
    assert len(stored(url)) == 2


MOVE = """
import sys, time
from pathlib import Path
from monitor.clips import mover
from monitor.config.plant import Clips, State
from monitor.config.schema import Config

folder = Path(sys.argv[1])
clips = Clips(folder=folder / "clips", url=sys.argv[2], min_free_gb=0)
moving = mover.clip_mover(Config(state=State(folder=folder / "state", host="hall-a"), clips=clips), None)
while True:
    moving.snapshot(None)
    time.sleep(0.01)
"""


def test_what_is_killed_while_it_moves_loses_nothing_and_leaves_nothing_twice(url: str, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for age in range(15):
        clip_file(clips, age_days=age, content=f"day {age}".encode())
    wanted = {f"hall-a/{name}": (clips / name).read_bytes() for name in names_in(clips)}
    in_order = sorted(wanted, key=lambda path: path.rpartition("/")[2])
    for count in (3, 12):
        process = subprocess.Popen([sys.executable, "-c", MOVE, str(tmp_path), url])
        wait_until(lambda count=count: len(stored(url)) >= count, "some clips are moved")
        process.kill()
        process.wait()
        found = sorted(stored(url), key=lambda path: path.rpartition("/")[2])
        assert found == in_order[: len(found)], "the oldest first"
        assert set(found) | {f"hall-a/{name}" for name in names_in(clips)} == set(wanted)
    move_all(tmp_path, url)
    with ObjectStore.open(url) as store:
        assert {one.path: store.read(one.path) for one in store.list()} == wanted


def test_old_clips_in_the_store_go_except_those_that_are_kept(url: str, tmp_path: Path) -> None:
    ids = [f"019ac4f0-{number:04x}-7000-8000-0123456789ab" for number in range(2)]
    database = f"sqlite:///{tmp_path / 'store.sqlite'}"
    with Store.open(database) as store:
        fill(store, {}, [stored_event(id=one, host="hall-a", clip="a.flac", locked=one == ids[0]) for one in ids])
    for host in ("hall-a", "hall-b"):
        for one in ids:
            clip_file(tmp_path / host / "clips", event_id=one, age_days=200)
        mover = clip_mover(config_of(tmp_path / host, url, host), NoRecords())
        mover.finish()  # moves, and deletes nothing
        mover.close()
    assert len(stored(url)) == 8
    with moving(tmp_path / "hall-a", url, records=StoreRecords(database)) as mover:
        wait_for(mover, lambda: len(stored(url)) == 6, "the clip that may go is deleted")
    left = [path for path in stored(url) if path.startswith("hall-a")]
    assert all(ids[0] in path for path in left)


def test_the_page_on_another_computer_plays_a_clip_and_draws_it(url: str, signed_in: S3Server, tmp_path: Path) -> None:
    bundle = save_bundle(small_bundle(), tmp_path / "pump.safetensors")
    samples = 0.02 * np.random.default_rng(1).standard_normal(4 * RATE)
    content = io.BytesIO()
    soundfile.write(content, as_int16(samples.astype(np.float32)), RATE, format="FLAC")
    clip = clip_file(tmp_path / "hall-a" / "clips", event_id=EVENT, content=content.getvalue())
    path = clip.relative_to(tmp_path / "hall-a" / "clips").as_posix()
    move_all(tmp_path / "hall-a", url)
    database = f"sqlite:///{tmp_path / 'store.sqlite'}"
    event = stored_event(
        id=EVENT, host="hall-a", clip=path, clip_start=stored_event().onset - 1, model_id=bundle.model_id
    )
    (tmp_path / "office" / "state").mkdir(parents=True)
    (tmp_path / "office" / "config.yaml").write_text(
        json.dumps({"store": {"url": database}, "clips": {"url": url}, "state": {"host": "office"}}), encoding="utf-8"
    )
    with Store.open(database) as store:
        fill(store, {}, [event])
        users.add_user(store, "mia", "operator", None, by="test")
        with web_server(tmp_path / "office", tmp_path / "office" / "state", environment=signed_in.environment) as page:
            secret = sessions.begin(store, "mia", address="127.0.0.1", session_s=3600)

            def get(name: str) -> bytes:
                asked = urllib.request.Request(
                    f"{page.url}/media/event/{EVENT}/{name}",
                    headers={"Cookie": f"monitor_session_{page.port}={secret}"},
                )
                with urllib.request.urlopen(asked) as answer:
                    return bytes(answer.read())

            assert get("clip.flac") == content.getvalue()
            assert "recorded" in json.loads(get("analysis.json"))["pictures"]
            assert get("recorded.png").startswith(b"\x89PNG")
        assert PASSWORD not in page.output


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is a virtual microphone")
def test_a_running_monitor_moves_clips_to_another_address_after_a_reload_and_tells_when_it_cannot(
    url: str, signed_in: S3Server, tmp_path: Path
) -> None:
    settings = small_config("alarm.warm_up_s=0", "alarm.block_s=0.1", "alarm.hold_s=0.3", "alarm.release_s=0.3")
    save_bundle(alarmed_by_loud_noise(settings), tmp_path / "model.safetensors")
    sound = noise(8 * RATE)
    sound[5 * RATE :] *= 4
    shared = tmp_path / "shared"
    shared.mkdir()

    def write(address: object) -> None:
        (tmp_path / "hall.yaml").write_text(
            "state: {folder: state, host: hall-a}\n"
            "streams: [{name: pump, bundle: model.safetensors, device: testmic}]\n"
            f"clips: {{before_s: 1, after_s: 0.5, longest_s: 10, min_free_gb: 0, pictures: false, url: '{address}'}}\n"
        )

    def status() -> str:
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            run(["status", "--state", str(tmp_path / "state")])
        return said.getvalue()

    write(shared)
    with VirtualMicrophone(RATE) as microphone:  # its programs have the variables that reach the server
        microphone.play(write_sound(microphone.folder / "machine.wav", sound, subtype="PCM_16"), times=60)
        live = Live(microphone, tmp_path, "--config", "hall.yaml")
        try:
            wait_until(lambda: list(shared.glob("hall-a/pump/**/*.flac")), "a clip in the folder")
            write(url)
            assert reload(tmp_path / "state").code == 0
            wait_until(lambda: stored(url), "a clip in the object store")
            signed_in.kill()
            wait_until(lambda: "the server cannot be reached" in status(), "the trouble")
            signed_in.start()
            wait_until(lambda: "cannot be reached" not in status(), "the end of the trouble")
        finally:
            signed_in.start()
            code = live.end()
    assert code == 0, live.text
    assert PASSWORD not in live.text
