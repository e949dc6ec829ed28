"""A source in the network is a device like a microphone: received, watched, shared, and never trusted."""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.config.setting_types import Channel
from monitor.config.sources import Audio
from monitor.core.errors import ConfigError, SourceLost
from monitor.sources.device.microphones import Listener, Microphones
from monitor.sources.device.shared_device import MicrophoneSource
from monitor.sources.network.address import Address
from monitor.sources.network.network_device import NetworkDevice
from monitor.sources.network.probe import probe, probe_all
from support.builders import noise
from support.listening import wait_until
from support.network_servers import missing
from support.ports import free_port

pytestmark = pytest.mark.skipif(bool(missing("ffmpeg")), reason=missing("ffmpeg"))

RATE = 8000


class Site(http.server.SimpleHTTPRequestHandler):
    """Serves the files of a folder, and says nothing."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, *arguments: object) -> None:  # type: ignore[override]
        with contextlib.suppress(OSError):  # the listener has left
            super().copyfile(*arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a web server that serves it."""
    folder = tmp_path_factory.mktemp("site")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def listening(url: str, *channels: Channel, **options: object) -> Iterator[NetworkDevice]:
    """A device with this address, which ends with the test."""
    audio = Audio(device=url, **options)  # type: ignore[arg-type]
    device = NetworkDevice(audio, 16_000, channels or ("mix",))
    device.join()
    device.start()
    try:
        yield device
    finally:
        device.leave()


