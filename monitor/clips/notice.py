"""What a monitor keeps, where, and how to turn that off: told once, at the first start."""

from __future__ import annotations

import contextlib

from monitor.clips.speech import is_installed
from monitor.config.schema import Config
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import MonitorError
from monitor.core.object_address import ObjectAddress
from monitor.store.location import clips_folder, normal_folder, state_folder, store_url

MARKER = "notice.txt"  # in the state folder: what was told last
SPEECH = {
    "keep": "people may be heard in it (clips.speech: mute or drop)",
    "drop": "without clips in which people speak (clips.speech: drop)",
    "mute": "without speech (clips.speech: mute)",
}


def notice(config: Config) -> str:
    """One line that says what `monitor live` keeps where, and how to turn it off; empty if it keeps nothing."""
    store, clips, kept = config.store, config.clips, []
    if store.enabled:
        url = store_url(config)
        where = url.removeprefix("sqlite:///") if url.startswith("sqlite:") else "the database of store.url"
        kept.append(f"in {where} events and minute values (off with store.enabled: false)")
    if clips.enabled:
        where = f"{ObjectAddress.parse(clips.url).name} (clips.url)" if clips.url else str(clips_folder(config))
        kept.append(
            f"in {where} the sound of anomalies for {clips.keep_days:g} days; {SPEECH[clips.speech]} "
            "(off with clips.enabled: false)"
        )
    normal = config.normal
    if normal.enabled and (normal.speech == "keep" or is_installed()):
        speech = "people may be heard in it" if normal.speech == "keep" else "without speech"
        kept.append(
            f"in {normal_folder(config)} up to {normal.minutes:g} min of normal sound of each stream, {speech} "
            "(off with normal.enabled: false)"
        )
    return f"Kept: {'; '.join(kept)}. More: monitor guide clips." if kept else ""


def new_notice(config: Config) -> str:
    """The notice if this state folder has not told it before, or told another one; else an empty text."""
    text, marker = notice(config), state_folder(config) / MARKER
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if marker.read_text(encoding="utf-8").strip() == text:
            return ""
    with contextlib.suppress(MonitorError):  # a folder that cannot be written is told of by what needs it
        write_atomically(marker, f"{text}\n".encode())
    return text
