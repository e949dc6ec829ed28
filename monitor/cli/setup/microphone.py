"""The first step of `monitor setup`: a microphone that hears the machine."""

from __future__ import annotations

import re

from monitor.cli.output import say
from monitor.cli.setup.checks import channel
from monitor.cli.setup.checks import device as checked_device
from monitor.cli.setup.context import Facts, Setup
from monitor.core.errors import ConfigError, MonitorError
from monitor.core.text import printable


def choose_microphone(setup: Setup) -> None:
    """Chooses a microphone, and listens to it until a person, if there is one, is satisfied."""
    again = False
    while True:
        try:
            _ask_for_microphone(setup, again=again)
            setup.run("devices", "--level", *setup.microphone, *setup.options)
        except MonitorError as error:
            if not setup.questions.person:
                raise
            say("\n".join(f"  {printable(message)}" for message in error.messages))
            again = True
            if not setup.questions.agreed("Try again?"):
                raise
            continue
        if setup.questions.agreed("Was that the machine, running as usual?"):
            return
        again = True


def _ask_for_microphone(setup: Setup, *, again: bool) -> None:
    from monitor.sources.network.address import is_address, with_device

    address = with_device(setup.config.audio).device
    if is_address(address):
        _require_address(setup, address)
        return
    from monitor.sources.device.devices import SERVER_CHANNELS, as_table, choose, input_devices
    from monitor.sources.device.stderr_redirect import log_file, stderr_redirected

    with stderr_redirected(log_file(), keep_ours=True):
        if setup.questions.person:
            say(as_table(setup.config.audio.device))
        found = input_devices()
        used = choose(found, setup.config.audio.device)

    def lasting_name(answer: object) -> str:
        """The name that will find the device again: numbers of devices change when one is plugged in."""
        wanted = str(answer)
        device = choose(found, wanted)
        short = re.sub(r"[\s:,-]*\(hw:\d+,\d+\)$", "", device.name)  # the number of the card may change, too
        for name in (wanted if not wanted.isdecimal() else short, short, device.name):
            try:
                if name and choose(found, name) is device:
                    return name
            except MonitorError:
                continue
        return str(device.index)

    name = setup.questions.ask("device", "Microphone (its number, or a part of its name)", used.name, lasting_name,
                               again=again)  # fmt: skip
    device, before = choose(found, name), setup.progress.done.get("record", {}).get("device", name)
    if before != name and choose(found, before) is not device:
        raise ConfigError(f"{setup.recordings}: was recorded with {before!r}: choose it, or another --folder.")
    if setup.questions.person and 1 < device.channels < SERVER_CHANNELS:
        setup.questions.ask("channel", f"Channel (0 to {device.channels - 1}, or mix)", "mix", channel, again=again)
    device.needed_channels(setup.answers.get("channel", setup.config.features.channel))


def _require_address(setup: Setup, text: str) -> None:
    """Connects to a source in the network, which is not asked for: it stands in an option or in the settings.

    Raises:
        ConfigError: if the address of the device contains a password.
        MonitorError: if it does not send sound.
    """
    from monitor.sources.network.address import Address
    from monitor.sources.network.probe import probe

    if setup.config.audio.url_file is None:
        setup.answers["device"] = checked_device(setup.config.audio.device)
    sent = probe(Address.parse(text))
    say(printable(f"  {sent.name}: {sent.form}."))
    sent.require(channel(setup.answers.get("channel", setup.config.features.channel)))  # type: ignore[arg-type]


def microphone_facts(setup: Setup) -> Facts:
    """What the choice of the microphone depends on."""
    facts = {"device": setup.answers.get("device"), "channel": setup.answers.get("channel")}
    url_file = setup.config.audio.url_file
    return facts if url_file is None else {**facts, "url_file": str(url_file)}
