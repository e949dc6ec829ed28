"""Fixtures that many tests share: a data set, and a model trained on it once for the whole run."""

from __future__ import annotations

import os

# Several processes test at once. With a thread each they get through in two thirds of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import fcntl
import logging
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from monitor.bundle.bundle import Bundle
from monitor.bundle.bundle_io import load_bundle
from monitor.config.loader import load_config
from monitor.config.schema import Config
from support.postgres import PostgresServer, postgres_server
from support.recordings import QUICK, RememberedProgress, write_data_set

settings.register_profile("busy machines", deadline=None)  # how long an example takes is no promise
settings.load_profile("busy machines")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither find nor leave anything in the user's cache or state folder."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """SIGINT ends the programs that tests start, also where the shell that runs the tests ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in a folder of its own, so that the repository's config.yaml is not taken by accident."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """The loggers are after each test as they were before it: a command sets them up for its whole process."""
    loggers = [logging.getLogger(name) for name in ("monitor", "train", "monitor.events")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the ToyADMOS layout."""
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def quick_config() -> Config:
    """Settings that train in seconds."""
    return load_config(Path(os.devnull), overrides=QUICK)


@pytest.fixture(scope="session")
def trained(data: Path, quick_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training, which all processes that test copy from one of them."""
    out = tmp_path_factory.mktemp("run")
    common = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else out.parent
    with (common / "training.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (common / "trained" / "model.safetensors").exists():
            from train.commands.train import train

            train(quick_config, data, common / "trained", RememberedProgress())
    shutil.copytree(common / "trained", out, dirs_exist_ok=True)
    return out


@pytest.fixture(scope="session")
def model(trained: Path) -> Path:
    """The file of a trained bundle."""
    return trained / "model.safetensors"


@pytest.fixture
def bundle(model: Path) -> Bundle:
    """A trained bundle, loaded anew for each test."""
    return load_bundle(model)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL server, without a database for a store."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new store, once in a file and once on a server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time with changes of the clock in spring and autumn."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()
