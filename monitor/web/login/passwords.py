"""Passwords are kept as scrypt hashes (RFC 7914), each with its own salt and the parameters it was made with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

from monitor.core.errors import MonitorError

SHORTEST = 8  # characters
LONGEST = 1000
# 32 MiB and about a third of a second of one core for each attempt.
COST, BLOCK, PARALLEL = 2**15, 8, 3
_FORM = re.compile(r"scrypt\$(\d+)\$(\d+)\$(\d+)\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")
_MEMORY = 64 << 20  # bytes that one hash may take


class PasswordError(MonitorError):
    """A password is too short or too long."""


def hashed(password: str) -> str:
    """What is kept of a password: `scrypt$COST$BLOCK$PARALLEL$SALT$HASH`.

    Raises:
        PasswordError: if it is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordError(f"A password has {SHORTEST} to {LONGEST} characters: choose another one.")
    salt = secrets.token_bytes(16)
    key = _key(password, salt, COST, BLOCK, PARALLEL)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${_text(salt)}${_text(key)}"


def matches(password: str, known: str | None) -> bool:
    """Whether a password is the one of which `known` was kept, compared in constant time.

    Without a known one, or with one that cannot be read, it takes as long, and is False.
    """
    form = _FORM.fullmatch(known or "")
    if form is None or len(password) > LONGEST:
        _key("", b"salt" * 4, COST, BLOCK, PARALLEL)
        return False
    cost, block, parallel = (int(form[i]) for i in (1, 2, 3))
    key = base64.b64decode(form[5])
    try:
        return hmac.compare_digest(_key(password, base64.b64decode(form[4]), cost, block, parallel, len(key)), key)
    except (ValueError, MemoryError):  # parameters that scrypt refuses
        return False


def _key(password: str, salt: bytes, cost: int, block: int, parallel: int, length: int = 32) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=length)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
