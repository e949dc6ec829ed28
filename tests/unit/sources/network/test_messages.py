"""What ffmpeg writes becomes a sentence without anything secret."""

from __future__ import annotations

import pytest

from monitor.sources.network.address import Address
from monitor.sources.network.messages import MessageLog

ADDRESS = Address.parse("rtsp://admin:pass%20word@camera:8554/1?token=abcdef")


def log_of(*lines: str) -> MessageLog:
    log = MessageLog(ADDRESS)
    for part in (text := "".join(f"{line}\n" for line in lines).encode())[:7], text[7:]:
        log.add(part)
    return log


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[rtsp @ 0x1] [error] method DESCRIBE failed: 401 Unauthorized", "refuses the user or the password"),
        ("[http @ 0x1] [error] HTTP error 404 Not Found", "has nothing under this path"),
        ("[tcp @ 0x1] [error] Connection to tcp://camera:8554 failed: Connection refused", "answers at camera:8554"),
        ("[tcp @ 0x1] [error] Failed to resolve hostname camera: Name or service not known", "there is no host camera"),
        ("[error] pipe:0: Invalid data found when processing input", "no sound that ffmpeg knows"),
        ("[fatal] Stream map '0:a:0' matches no streams.", "there is no sound in it"),
        ("[udp @ 0x1] [error] bind failed: Address already in use", "port 8554 is in use"),
        ("[concat @ 0x1] [error] Impossible to open 'http://camera/'", "a redirection to another kind of address"),
        ('[SWR @ 0x1] [warning] ochl channel layout "255 channels" is invalid or unsupported.', "more channels than"),
        ("[udp @ 0x1] [error] bind failed: Cannot assign requested address", "camera is no address of this computer"),
    ],
)  # fmt: skip
def test_usual_failures_are_explained(line: str, reason: str) -> None:
    assert reason in log_of("[info] Input #0, concat, from 'pipe:0':", line).reason()


def test_segments_of_a_playlist_are_counted() -> None:
    line = "[hls @ 0x1] [verbose] HLS request for url 'http://camera/live{}.ts', offset 0, playlist 0"
    assert log_of(*(line.format(number) for number in (4, 5))).segments == 2


def test_an_unknown_failure_is_told_without_what_is_secret() -> None:
    reason = log_of(
        "[rtsp @ 0x1] [error] odd: rtsp://admin:pass%20word@camera:8554/1?token=abcdef for admin, pass word, \x1babcdef"
    ).reason()
    assert reason == "odd: rtsp://camera:8554/1?token=*** for ***, ***, ?***"


def test_a_connection_that_ends_without_an_error_was_ended_by_the_server() -> None:
    assert (
        log_of("[warning] Guessed Channel Layout for Input Stream #0.0 : mono").reason()
        == "the server has ended the sound"
    )


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("ffmpeg: cannot load libx.so: No such file.", 127, "with code 127: ffmpeg: cannot load libx.so: No such file"),
        ("", 1, "with code 1"),
        ("[info] Input #0", -9, "by signal 9"),
    ],
)
def test_an_ffmpeg_that_fails_itself_is_not_taken_for_a_server_that_ends_the_sound(
    line: str, code: int, reason: str
) -> None:
    assert log_of(line).reason(code) == f"ffmpeg on this computer was ended {reason}"


def test_a_refused_password_is_known_because_it_is_not_tried_again_soon() -> None:
    assert log_of("[rtsp @ 0x1] [error] method DESCRIBE failed: 401 Unauthorized").refused
    assert not log_of("[http @ 0x1] [error] HTTP error 404 Not Found").refused


def test_the_codec_and_another_form_of_the_sound_are_noticed() -> None:
    log = log_of(
        "[info]   Stream #0:1[0x101](eng): Audio: aac (LC), 44100 Hz, stereo, fltp, 64 kb/s",
        "[graph_0_in_0_0 @ 0x2] [verbose] tb:1/44100 samplefmt:fltp samplerate:44100 chlayout:stereo",
    )
    assert (log.codec, log.changed) == ("aac", "")
    log.add(b"[graph_0_in_0_0 @ 0x3] [verbose] tb:1/44100 samplefmt:fltp samplerate:44100 chlayout:stereo\n")
    assert not log.changed
    log.add(b"[graph_0_in_0_0 @ 0x3] [verbose] tb:1/22050 samplefmt:fltp samplerate:22050 chlayout:mono\n")
    assert log.changed == "22050 samples a second, mono"


def test_endless_messages_of_a_hostile_server_do_not_fill_the_memory() -> None:
    log = MessageLog(ADDRESS)
    for _ in range(200):
        log.add(b"[error] " + b"x" * 60_000)
        log.add(b"[error] again\n" * 1000)
    assert len(log.reason()) < 200
