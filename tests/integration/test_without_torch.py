"""Listening without PyTorch: commands that never import it, and an installation that does not have it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.core.errors import EXIT_FAILURE, EXIT_OK, EXIT_SOURCE_LOST
from support.builders import RATE, noise, small_bundle, write_sound
from support.listening import DEADLINE_S, never_alarmed
from support.network_listening import noise_file
from support.network_servers import PcmSender, missing

ROOT = Path(__file__).parents[2]
QUICKLY = ["--set", "alarm.lasting=false"]  # the limit of the lasting sum is found by a simulation of many days
CALIBRATE = ["calibrate", "model.safetensors", "normal", "--force", "--out", "calibrated.safetensors", *QUICKLY]
# Runs commands, and says on the last line with which exit codes they ended, and which of these have been imported.
RUN = """
import json, sys
from monitor.cli.main import run
codes = [run(words) for words in json.loads(sys.argv[1])]
print(codes, sorted({'torch', 'torchaudio'} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model and six recordings."""
    save_bundle(never_alarmed(small_bundle()), tmp_path / "model.safetensors")
    for number in range(6):
        write_sound(tmp_path / "normal" / f"{number}.wav", noise(6 * RATE, seed=number))
    return tmp_path


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """The address of sound from the network, which needs no microphone."""
    if reason := missing("ffmpeg"):
        pytest.skip(reason)
    with PcmSender(folder, noise_file(folder), "listen") as sender:
        yield sender.url


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Environment variables with which state and caches are in the folder."""
    return os.environ | {name: str(folder / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}


def commands(address: str) -> list[tuple[list[str], int]]:
    """What a computer does that only listens, and the exit codes."""
    return [
        (["replay", "model.safetensors", "normal/0.wav", "--speed", "max", "--headless"], EXIT_OK),
        (CALIBRATE, EXIT_OK),
        ([*CALIBRATE, "--relearn"], EXIT_FAILURE),  # there is too little sound for that
        (["evaluate", "model.safetensors", "normal"], EXIT_OK),
        (["live", "model.safetensors", "--device", address, "--headless", "--duration", "1"], EXIT_OK),
        (["bench", "--only", "latency", "--seconds", "1"], EXIT_OK),
        (["status"], EXIT_SOURCE_LOST),  # because nothing runs any more
    ]


def test_calibrating_imports_no_torch(folder: Path, environment: dict[str, str]) -> None:
    done = ended((sys.executable, "-c", RUN, json.dumps([CALIBRATE])), folder, environment)
    assert done.stderr.splitlines()[-1] == f"[{EXIT_OK}] []", done.stdout + done.stderr


@pytest.mark.long
def test_no_command_of_a_computer_that_only_listens_imports_torch(
    folder: Path, address: str, environment: dict[str, str]
) -> None:
    words, codes = zip(*commands(address), strict=True)
    done = ended((sys.executable, "-c", RUN, json.dumps(words)), folder, environment)
    assert done.stderr.splitlines()[-1] == f"{list(codes)} []", done.stdout + done.stderr


@pytest.mark.long
def test_an_installation_without_torch_listens_and_says_what_it_lacks(
    folder: Path, address: str, environment: dict[str, str]
) -> None:
    """The commands of the manual, in a new environment, with packages from the package index."""
    sources = folder / "sources"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        sources.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, sources)
    for name in ("monitor", "train"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(folder / "venv", with_pip=True)
    python, monitor = (folder / "venv" / "bin" / name for name in ("python", "monitor"))
    override = ["--override", ROOT / "monitor" / "integrations" / "files" / "without-torch.txt"]
    for command in (["-m", "pip", "install", "--quiet", "uv"], ["-m", "uv", "pip", "install", *override, sources]):
        installed = ended((python, *command), folder, environment | {"VIRTUAL_ENV": str(folder / "venv")})
        assert installed.returncode == 0, installed.stderr
    assert ended((python, "-c", "import torch"), folder, environment).stderr.endswith("No module named 'torch'\n")
    for words, code in commands(address):
        done = ended((monitor, *words), folder, environment)
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
    for words in (
        ["train", "normal", "--out", "run"], ["demo"], ["improve", "model.safetensors"], ["bench", "--only", "gpu"],
    ):  # fmt: skip
        done = ended((monitor, *words), folder, environment)
        assert done.returncode == EXIT_FAILURE
        assert done.stderr.splitlines()[-1].startswith("monitor: PyTorch is not installed here"), words
        assert "pip install 'torch==2.11.*'" in done.stderr


def ended(command: Sequence[object], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A program that has been run in a folder until its end."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
