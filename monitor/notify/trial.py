"""Test messages, which say whether channels work."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from monitor.config.plant import Notify
from monitor.notify.channel import Channel, NotSent, make_channel
from monitor.notify.message import Composer


def try_channels(settings: Notify, host: str, only: str = "") -> Mapping[str, str]:
    """Sends a test message to each channel, all at the same time.

    Args:
        settings: the channels.
        host: name of this computer.
        only: name of the only channel that is tested; empty: all.

    Returns:
        by channel: why the message was not delivered; empty if it was.

    Raises:
        ConfigError: if a file that a channel needs cannot be read, or a library is missing.
    """
    channels = {one.name: make_channel(one) for one in settings.channels if not only or one.name == only}
    results: dict[str, str] = {}

    def test(name: str, channel: Channel) -> None:
        try:
            channel.send(Composer(host).test(name))
            results[name] = ""
        except NotSent as error:
            results[name] = error.why
        except OSError as error:
            results[name] = error.strerror or str(error)

    threads = [threading.Thread(target=test, args=one, daemon=True) for one in channels.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: results.get(name, "an unforeseen error") for name in channels}
