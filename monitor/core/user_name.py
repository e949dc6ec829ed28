"""Who runs this program, for the audit trail."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The name of the user whose process this is; in a container whose user has no name, the user's number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "somebody"
