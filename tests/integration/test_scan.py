"""Promises of `monitor scan`: on the command line, killed, on clusters."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli.main import run as command
from monitor.core.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from monitor.core.object_store import ObjectStore
from support.archives import Heard, contents, named, scan, sensitive_bundle, sound, write_archive
from support.builders import write_sound
from support.listening import DEADLINE_S, wait_until
from support.ports import free_port
from support.s3_server import BUCKET, s3_server


@pytest.fixture
def model(tmp_path: Path) -> Path:
    sensitive_bundle(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "archive")


def test_a_scan_is_told_in_sentences_on_a_page_and_as_json(
    archive: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["scan", str(archive), str(model), "--out", "out", "--workers", "1"]
    assert command(arguments) == EXIT_OK
    told = capsys.readouterr()
    assert "One anomaly was found in 1 recording, the first on 20 November 2026" in told.out
    assert "times real time" in told.err
    assert named(0, recorder="fan") in Path("out/index.html").read_text()
    assert command([*arguments, "--json"]) == EXIT_OK
    facts = json.loads(capsys.readouterr().out)
    assert (facts["files"], facts["recordings"], facts["anomalies"], facts["left_out"]) == (5, 3, 1, [])
    assert facts["scanned_before_s"] == facts["seconds"] == 25


def test_a_damaged_file_is_listed_does_not_stop_the_scan_and_makes_it_fail(
    archive: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (archive / "hall" / "broken.flac").write_bytes(b"fLaC, but no more")
    assert command(["scan", str(archive), str(model), "--out", "out", "--workers", "1"]) == EXIT_FAILURE
    told = capsys.readouterr()
    assert "left out" in told.err
    assert "broken.flac" in told.err
    assert "1 file could not be scored" in told.out
    assert "broken.flac" in Path("out/left-out.csv").read_text()
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["MODEL", "ARCHIVE", "--out", "out"], "archive comes first"),
        (["ARCHIVE", "MODEL", "--out", "out", "--cluster", "spark://host:1"], "dask://HOST:PORT"),
        (["ARCHIVE", "MODEL", "--out", "out", "--cluster", "dask://127.0.0.1:1", "--workers", "2"], "one of both"),
        (["ARCHIVE", "MODEL", "--out", "ARCHIVE"], "another folder"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_said_in_a_sentence(
    arguments: list[str], said: str, archive: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"ARCHIVE": str(archive), "MODEL": str(model)}
    assert command(["scan", *(named.get(one, one) for one in arguments)]) == EXIT_USAGE
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_without_pyarrow_it_is_said_what_to_install(
    archive: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert command(["scan", str(archive), str(model), "--out", "out"]) == EXIT_FAILURE
    assert "pip install 'acoustic-monitor[parquet]'" in capsys.readouterr().err


def many(folder: Path, count: int = 24) -> Path:
    """An archive that takes seconds: files of an hour's length for tasks, which are none for the processor."""
    for number in range(count):
        write_sound(folder / named(3600 * number), sound(20, seed=number))
    return folder


# Each piece is a task of its own, as hours of sound are.
PROGRAM = """
import sys
from monitor.cli.main import run
from monitor.scan import task
task.TASK_S = 1.0
sys.exit(run(sys.argv[1:]))
"""


