"""Section "network": what it costs to receive a source in the network, for each codec."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from monitor.bench.timing import Section
from monitor.config.schema import Config
from monitor.config.sources import Audio
from monitor.core.errors import MonitorError
from monitor.sources.network.ffmpeg import NOT_INSTALLED
from monitor.sources.network.network_device import NetworkDevice

SOURCES = 4  # of each codec at once
SECONDS = 15.0  # that are measured, after
SETTLE_S = 3.0
START_S = 60.0  # longest time until all sources are heard
# Sample rate, and how ffmpeg codes and sends noise with this codec.
CODECS = {
    "PCM": (16000, ("-c:a", "pcm_s16le", "-f", "s16le")),
    "mu-law": (8000, ("-c:a", "pcm_mulaw", "-f", "matroska")),
    "AAC": (16000, ("-c:a", "aac", "-b:a", "64k", "-f", "adts")),
    "MP3": (16000, ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3")),
    "Opus": (48000, ("-c:a", "libopus", "-b:a", "64k", "-f", "ogg")),
    "Vorbis": (16000, ("-c:a", "libvorbis", "-f", "ogg")),
    "FLAC": (16000, ("-c:a", "flac", "-f", "ogg")),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one source of a codec costs; shares are of one processor."""

    sample_rate: int
    decoder_share: float  # of ffmpeg
    own_share: float  # of this program: reading what ffmpeg has decoded
    decoder_mb: float  # memory of ffmpeg, its part of what is shared included (PSS)


def measure(config: Config) -> Section:
    """Receives a few sources of each codec from ffmpegs on this computer, and measures the processor time of receiving.

    Raises:
        MonitorError: if there is no ffmpeg, no /proc, or a source is not heard.
    """
    if shutil.which("ffmpeg") is None:
        raise MonitorError(NOT_INSTALLED)
    if not Path("/proc/self/smaps_rollup").exists():
        raise MonitorError("The section network reads processor times from /proc, which only Linux has.")
    log = logging.getLogger("monitor.sources")
    level = log.level
    log.setLevel(logging.ERROR)  # the first attempts to connect may be too early
    try:
        costs = {codec: _cost(codec, config.audio) for codec in CODECS}
    finally:
        log.setLevel(level)
    lines = [
        f"{codec:<8} {cost.sample_rate / 1000:2.0f} kHz   {100 * cost.decoder_share:5.2f} % of a processor for ffmpeg, "
        f"{100 * cost.own_share:5.2f} % for us, {cost.decoder_mb:5.1f} MB"
        for codec, cost in costs.items()
    ]
    figures = {"sources": SOURCES, "seconds": SECONDS, "codecs": {codec: asdict(cost) for codec, cost in costs.items()}}
    return Section(figures, lines)


def _cost(codec: str, audio: Audio) -> Cost:
    """Measures one codec."""
    rate, _ = CODECS[codec]
    with contextlib.ExitStack() as running:
        urls = [running.enter_context(_sender(codec)) for _ in range(SOURCES)]
        devices = [NetworkDevice(audio.model_copy(update={"device": url}), rate, [0]) for url in urls]
        for device in devices:
            running.callback(device.stop)
            device.start()
        _wait_for_sound(devices, codec)
        time.sleep(SETTLE_S)
        pids = [device.stream.pid for device in devices if device.stream is not None]
        began, before, own_before = time.monotonic(), _processor_s(pids), time.process_time()
        time.sleep(SECONDS)
        share = 1 / SOURCES / (time.monotonic() - began)
        return Cost(
            rate,
            share * (_processor_s(pids) - before),
            share * (time.process_time() - own_before),
            sum(map(_memory_mb, pids)) / SOURCES,
        )


@contextlib.contextmanager
def _sender(codec: str) -> Iterator[str]:
    """An ffmpeg that sends noise to one listener at the address that is returned."""
    rate, coding = CODECS[codec]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    listening: tuple[str, ...] = ("-listen", "1", url)
    if codec == "PCM":
        url = f"tcp://127.0.0.1:{port}"
        listening = (f"{url}?listen",)
        url += f"?rate={rate}&format=s16le&channels=1"
    sound = f"anoisesrc=color=pink:amplitude=0.2:sample_rate={rate}"
    process = subprocess.Popen(
        ("ffmpeg", "-nostdin", "-loglevel", "quiet", "-re", "-f", "lavfi", "-i", sound, *coding, *listening),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield url
    finally:
        process.kill()
        process.wait()


def _wait_for_sound(devices: Sequence[NetworkDevice], codec: str) -> None:
    due = time.monotonic() + START_S
    while not all(device.stream is not None and device.ring.written for device in devices):
        if time.monotonic() > due or any(device.error for device in devices):
            raise MonitorError(f"Sound coded as {codec} is not heard: this ffmpeg may not be able to code it.")
        time.sleep(0.05)


def _processor_s(pids: Sequence[int]) -> float:
    """Seconds of processor time that processes have used, exact to less than a tick of the clock."""
    threads = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in threads) / 1e9


def _memory_mb(pid: int) -> float:
    """Memory of a process in MB; of what it shares with others its part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
