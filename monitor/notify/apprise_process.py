"""Sends one message by the apprise library: `python -m monitor.notify.apprise_process`, run by `AppriseService`.

Standard input is a JSON object with `address`, `title`, `text` and `files`. The exit code is 0 if the service has taken
the message, 2 if the address is of no service that apprise knows, else 1; standard error has the reason, without the
address, because that may contain a password.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

from monitor.notify.channel import TRANSIENT


def main() -> int:
    """Sends the message on standard input, and returns the exit code."""
    import apprise

    task = json.load(sys.stdin)
    capture: Any = apprise.LogCapture
    with capture(level=logging.WARNING, fmt="%(message)s") as captured:
        service = apprise.Apprise()
        if not service.add(task["address"]):
            return _failed("apprise knows no service with such an address: see `apprise --help`", 2)
        if service.notify(body=task["text"], title=task["title"], attach=task["files"] or None):
            return 0
        return _failed(*_reason(captured.getvalue()))


def _reason(said: str) -> tuple[str, int]:
    """Why the service did not take the message, in words of our own, as those of apprise may contain the address.

    Returns:
        the reason, and the exit code.
    """
    if codes := re.findall(r"\berror=(\d{3})\b", said):
        refused = codes[-1].startswith("4") and int(codes[-1]) not in TRANSIENT
        return f"the service answers {codes[-1]}", 2 if refused else 1
    if "onnection" in said:
        return "there is no connection to the service", 1
    return "the service has not taken the message", 1


def _failed(why: str, code: int) -> int:
    sys.stderr.write(f"{why}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
