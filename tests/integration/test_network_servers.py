"""Sound from real servers: heard complete, lost and heard again, and said so when it is not what it should be."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.bundle.bundle_io import save_bundle
from monitor.core.events import State
from support.builders import RATE, small_bundle
from support.listening import never_alarmed, wait_until
from support.live_program import Live
from support.network_listening import hearing, hearing_all, is_unbroken, noise_file, share_of_tone, sine_file
from support.network_servers import (
    Hls,
    Icecast,
    Listener,
    PcmSender,
    RtspServer,
    Server,
    missing,
    missing_rtsp_server,
    raw_samples,
)

needs_ffmpeg = pytest.mark.skipif(bool(missing("ffmpeg")), reason=missing("ffmpeg"))
needs_icecast = pytest.mark.skipif(bool(missing("icecast2")), reason=missing("icecast2"))
needs_rtsp_server = pytest.mark.skipif(bool(missing_rtsp_server()), reason=missing_rtsp_server())
pytestmark = needs_ffmpeg


def made(kind: str, folder: Path, recording: Path) -> Server:
    """A server of a kind, such as "icecast vorbis". One of each program demands a password."""
    name, _, codec = kind.partition(" ")
    folder = folder / kind.replace(" ", "-")
    if name == "pcm":
        return PcmSender(folder, recording, codec)
    if name == "icecast":
        return Icecast(folder, recording, codec, login=codec == "opus")
    if name == "rtsp":
        return RtspServer(folder, recording, codec, login=codec == "opus")
    return Hls(folder, recording) if name == "hls" else Listener(folder, recording, name)


@contextlib.contextmanager
def running(folder: Path, recordings: dict[str, Path]) -> Iterator[list[Server]]:
    """Servers of several kinds, each with its recording."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(made(kind, folder, recording)) for kind, recording in recordings.items()]


def test_of_raw_samples_that_a_board_sends_every_one_is_heard(tmp_path: Path) -> None:
    recording = noise_file(tmp_path)
    with PcmSender(tmp_path, recording, "udp") as server, hearing(server.url) as heard:
        assert is_unbroken(heard.wait_for_sound(2.0), recording)
        assert not heard.events("gap")


@pytest.mark.long
@needs_icecast
@needs_rtsp_server
def test_of_what_is_sent_without_loss_every_sample_is_heard(tmp_path: Path) -> None:
    recording = noise_file(tmp_path)
    kinds = dict.fromkeys(("pcm listen", "pcm connect", "rtsp l16", "icecast flac"), recording)
    with running(tmp_path, kinds) as servers, hearing_all(server.url for server in servers) as all_heard:
        for heard in all_heard:
            assert is_unbroken(heard.wait_for_sound(4.0), recording), heard.name
            assert not heard.events("gap"), heard.name


@pytest.mark.long
@needs_icecast
@needs_rtsp_server
def test_compressed_sound_of_every_kind_of_server_is_heard_without_a_break(tmp_path: Path) -> None:
    sine = sine_file(tmp_path)
    kinds = dict.fromkeys(("icecast mp3", "icecast vorbis", "icecast aac", "rtsp aac", "hls", "http", "srt"), sine)
    kinds |= {"rtsp mulaw": sine_file(tmp_path, 8000)}
    kinds |= dict.fromkeys(("icecast opus", "rtsp opus"), sine_file(tmp_path, 48000))
    with running(tmp_path, kinds) as servers, hearing_all(server.url for server in servers) as all_heard:
        for heard in all_heard:
            sound = heard.wait_for_sound(6.0)
            assert share_of_tone(sound[RATE:]) > 0.98, heard.name  # the first second may begin within a coded frame
            assert not heard.events("gap"), heard.name


def test_a_server_that_is_killed_is_lost_and_heard_again_when_it_is_back(tmp_path: Path) -> None:
    with PcmSender(tmp_path, sine_file(tmp_path), "listen") as server, hearing(server.url) as heard:
        heard.wait_for_sound()
        server.kill()
        heard.wait_for_loss()
        server.start()
        heard.wait_for_sound()
        begun, ended = heard.events("lost")
        assert begun.end_s is None
        assert ended.end_s is not None
        assert ended.wall_time == begun.wall_time


