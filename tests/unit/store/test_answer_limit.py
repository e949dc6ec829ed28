"""A server that hangs, and a client that has vanished, are given up."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from monitor.store import answer_limit
from monitor.store.database import Store, StoreError
from support.postgres import PostgresServer


def test_a_server_that_does_not_answer_is_given_up(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(postgres.new_database()) as store:
        limited = pytest.raises(StoreError, match="it has not answered for")
        with monkeypatch.context() as soon:
            soon.setattr(answer_limit, "LONGEST_S", 0.3)
            with limited as caught, store.reading() as connection, postgres.frozen():
                connection.execute(sa.select(1))
        assert not caught.value.rejected
        with store.reading() as connection:
            assert connection.scalar(sa.select(1)) == 1


@pytest.mark.long
def test_a_long_answer_is_waited_for_as_long_as_it_comes(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(postgres.new_database()) as store:
        monkeypatch.setattr(answer_limit, "LONGEST_S", 4.0)  # twenty times what each row takes
        numbers = sa.text("SELECT repeat('x', 100000), pg_sleep(0.2) FROM generate_series(1, 25)")
        with store.reading() as connection:
            assert len(connection.execute(numbers).all()) == 25


def test_the_server_gives_up_a_client_that_has_vanished_in_a_transaction(postgres: PostgresServer) -> None:
    with Store.open(postgres.new_database()) as store, store.reading() as connection:
        assert connection.scalar(sa.text("SHOW idle_in_transaction_session_timeout")) == "1min"
