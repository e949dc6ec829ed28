"""The audit trail: who changed what in the store, and when."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from monitor.store.tables import audit


def record(
    connection: sa.Connection,
    *,
    by: str,
    what: str,
    subject: str,
    before: Any = None,
    after: Any = None,
    at: float | None = None,
) -> None:
    """Adds an entry to the audit trail, in the transaction of the change itself.

    Args:
        connection: in a transaction that writes.
        by: who did it: the name of a user, of a program, or of a rule.
        what: "verdict", "mute", "acknowledge", "reload" …
        subject: the stream, event or setting that was changed.
        before, after: what it was, and what it is now; anything that can be written as JSON.
        at: Unix time; None: now.
    """
    facts = {"before": before, "after": after}
    connection.execute(
        audit.insert().values(time=time.time() if at is None else at, by=by, what=what, subject=subject, facts=facts)
    )
