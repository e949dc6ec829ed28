"""How quickly a channel delivers, collects and tries again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a channel delivers.

    Attributes:
        collect_s: seconds for which deliveries are collected before they are sent.
        burst_s: if `digest_from` deliveries were sent within this time, the next ones are collected for as long.
        first_retry_s: seconds before a message is tried again for the first time; they double each time.
        give_up_s: seconds for which a message is tried again.
        jitter: returns factors for pauses, so that many monitors do not try again at the same moment.
    """

    collect_s: float = 1.5
    burst_s: float = 15.0
    first_retry_s: float = 5.0
    give_up_s: float = 72 * 3600.0
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.75, 1.25))