@contextlib.contextmanager
def sender(samples: np.ndarray) -> Iterator[str]:
    """The address of a server that sends raw samples (n, channels) to each who connects, and keeps the connection."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(server.accept()[0])
                    connections[-1].sendall(samples.astype("<f4").tobytes())

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        yield f"tcp://127.0.0.1:{port}?rate={RATE}&format=f32le&channels={samples.shape[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            connection.close()


def encoded(path: Path, rate: int, *output: str, seconds: float = 2.0) -> bytes:
    """A tone, coded by ffmpeg as the end of the path says."""
    tone = f"sine=440:r={rate}:d={seconds}"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", tone, *output, str(path)], check=True)
    return path.read_bytes()


def test_every_sample_arrives_in_the_channel_that_it_was_sent_in() -> None:
    sound = np.stack((noise(RATE, seed=1), noise(RATE, seed=2), noise(RATE, seed=3)), 1)
    with sender(sound) as url, listening(url, 1) as device:
        source = MicrophoneSource(device, 1)
        wait_until(lambda: source.reader.available == RATE, "all samples")
        assert np.array_equal(source.reader.take(RATE).samples, sound[:, 1])
        assert source.sample_rate == RATE
        assert device.ring.samples.shape[1] == 2  # the third channel is not kept
        assert not device.records(2)
        source.stop()


def test_a_wav_stream_of_a_slow_line_is_heard_before_the_connection_is_given_up(tmp_path: Path) -> None:
    beginning = encoded(tmp_path / "tone.wav", RATE, seconds=6.0)
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(server.accept()[0])
                    connections[-1].recv(10_000)
                    connections[-1].sendall(b"HTTP/1.0 200 OK\r\n\r\n" + beginning)

        threading.Thread(target=serve, daemon=True).start()
        with listening(f"http://127.0.0.1:{server.getsockname()[1]}/x") as device:
            wait_until(lambda: device.ring.written, "sound, although the rest of it is still to come")
        server.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()


def test_a_channel_that_the_source_does_not_have_is_an_error() -> None:
    with sender(np.zeros((RATE, 1), np.float32)) as url, listening(url, 1) as device:
        wait_until(lambda: device.marks, "the end")
        assert isinstance(device.error, ConfigError)
        assert "has no channel 1, its channels are 0 to 0" in str(device.error)


def test_only_the_stream_of_a_channel_that_the_source_does_not_have_ends() -> None:
    sound = np.stack((noise(RATE, seed=1), noise(RATE, seed=2)), 1)
    with sender(sound) as url, listening(url, 0, 2) as device:
        first, third = (MicrophoneSource(device, channel) for channel in (0, 2))
        wait_until(lambda: third.marks, "the end of the stream without sound")
        assert isinstance(third.error, ConfigError)
        assert "has no channel 2, its channels are 0 to 1" in str(third.error)
        third.stop()
        wait_until(lambda: first.reader.available == RATE, "all samples of the other")
        assert np.array_equal(first.reader.take(RATE).samples, sound[:, 0])
        assert (first.error, device.error, list(first.marks)) == (None, None, [])
        first.stop()


def test_a_source_that_comes_back_with_fewer_channels_is_lost_for_the_streams_of_the_others_only(
    site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("monitor.sources.network.network_device.BACK_OFF_S", (0.0,))
    folder, url = site
    sounds = {channels: noise(4 * RATE, streams=channels).T for channels in (1, 2)}

    def send(channels: int) -> None:
        soundfile.write(folder / "next.wav", sounds[channels], RATE, "PCM_16")
        (folder / "next.wav").replace(folder / "hall.wav")

    send(2)
    with listening(f"{url}/hall.wav", 0, 1) as device:
        left, right = (MicrophoneSource(device, channel) for channel in (0, 1))
        wait_until(lambda: right.reader.available, "both channels")
        send(1)
        wait_until(lambda: device.channels == 1 and device.lost_since is None, "sound with one channel")
        wait_until(lambda: left.reader.ring is device.ring and left.lost_since is None, "the first stream")
        assert right.lost_since is not None
        assert right.reader.ring is not device.ring
        send(2)
        wait_until(lambda: device.channels == 2 and right.lost_since is None, "the second stream")
        assert right.reader.ring is device.ring
        assert (left.error, right.error, list(right.marks)) == (None, None, [])
    assert caplog.text.count("has no channel 1") == 1


def test_a_server_that_is_not_there_yet_is_waited_for_and_said_to_be_missing(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with listening(f"tcp://127.0.0.1:{port}?rate={RATE}&format=u8") as device:
        wait_until(lambda: device.lost_since is not None, "the loss")
        wait_until(lambda: "nothing answers" in caplog.text, "a message")
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            connection.sendall(bytes(RATE))
            wait_until(lambda: device.ring.written, "sound")
            wait_until(lambda: device.lost_since is None, "the end of the loss")
            connection.close()
    assert caplog.text.count("nothing answers") == 1


def test_a_server_that_fails_in_turns_in_several_ways_does_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("monitor.sources.network.network_device.BACK_OFF_S", (0.0,))
    answers = itertools.cycle((b"HTTP/1.0 404 Not Found\r\n\r\n", b"HTTP/1.0 503 Service Unavailable\r\n\r\n"))
    served = 0
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        listening(f"http://127.0.0.1:{server.getsockname()[1]}/x"),
    ):
        while served < 6:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(next(answers))
            served += 1
        wait_until(lambda: "nothing under this path" in caplog.text and "(5xx)" in caplog.text, "messages")
    assert (caplog.text.count("nothing under this path"), caplog.text.count("(5xx)")) == (1, 1)


def test_a_server_that_is_not_there_is_an_error_where_nobody_waits() -> None:
    device = NetworkDevice(
        Audio(device=f"tcp://127.0.0.1:{free_port()}?rate={RATE}&format=u8"), RATE, ["mix"], end_when_lost=True
    )
    device.start()
    wait_until(lambda: device.marks, "the end")
    assert isinstance(device.error, SourceLost)
    device.stop()


def test_a_frozen_ffmpeg_is_replaced_and_does_not_delay_the_end() -> None:
    with sender(np.zeros((RATE, 1), np.float32)) as url, listening(url) as device:
        wait_until(lambda: device.stream, "a connection")
        first = device.stream
        assert first is not None
        os.kill(first.pid, signal.SIGSTOP)
        wait_until(lambda: device.lost_since is not None, "the loss")
    assert not Path(f"/proc/{first.pid}").exists()


@pytest.mark.long
def test_a_file_is_received_no_faster_than_it_is_played_so_that_nothing_of_it_is_overwritten(
    site: tuple[Path, str],
) -> None:
    folder, url = site
    encoded(folder / "long.wav", RATE, seconds=30.0)
    began = time.monotonic()
    with listening(f"{url}/long.wav", buffer_s=2) as device:
        wait_until(lambda: device.ring.written >= 5 * RATE, "five seconds of sound")
        received_s = device.ring.written / RATE  # before the clock is read: a busy computer only takes longer
        assert received_s < 2 + 1.1 * (time.monotonic() - began)


def test_sound_that_changes_its_sample_rate_is_opened_anew_and_that_is_said(
    site: tuple[Path, str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, url = site
    caplog.set_level(logging.INFO)
    first, second = encoded(folder / "a.mp3", 44_100), encoded(folder / "b.mp3", 22_050)
    (folder / "changing.mp3").write_bytes(first + second)
    with listening(f"{url}/changing.mp3") as device:
        wait_until(lambda: "another form now, 22050 samples a second, mono" in caplog.text, "a message")
        wait_until(lambda: device.lost_since is not None, "the loss")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{file}\n#EXT-X-ENDLIST\n"),
        ("list.txt", "ffconcat version 1.0\nfile 'file:{file}'\n"),
        ("page.html", "<html>Please log in</html>"),
    ],
)
def test_what_is_no_sound_or_names_files_of_this_computer_is_refused(
    site: tuple[Path, str], name: str, content: str
) -> None:
    folder, url = site
    encoded(folder / "local.wav", RATE)
    (folder / name).write_text(content.format(file=folder / "local.wav"))
    with pytest.raises(SourceLost, match=f"^{url}/{name}: "):
        probe(Address.parse(f"{url}/{name}"))


def test_what_addresses_send_is_asked_of_all_at_once(site: tuple[Path, str]) -> None:
    folder, url = site
    encoded(folder / "stereo.flac", 44_100, "-ac", "2")
    found, refused = probe_all([Address.parse(f"{url}/stereo.flac"), Address.parse(f"{url}/missing")])
    assert not isinstance(found, Exception)
    assert (found.form, found.name) == ("flac, 44100 samples a second, 2 channels", f"{url}/stereo.flac")
    with pytest.raises(ConfigError, match="has no channel 2"):
        found.require(2)
    assert isinstance(refused, SourceLost)
    assert "nothing under this path (404)" in str(refused)


def test_streams_of_one_address_share_a_connection_and_microphones_are_not_concerned() -> None:
    microphones = Microphones()
    network = Audio(device=f"udp://127.0.0.1:{free_port()}?rate={RATE}&format=s16le&channels=2")
    [usb] = microphones.sources([Listener(Audio(device="USB"), "mix", RATE)])
    first, second = microphones.sources([Listener(network, channel, RATE) for channel in (0, 1)])
    assert first.microphone is second.microphone is not usb.microphone
    assert usb.microphone.only_one
    assert first.name == f"{network.device}, channel 0"
    microphones.require_present([Listener(Audio(device="tcp://127.0.0.1:1?rate=8000&format=u8"), "mix", RATE)])