def started(archive: Path, model: Path, out: str, workers: int = 2) -> subprocess.Popen[str]:
    arguments = ["scan", str(archive), str(model), "--out", out, "--workers", str(workers)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip


def finished(out: Path) -> int:
    """The number of recordings that are done."""
    file = out / "done.jsonl"
    return file.read_text().count('"piece"') if file.exists() else 0


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_an_ended_scan_goes_on_where_it_was_and_gives_the_same_results(
    how: signal.Signals, model: Path, tmp_path: Path
) -> None:
    archive = many(tmp_path / "archive")
    first = started(archive, model, "out")
    wait_until(lambda: finished(tmp_path / "out") >= 3, "three recordings")
    os.killpg(first.pid, how)
    _, told = first.communicate()
    if how is signal.SIGINT:
        assert first.returncode == EXIT_INTERRUPTED
        assert "Run the same command again to go on" in told
        assert "Traceback" not in told
    done = finished(tmp_path / "out")
    assert 3 <= done < 24
    again = started(archive, model, "out")
    _, told = again.communicate()
    assert again.returncode == EXIT_OK, told
    assert "were scanned before" in told
    bundle = sensitive_bundle(tmp_path / "same.safetensors")
    scan(str(archive), bundle, tmp_path / "same.safetensors", tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.long
def test_a_process_that_dies_takes_only_its_recordings_with_it(model: Path, tmp_path: Path) -> None:
    archive = many(tmp_path / "archive", 12)
    program = started(archive, model, "out")
    wait_until(lambda: finished(tmp_path / "out") >= 2, "two recordings")
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    workers = [one for one in children if b"loky" in Path(f"/proc/{one}/cmdline").read_bytes()]
    workers = [one for one in workers if b"resource_tracker" not in Path(f"/proc/{one}/cmdline").read_bytes()]
    os.kill(int(workers[0]), signal.SIGKILL)
    _, told = program.communicate()
    assert "Traceback" not in told
    assert program.returncode in (EXIT_OK, EXIT_FAILURE)  # by what it was doing
    again = started(archive, model, "out")
    again.communicate()
    assert again.returncode == EXIT_OK
    assert finished(tmp_path / "out") == 12


@pytest.mark.long
def test_recordings_on_a_server_give_the_same_results_as_on_a_disk(
    archive: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.scan.task.TASK_S", 1.0)
    bundle = sensitive_bundle(model)
    scan(str(archive), bundle, model, tmp_path / "here")
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = ObjectStore.open(f"s3://{BUCKET}/archive")
        for path in sorted(archive.rglob("*.wav")):
            store.write(path.relative_to(archive).as_posix(), path)
        found = scan(f"s3://{BUCKET}/archive", bundle, model, tmp_path / "there", workers=2)
        again = Heard()
        scan(f"s3://{BUCKET}/archive", bundle, model, tmp_path / "there", heard=again)
    assert found.left_out == []
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert again.done[0][0] == again.done[0][1]


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[str]:
    """A Dask scheduler, and worker processes of one thread each, that see nothing of the current folder."""
    address = f"127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    run = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--no-dashboard",
    ]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        f"tcp://{address}",
        "--nthreads",
        "1",
        "--no-dashboard",
    ]
    folder.mkdir()
    programs = [
        subprocess.Popen(one, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for one in (run, *([worker] * workers))
    ]
    try:
        from distributed import Client

        with Client(f"tcp://{address}", timeout=DEADLINE_S, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=DEADLINE_S)
        yield f"dask://{address}"
    finally:
        for one in reversed(programs):
            one.terminate()
        for one in programs:
            one.wait()


@pytest.mark.long
def test_a_dask_cluster_gives_the_same_results_and_needs_only_the_archive(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.scan.task.TASK_S", 1.0)
    archive = many(tmp_path / "archive", 6)
    bundle = sensitive_bundle(model)
    scan(str(archive), bundle, model, tmp_path / "here")
    with dask_cluster(tmp_path / "elsewhere", 2) as address:
        found = scan(str(archive), bundle, model, tmp_path / "there", cluster=address)
    assert found.left_out == []
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


@contextlib.contextmanager
def ray_cluster(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A Ray head with two workers that asks for a token: its address, and the variables with the token."""
    port, client_port = free_port(), free_port()
    address = f"ray://127.0.0.1:{client_port}"
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    start = [
        "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}",
        f"--ray-client-server-port={client_port}", "--min-worker-port=0", "--max-worker-port=0", "--num-cpus=2",
        "--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=100000000",
    ]  # fmt: skip
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short:  # paths of sockets are at most 107 bytes long
        program = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *start, f"--temp-dir={short}"], cwd=folder,
            env=os.environ | token, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            # The first connection may fail, because the server gives it only half a minute to load what it needs.
            connect = [sys.executable, "-c", f"import ray; ray.init({address!r})"]
            while subprocess.run(connect, env=os.environ | token, capture_output=True, check=False).returncode:
                assert program.poll() is None, "the head of Ray has ended"
            yield address, token
        finally:
            program.terminate()
            program.wait()


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_ray_cluster_gives_the_same_results(model: Path, tmp_path: Path) -> None:
    archive = many(tmp_path / "archive", 3)
    bundle = sensitive_bundle(model)
    scan(str(archive), bundle, model, tmp_path / "here")
    with ray_cluster(tmp_path / "elsewhere") as (address, token):
        arguments = ["scan", str(archive), str(model), "--out", "there", "--cluster", address]
        subprocess.run([sys.executable, "-c", PROGRAM, *arguments], env=os.environ | token, check=True)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
