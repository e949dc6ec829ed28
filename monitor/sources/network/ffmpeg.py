"""ffmpeg as a process that receives one source of the network, and writes its sound and the times of it into pipes.

Nothing secret is on its command line, which every user of the computer can read: the address is in a script for
ffmpeg's concat demuxer, on standard input. Of the sound the first track is decoded to 32-bit floats at its own sample
rate, with all its channels, on standard output; a second pipe gets a line of text for each portion (ffmpeg's framecrc).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

from monitor.core.errors import MonitorError, SourceLost
from monitor.sources.network.address import Address

NOT_INSTALLED = (
    "ffmpeg, which receives sound from the network, is not installed: on Debian and Ubuntu, run "
    "`sudo apt-get install ffmpeg`."
)
TIMEOUT_S = 8  # after which ffmpeg gives up a connection by itself, if we do not end it before
# Protocols and containers that a server may make ffmpeg use. Without them a playlist could name files of this computer.
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtspu": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls",
    "http": "http,https,tls,tcp,httpproxy,crypto,hls",
    "https": "https,http,tls,tcp,httpproxy,crypto,hls",
    "srt": "srt",
    "udp": "udp",
    "tcp": "tcp",
}
CONTAINERS = (
    "rtsp,rtp,sdp,hls,mpegts,mp3,aac,loas,ogg,flac,wav,w64,aiff,au,caf,amr,ac3,eac3,dts,"
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,asf,nut"
)
_PATIENCE_S = 0.4  # for ffmpeg to say goodbye to the server before it is killed


def require_ffmpeg() -> str:
    """The path of ffmpeg.

    Raises:
        MonitorError: if it is not installed.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise MonitorError(NOT_INSTALLED)
    return program


class FfmpegProcess:
    """A running ffmpeg. It is killed if this program, or the thread that has started it, ends in any way.

    Args:
        address: what it receives.

    Raises:
        MonitorError: if ffmpeg is not installed.
        SourceLost: if it cannot be started now.
    """

    def __init__(self, address: Address) -> None:
        program = require_ffmpeg()
        try:
            times, times_end = os.pipe()
        except OSError as error:
            raise SourceLost(f"{address.public}: ffmpeg cannot be started: {error.strerror}.") from None
        environment = {name: value for name, value in os.environ.items() if name != "FFREPORT"}  # a log with addresses
        try:
            self._process = subprocess.Popen(
                [*_guard(), program, *arguments(address, times_end)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                pass_fds=(times_end,), start_new_session=True, env=environment,
            )  # fmt: skip
        except OSError as error:
            os.close(times)
            raise SourceLost(f"{address.public}: ffmpeg cannot be started: {error.strerror}.") from None
        finally:
            os.close(times_end)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._times = times
        self.sound, self.times, self.messages = self._process.stdout.fileno(), times, self._process.stderr.fileno()
        with contextlib.suppress(OSError):  # it has ended already
            self._process.stdin.write(script(address).encode())
            self._process.stdin.close()
        for descriptor in (self.sound, self.times, self.messages):
            os.set_blocking(descriptor, False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Its exit code, negative if a signal ended it; None if it has not ended. To be asked after its sound ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may need a moment more than its pipe
            self._process.wait(_PATIENCE_S)
        return self._process.returncode

    def end(self) -> None:
        """Closes the pipes, and ends it, also if it is frozen."""
        # The pipes first: it may wait until somebody reads from one.
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._times >= 0:
            os.close(self._times)
            self._times = -1
        for number, patience in ((signal.SIGTERM, _PATIENCE_S), (signal.SIGKILL, 1.0)):
            if self._process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)


def arguments(address: Address, times_descriptor: int) -> Sequence[str]:
    """The arguments of ffmpeg for an address; none of them is secret.

    Args:
        address: what is received.
        times_descriptor: the file that gets a line for each portion.
    """
    if (pcm := address.pcm) is not None:
        source = [
            "-f", pcm.format, "-ar", str(pcm.rate), "-ac", str(pcm.channels), "-probesize", "32",
            "-analyzeduration", "0", "-protocol_whitelist", PROTOCOLS[address.scheme],
            "-i", _socket(address),
        ]  # fmt: skip
    else:
        source = [
            "-f",
            "concat",
            "-safe",
            "0",
            "-protocol_whitelist",
            f"pipe,{PROTOCOLS[address.scheme]}",
            "-i",
            "pipe:0",
        ]
    return [
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+verbose", "-threads", "1", *source,
        "-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-filter_threads", "1", "-c:a", "pcm_f32le",
        "-f", "tee", f"[f=framecrc]pipe:{times_descriptor}|[f=f32le:flush_packets=1]pipe:1",
    ]  # fmt: skip


def script(address: Address) -> str:
    """The script for the concat demuxer, which contains the address; empty for raw samples."""
    if address.pcm is not None:
        return ""
    scheme, url = address.scheme, address.secret
    options = {
        "protocol_whitelist": PROTOCOLS[scheme],
        "format_whitelist": CONTAINERS,
        "fflags": "nobuffer",
        "analyzeduration": "2000000",
        "max_probe_packets": "8",  # else the first eight seconds of a WAV stream are searched for a coded form
    }
    if scheme.startswith("rtsp"):
        # allowed_media_types: of a camera, only the sound is asked for.
        transport = "udp" if scheme == "rtspu" else "tcp"
        options |= {"rtsp_transport": transport, "allowed_media_types": "audio", "timeout": f"{TIMEOUT_S}000000"}
        url = url.replace("rtspu://", "rtsp://", 1)
    else:
        options["rw_timeout"] = f"{TIMEOUT_S}000000"
    if address.in_segments:
        options["live_start_index"] = "-1"  # with the newest segment
    if scheme == "https":
        options["tls_verify"] = "1"
    quoted = url.replace("'", r"'\''")
    return "\n".join(
        ["ffconcat version 1.0", f"file '{quoted}'", *(f"option {key} {options[key]}" for key in options), ""]
    )


def _socket(address: Address) -> str:
    """The address of raw samples with the options of ffmpeg's protocol."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    place = f"{address.scheme}://{host}:{address.port}"
    if address.scheme == "udp":
        # Without a local address ffmpeg would receive on all networks of this computer, whatever the host is.
        local = "" if _all_or_multicast(address.host) else f"&localaddr={address.host}"
        return f"{place}?fifo_size=0&buffer_size=1000000{local}"
    return f"{place}?listen=1" if address.listens else f"{place}?timeout={TIMEOUT_S}000000"


def _all_or_multicast(host: str) -> bool:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:  # a name
        return False
    return parsed.is_unspecified or parsed.is_multicast


def _guard() -> list[str]:
    """A command before another that kills it when this program dies; none where there is no such command."""
    setpriv, shell = shutil.which("setpriv"), shutil.which("sh")
    if not (setpriv and shell):
        return []
    # This program may have died before the kernel is told to watch it: then the shell has another parent.
    return [setpriv, "--pdeathsig", "KILL", "--", shell, "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid())]
