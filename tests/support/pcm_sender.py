"""Sends raw 16-bit samples in real time, as a board with a microphone does.

    python pcm_sender.py udp|connect|listen PORT RATE FILE [SPEED]

FILE is sent again and again, in portions of 20 ms: as UDP packets to a port of this computer, over a TCP connection to
it, or to whom connects to it. SPEED is how many times real time; what nobody takes is not sent later, but in its place.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HOST = "127.0.0.1"
PORTION_S = 0.02


def portions(samples: bytes, size: int) -> Iterator[bytes]:
    """The samples again and again, in portions of `size` bytes."""
    at = 0
    while True:
        portion = samples[at : at + size]
        portion += samples[: size - len(portion)]
        at = (at + size) % len(samples)
        yield portion


def send(sound: Iterator[bytes], period_s: float, write: Callable[[bytes], object]) -> None:
    """Writes a portion in each period, until writing fails."""
    began = time.monotonic()
    for number, portion in zip(itertools.count(1), sound, strict=False):
        write(portion)
        time.sleep(max(0.0, began + number * period_s - time.monotonic()))


def main() -> None:
    """Sends until it is killed."""
    way, port, rate, file, *speed = sys.argv[1:]
    address = (HOST, int(port))
    period_s = PORTION_S / float(speed[0] if speed else 1)
    sound = portions(Path(file).read_bytes(), 2 * int(int(rate) * PORTION_S))
    if way == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
            to.connect(address)
            while True:
                with contextlib.suppress(ConnectionRefusedError):  # nobody listens at present
                    send(sound, period_s, to.send)
    elif way == "connect":
        while True:
            with contextlib.suppress(OSError), socket.create_connection(address) as to:
                send(sound, period_s, to.sendall)
            time.sleep(0.05)
    else:
        with socket.create_server(address) as server:
            while True:
                to, _ = server.accept()
                with contextlib.suppress(OSError), to:
                    send(sound, period_s, to.sendall)


main()