@pytest.mark.long
@needs_icecast
@needs_rtsp_server
def test_servers_of_all_kinds_that_are_killed_or_frozen_are_lost_and_heard_again_when_they_are_back(
    tmp_path: Path,
) -> None:
    kinds = dict.fromkeys(("pcm udp", "pcm listen", "rtsp aac", "rtsp l16", "icecast mp3", "srt"), sine_file(tmp_path))
    with running(tmp_path, kinds) as servers, hearing_all(server.url for server in servers) as all_heard:
        for stop, go_on in ((Server.freeze, Server.thaw), (Server.kill, lambda server: server.start())):
            for heard in all_heard:
                heard.wait_for_sound()
            for server in servers:
                stop(server)
            for heard in all_heard:
                heard.wait_for_loss()
            for server in servers:
                go_on(server)
        for heard in all_heard:
            heard.wait_for_sound()
            assert len(heard.events("lost")) >= 4, heard.name


@pytest.mark.long
@needs_icecast
@needs_rtsp_server
def test_live_scores_a_hall_whose_sound_comes_from_servers_of_all_kinds(tmp_path: Path) -> None:
    save_bundle(never_alarmed(small_bundle()), tmp_path / "model.safetensors")
    kinds = dict.fromkeys(("pcm udp", "rtsp l16", "icecast vorbis", "hls", "http", "srt"), sine_file(tmp_path))
    with running(tmp_path, kinds) as servers:
        streams = [
            {"name": kind, "bundle": "model.safetensors", "device": server.url}
            for kind, server in zip(kinds, servers, strict=True)
        ]
        (tmp_path / "hall.yaml").write_text(json.dumps({"streams": streams}))
        live = Live(SimpleNamespace(environment=dict(os.environ)), tmp_path, "--config", "hall.yaml")
        try:
            for kind in kinds:
                live.wait_for_state("NORMAL", kind)
            assert live.end() == 0
        finally:
            live.process.kill()
            live.process.wait()


@pytest.mark.long
@needs_icecast
def test_an_icecast_that_has_no_source_any_more_is_lost_until_it_has_one(tmp_path: Path) -> None:
    with Icecast(tmp_path, sine_file(tmp_path)) as server, hearing(server.url) as heard:
        heard.wait_for_sound()
        server.kill_source()
        heard.wait_for_loss()
        server.start_source()
        heard.wait_for_sound()


@pytest.mark.long
@needs_rtsp_server
def test_sound_that_the_server_left_out_by_its_timestamps_is_a_gap_of_its_length(tmp_path: Path) -> None:
    recording = noise_file(tmp_path)
    with RtspServer(tmp_path, recording, gap_s=0.6) as server, hearing(server.url) as heard:
        wait_until(lambda: heard.events("gap"), "a gap")
        assert is_unbroken(heard.wait_for_sound(1.0), recording)
        [gap] = heard.events("gap")
        assert gap.end_s is not None
        assert gap.end_s - gap.start_s == pytest.approx(0.6, abs=0.03)  # the server may lose one packet


@pytest.mark.long
def test_of_a_sender_that_delivers_half_of_its_sound_the_other_half_is_said_to_be_missing(tmp_path: Path) -> None:
    with PcmSender(tmp_path, noise_file(tmp_path), "udp", speed=0.5) as sender, hearing(sender.url) as heard:
        wait_until(lambda: heard.events("gap"), "a gap")
        wait_until(lambda: heard.stream.latest.lost_s > 3.0, "seconds that were not heard")


@pytest.mark.long
def test_a_peer_that_goes_silent_without_closing_the_connection_is_lost_and_connected_anew(tmp_path: Path) -> None:
    """As a board that lost its power, or a router that forgot the connection."""
    rate, samples = raw_samples(noise_file(tmp_path))
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    to, _ = server.accept()
                except OSError:  # closed
                    return
                connections.append(to)
                threading.Thread(target=trickle, args=(to, len(connections) == 1), daemon=True).start()

        def trickle(to: socket.socket, stops: bool) -> None:
            pause = threading.Event()
            for number in range(75 if stops else 3000):
                try:
                    to.sendall(samples[640 * (number % 200) :][:640])
                except OSError:
                    return
                pause.wait(0.02)

        threading.Thread(target=serve, daemon=True).start()
        try:
            with hearing(f"tcp://127.0.0.1:{port}?rate={rate}&format=s16le&channels=1") as heard:
                heard.wait_for_loss()
                wait_until(lambda: len(connections) > 1, "another connection")
                heard.wait_for_sound()
        finally:
            for connection in connections:
                connection.close()


@pytest.mark.long
@needs_rtsp_server
def test_another_sample_rate_behind_the_same_address_is_said_and_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with RtspServer(tmp_path / "server", sine_file(tmp_path)) as server, hearing(server.url) as heard:
        heard.wait_for_sound()
        assert heard.stream.source.sample_rate == RATE
        server.kill()
        heard.wait_for_loss()
        server.recording = sine_file(tmp_path, 48000)
        server.start()
        assert share_of_tone(heard.wait_for_sound(2.0)[RATE // 2 :]) > 0.98
        assert heard.stream.source.sample_rate == 48000
    assert "48000" in caplog.text.replace(",", "")


@pytest.mark.long
@pytest.mark.parametrize("while_connected", [False, True])
def test_a_source_is_heard_at_each_sample_rate_that_it_changes_to(tmp_path: Path, while_connected: bool) -> None:
    """With a server that is started anew, and with segments that change while the connection lasts."""
    server = Hls(tmp_path / "server", sine_file(tmp_path))
    with server, hearing(server.url) as heard:
        heard.wait_for_sound()
        for number, rate in enumerate((48000, 8000, 44100) if while_connected else (8000, 11025, 48000), 1):
            server.recording, server.first_number = sine_file(tmp_path, rate), 100 * number
            if while_connected:
                server.kill_encoder()
                server.start_encoder()
            else:
                server.restart()
            wait_until(
                lambda rate=rate: heard.stream.source.sample_rate == rate and heard.state is not State.LOST,
                f"sound at {rate} Hz",
            )
            assert share_of_tone(heard.wait_for_sound(2.0)[RATE:]) > 0.98, rate
        stream = heard.stream
    assert stream.captured == stream.scored + stream.discarded
    assert not stream.error


@pytest.mark.long
def test_a_server_that_sends_something_else_than_sound_is_lost_with_a_reason_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    random = np.random.default_rng(1).integers(0, 256, 1 << 20, np.uint8).tobytes()
    contents = {"noise": random, "text": b"<html>no sound here</html>", "nothing": b""}
    for name, content in contents.items():
        (site / name).write_bytes(content)
    server = Hls(tmp_path, sine_file(tmp_path))
    try:
        server.start_web_server()
        urls = [f"http://127.0.0.1:{server.port}/{name}" for name in contents]
        with hearing_all(urls) as all_heard:
            for heard in all_heard:
                heard.wait_for_loss()
            wait_until(lambda: caplog.text.count("Waiting for it") >= len(urls), "a message for each")
            assert not any(heard.stream.error for heard in all_heard)
    finally:
        server.kill()


@pytest.mark.long
def test_segments_that_a_restarted_server_numbers_anew_are_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.sources.network.network_device.NO_SEGMENT_S", 5.0)
    server = Hls(tmp_path, noise_file(tmp_path))
    server.first_number = 1000  # ffmpeg would wait a quarter of an hour until the new numbers are higher
    with server, hearing(server.url) as heard:
        heard.wait_for_sound(1.0)
        server.kill()
        heard.wait_for_loss()
        server.first_number = 0
        server.clear()
        server.start()
        wait_until(lambda: heard.state is not State.LOST, "sound")
        heard.wait_for_sound(1.0)
