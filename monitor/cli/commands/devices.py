"""`monitor devices`: lists the microphones, says what an address sends, and checks the level of either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monitor.cli.options import microphone_options, settings_in_force, settings_options
from monitor.cli.output import say
from monitor.core.text import printable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option("--level", is_flag=True, help="Instead listen for ten seconds: is the sound usable?")
@microphone_options
@settings_options
def devices(
    as_json: bool,
    level: bool,
    device: str | None,
    channel: Any,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """List the microphones with their channels and sample rates. A star marks the one that would be used.

    If that is the address of a source in the network, it connects to it, and says what it sends.

    With --level it listens for ten seconds, and refuses sound that is silent or clipped.

    \b
    Examples:
      monitor devices
      monitor devices --json
      monitor devices --device USB
      monitor devices --device USB --channel 0 --level
      monitor devices --device rtsp://camera/1
      monitor devices --set audio.url_file=camera.address --level
    """
    config = settings_in_force(config_file, overrides, device=device)
    if level:
        from monitor.cli.level_check import level_check

        features = config.features
        say(level_check(config.audio, features.sample_rate, features.channel if channel is None else channel))
        return
    from monitor.sources.device.devices import as_json_text, as_table
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected
    from monitor.sources.network.address import Address, is_address, with_device

    if is_address(wanted := with_device(config.audio).device):
        from monitor.sources.network.probe import probe

        sent = probe(Address.parse(wanted))
        if channel is not None:
            sent.require(channel)
        say(sent.as_json_text() if as_json else printable(f"{sent.name}: {sent.form}."))
        return
    with stderr_redirected(log_file(), keep_ours=True):
        text = as_json_text(config.audio.device) if as_json else as_table(config.audio.device)
    say(text)
