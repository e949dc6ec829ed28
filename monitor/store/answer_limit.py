"""Connections to PostgreSQL that are given up by either side if the other one does not answer.

A program that hangs, or a link that is cut, does not break a connection: the client would wait for ever, and the server
would keep for hours what the client has locked, also for the client's next connection.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg
import sqlalchemy as sa

from monitor.core.text import duration_text

LONGEST_S = 60.0  # time without a byte of an answer
SERVER_SETTINGS = f"""
    SET idle_in_transaction_session_timeout = '{LONGEST_S:.0f}s';
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 6
"""


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server has not answered a query for `LONGEST_S`."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        """Runs a generator of psycopg that waits for the server.

        Raises:
            psycopg.OperationalError: if there is no answer.
        """
        return super().wait(self._limited(gen), *args, **options)

    def _limited(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        answered = time.monotonic()
        try:
            awaited = next(gen)
            while True:
                ready = yield awaited  # nothing (0) several times a second while there is no answer
                now = time.monotonic()
                if ready:
                    answered = now
                elif now - answered > LONGEST_S:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"it has not answered for {duration_text(LONGEST_S)}")
                awaited = gen.send(ready)
        except StopIteration as done:
            return done.value


def limit_answers(engine: sa.Engine) -> None:
    """Makes an engine for PostgreSQL use such connections, which the server gives up, too."""

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> LimitedConnection:
        connection = LimitedConnection.connect(*arguments, **options)
        try:
            connection.execute(SERVER_SETTINGS)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection
