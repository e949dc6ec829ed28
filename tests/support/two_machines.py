"""A program that makes the sound of two machines and sends it as boards with a microphone do: PCM by UDP and by TCP.

    python two_machines.py UDP_PORT TCP_PORT

One machine's packets go to the UDP port of its own host, the other's to whom connects to the TCP port. Both are white
noise. A line on standard input, `0 loud` or `1 quiet`, makes one four times as loud, or as quiet as at first.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

RATE = 16_000
PACKET = 320  # samples, 20 ms
AMPLITUDES = {"quiet": 0.1, "loud": 0.4}
FORM = f"rate={RATE}&format=s16le&channels=1"


class TwoMachines:
    """The running program.

    Args:
        process: it, with a pipe to its standard input.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @staticmethod
    def command(udp_port: int, tcp_port: int) -> tuple[object, ...]:
        """What starts it."""
        return (sys.executable, Path(__file__), udp_port, tcp_port)

    def set(self, machine: int, loudness: str) -> None:
        """Makes a machine "loud" or "quiet"."""
        assert self._process.stdin
        self._process.stdin.write(f"{machine} {loudness}\n".encode())
        self._process.stdin.flush()


def main(udp_port: int, tcp_port: int) -> None:
    """Sends until standard input ends."""
    amplitudes = [AMPLITUDES["quiet"]] * 2
    connections: list[socket.socket] = []
    server = socket.create_server(("127.0.0.1", tcp_port))

    def accept() -> None:
        while True:
            connections.append(server.accept()[0])

    def send() -> None:
        random = np.random.default_rng(1)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        due = time.monotonic()
        while True:
            first, second = (
                (32768 * amplitude * random.standard_normal(PACKET)).clip(-32768, 32767).astype("<i2").tobytes()
                for amplitude in amplitudes
            )
            with contextlib.suppress(ConnectionRefusedError):  # nobody listens
                udp.sendto(first, ("127.0.0.1", udp_port))
            for connection in connections[:]:
                try:
                    connection.sendall(second)
                except OSError:
                    connections.remove(connection)
            due += PACKET / RATE
            time.sleep(max(due - time.monotonic(), 0.0))

    for work in (accept, send):
        threading.Thread(target=work, daemon=True).start()
    for line in sys.stdin:
        machine, loudness = line.split()
        amplitudes[int(machine)] = AMPLITUDES[loudness]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
