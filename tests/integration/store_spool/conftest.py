"""A store on a server, and a link to it that can be cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitor.core import background_worker
from monitor.notify import delivery_worker
from monitor.store import copier
from support.cut_link import CutLink
from support.postgres import PostgresServer


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is done again after a while is done again soon, so that the tests take seconds."""
    for module in (background_worker, copier):
        monkeypatch.setattr(module, "FIRST_RETRY_S", 0.02)
        monkeypatch.setattr(module, "LAST_RETRY_S", 0.1)
    monkeypatch.setattr(copier, "LOOK_S", 0.1)
    monkeypatch.setattr(delivery_worker, "LOOK_S", 0.1)


@pytest.fixture
def link(postgres: PostgresServer) -> Iterator[CutLink]:
    """A link to the server that can be cut."""
    made = CutLink(postgres.port)
    yield made
    made.cut()


@pytest.fixture
def direct(postgres: PostgresServer) -> str:
    """The address of a new store, by which the test looks into it."""
    return postgres.new_database()


@pytest.fixture
def url(direct: str, link: CutLink, postgres: PostgresServer) -> str:
    """The address of the same store by the link."""
    return direct.replace(f":{postgres.port}/", f":{link.port}/")
