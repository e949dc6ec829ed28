"""The content of models: kept once by its SHA-256, in a table or an object store, and never trusted when it is read."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.config.loader import load_config
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.object_store import ObjectStore
from monitor.fleet import model_content
from monitor.fleet.model_content import ContentDamaged, content_of, keep_content, models_url, within
from monitor.store import fleet_models
from monitor.store.database import Store
from monitor.store.fleet_models import ModelFile
from support.s3_server import S3Server, s3_server

CONTENT = b"0123456789" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as made:
        yield made


def note(store: Store, content: bytes | None) -> None:
    """Notes in the store that there is this model."""
    fleet_models.hand_out(store, ModelFile(SHA256, "0" * 12, "x", len(CONTENT), 0.0, "anna", "s3"), content, [])


@pytest.mark.long
def test_an_s3_server_keeps_models_beside_the_clips_and_what_is_not_as_it_was_is_refused(
    server: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    url = models_url(load_config(Path("/dev/null"), overrides=["clips.url=s3://plant/clips"]))
    assert url == "s3://plant/models"
    note(store, None)
    with pytest.raises(ContentDamaged, match="is not in s3://plant/models"):
        content_of(store, url, SHA256)
    keep_content(url, SHA256, CONTENT)
    assert content_of(store, url, SHA256) == CONTENT
    with ObjectStore.open(url) as objects:
        objects.write(f"{SHA256}.safetensors", CONTENT[:-1] + b"?")
    with pytest.raises(ContentDamaged, match="is damaged"):
        content_of(store, url, SHA256)
    server.kill()
    with pytest.raises(MonitorError) as caught:
        content_of(store, url, SHA256)
    assert not isinstance(caught.value, ContentDamaged), "a server that is away is asked again"
    server.start()


def test_a_disk_that_is_not_mounted_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        keep_content(str(tmp_path / "nas" / "models"), SHA256, CONTENT)
    assert not (tmp_path / "nas").exists()


def test_a_model_that_is_too_large_for_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_content, "MOST_IN_TABLE", 100)
    with pytest.raises(ConfigError, match=r"too much for a table: set clips\.url"):
        keep_content("", SHA256, CONTENT)


def test_content_that_is_handed_out_again_replaces_what_was_damaged(store: Store) -> None:
    note(store, b"damaged")
    with pytest.raises(ContentDamaged):
        content_of(store, "", SHA256)
    note(store, CONTENT)
    assert content_of(store, "", SHA256) == CONTENT
    assert len(fleet_models.files(store)) == 1


def test_what_hangs_is_left_behind() -> None:
    never = threading.Event()
    with pytest.raises(MonitorError, match="too late"):
        within(0.01, never.wait, "too late")
    never.set()
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0, "too late")
