"""Real servers of sound on free ports of this computer, which can be killed, frozen, thawed and started again.

Each sends a recording again and again in real time. An instance is a context manager that ends all its processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import soundfile

from support.listening import wait_until
from support.ports import free_port

SUPPORT = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that has `gi`
USER, PASSWORD = "listener", "s3cret/@:%"
QUOTED = "s3cret%2F%40%3A%25"  # the password as it stands in an address


def missing(*programs: str) -> str:
    """Which of the programs are not installed on this system; "" if none is missing."""
    absent = [program for program in programs if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def missing_rtsp_server() -> str:
    """Says what GStreamer's RTSP server lacks on this system; "" if nothing."""
    program = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
        "Gst.init(None); assert all(map(Gst.ElementFactory.find, ('rtpL16pay', 'opusenc', 'voaacenc', 'mulawenc')))"
    )
    if not Path(SYSTEM_PYTHON).exists():
        return f"not installed: {SYSTEM_PYTHON}"
    found = subprocess.run((SYSTEM_PYTHON, "-c", program), capture_output=True, check=False)
    return "not installed: gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-bad" if found.returncode else ""


def raw_samples(recording: Path) -> tuple[int, bytes]:
    """The sample rate of a mono recording, and its samples as 16-bit numbers."""
    samples, rate = soundfile.read(recording, dtype="int16")
    return rate, np.ascontiguousarray(samples).astype("<i2").tobytes()


class Server:
    """Processes that send sound. Derived classes say which, and at which address it can be heard.

    Args:
        folder: for files of the server.
        recording: a mono recording that is sent.
    """

    url = ""

    def __init__(self, folder: Path, recording: Path) -> None:
        self.folder, self.recording = folder, recording
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Starts the processes, and waits until they can be heard."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kills all processes at once, as a power failure does; connections end, because the computer stays."""
        self._signal(signal.SIGKILL)
        for process in self._running:
            process.wait()
        self._running.clear()

    def freeze(self) -> None:
        """Suspends all processes: connections stay open, and nothing comes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets frozen processes go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kills the processes, and starts new ones at the same address."""
        self.kill()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _run(self, *command: object, **how: Any) -> subprocess.Popen[bytes]:
        """Starts a process in a group of its own."""
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **how,
            )  # fmt: skip
        self._running.append(process)
        return process

    def _encode(self, *output: object, again: bool = False) -> None:
        """Starts an ffmpeg that sends the recording in real time; with `again` anew whenever it ends."""
        words = ("ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", self.recording, *output)
        if again:
            self._run("sh", "-c", 'while :; do "$@"; sleep 0.1; done', "sh", *words)
        else:
            self._run(*words)

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False

    def _listens(self) -> bool:
        """Whether something listens at the port, without connecting to it: some servers serve only one client."""
        wanted = f"0100007F:{self.port:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        return any(line[1] == wanted and line[3] == "0A" for line in lines)


class PcmSender(Server):
    """Raw samples over UDP or TCP, at 0.02 s a packet.

    Args:
        folder, recording: as for `Server`.
        way: "udp", "connect" (the sender connects to us), or "listen" (we connect to it).
        speed: times real time.
    """

    def __init__(self, folder: Path, recording: Path, way: str, speed: float = 1.0) -> None:
        super().__init__(folder, recording)
        self._way, self.speed = way, speed
        self.rate, samples = raw_samples(recording)
        self._file = self.folder / "samples.raw"
        self._file.write_bytes(samples)

    @property
    def url(self) -> str:  # type: ignore[override]
        """Its address, with the form of the samples as they were when the server was made."""
        form = f"rate={self.rate}&format=s16le&channels=1"
        place = f"127.0.0.1:{self.port}"
        return {
            "udp": f"udp://{place}?{form}",
            "connect": f"tcp://{place}?listen&{form}",
            "listen": f"tcp://{place}?{form}",
        }[self._way]

    def start(self) -> None:
        """Starts it, and waits until it listens if it is one that does."""
        self._run(sys.executable, SUPPORT / "pcm_sender.py", self._way, self.port, self.rate, self._file, self.speed)
        if self._way == "listen":
            wait_until(self._listens, "a sender that listens")


class Icecast(Server):
    """Icecast, and ffmpeg as the source client that sends the recording to it.

    Args:
        folder, recording: as for `Server`.
        codec: arguments of ffmpeg for the codec and the container.
        login: whether listeners need `USER` and `PASSWORD`.
    """

    CODECS: ClassVar = {
        "mp3": ("-c:a", "libmp3lame", "-b:a", "64k", "-content_type", "audio/mpeg", "-f", "mp3"),
        "vorbis": ("-c:a", "libvorbis", "-content_type", "application/ogg", "-f", "ogg"),
        "opus": ("-c:a", "libopus", "-b:a", "64k", "-content_type", "application/ogg", "-f", "ogg"),
        "flac": ("-c:a", "flac", "-content_type", "application/ogg", "-f", "ogg"),
        "aac": ("-c:a", "aac", "-b:a", "64k", "-content_type", "audio/aac", "-f", "adts"),
    }

    def __init__(self, folder: Path, recording: Path, codec: str = "mp3", *, login: bool = False) -> None:
        super().__init__(folder, recording)
        self.codec, self._login = codec, login
        self.url = f"http://{f'{USER}:{QUOTED}@' if login else ''}127.0.0.1:{self.port}/sound"
        self._place = Path(tempfile.mkdtemp(prefix="monitor-icecast-"))  # pytest's folders are closed to other users

    def __exit__(self, *how: object) -> None:
        super().__exit__(*how)
        shutil.rmtree(self._place, ignore_errors=True)

    def start(self) -> None:
        """Starts both, and waits until the sound can be heard."""
        for _ in range(5):  # Icecast 2.4.4 crashes now and then while it starts on a busy computer
            self._start_server()
            if self._server.poll() is None:
                self.start_source()
                if self._server.poll() is None:
                    return
            self.kill()
        raise AssertionError("Icecast does not start")

    def _start_server(self) -> None:
        """Starts Icecast alone."""
        place = self._place
        run_as = "icecast2" if os.geteuid() == 0 else ""  # it refuses to run as root
        owner = f"<changeowner><user>{run_as}</user><group>icecast</group></changeowner>" if run_as else ""
        if run_as:
            shutil.chown(place, run_as)
        mount = ""
        if self._login:
            (place / "passwords").write_text(f"{USER}:{hashlib.md5(PASSWORD.encode()).hexdigest()}\n")
            mount = (
                '<mount type="normal"><mount-name>/sound</mount-name><authentication type="htpasswd">'
                f'<option name="filename" value="{place}/passwords"/></authentication></mount>'
            )
        (place / "icecast.xml").write_text(
            f"""<icecast><limits><clients>100</clients><sources>50</sources></limits>
            <authentication><source-password>source</source-password><admin-password>admin</admin-password></authentication>
            <hostname>localhost</hostname>
            <listen-socket><port>{self.port}</port><bind-address>127.0.0.1</bind-address></listen-socket>{mount}
            <paths><logdir>{place}</logdir><webroot>/usr/share/icecast2/web</webroot>
            <adminroot>/usr/share/icecast2/admin</adminroot></paths>
            <logging><accesslog>log</accesslog><errorlog>log</errorlog><loglevel>2</loglevel></logging>
            <security><chroot>0</chroot>{owner}</security></icecast>"""
        )
        self._server = self._run("icecast2", "-c", place / "icecast.xml")
        wait_until(lambda: self._listens() or self._server.poll() is not None, "an Icecast that listens")

    def start_source(self) -> None:
        """Starts to send the recording to Icecast."""
        self._encode(*self.CODECS[self.codec], f"icecast://source:source@127.0.0.1:{self.port}/sound", again=True)
        wait_until(lambda: self._mounted() or self._server.poll() is not None, "a source at Icecast")

    def kill_source(self) -> None:
        """Kills the source client; Icecast goes on without sound."""
        client = self._running.pop()
        os.killpg(client.pid, signal.SIGKILL)
        client.wait()

    def _mounted(self) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status-json.xsl", timeout=5) as answer,
        ):
            return b"listenurl" in answer.read()
        return False


class RtspServer(Server):
    """GStreamer's RTSP server.

    Args:
        folder, recording: as for `Server`.
        codec: "l16", "mulaw", "opus" or "aac".
        login: whether listeners need `USER` and `PASSWORD`.
        gap_s: seconds of sound that are left out, five seconds after each listener has begun.
    """

    def __init__(
        self, folder: Path, recording: Path, codec: str = "l16", *, login: bool = False, gap_s: float = 0.0
    ) -> None:
        super().__init__(folder, recording)
        self.codec, self._login, self._gap_s = codec, (USER, PASSWORD) if login else (), gap_s
        self.url = f"rtsp://{f'{USER}:{QUOTED}@' if login else ''}127.0.0.1:{self.port}/sound"

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        rate, samples = raw_samples(self.recording)
        file = self.folder / "samples.raw"
        file.write_bytes(samples)
        self._run(
            SYSTEM_PYTHON, SUPPORT / "rtsp_server.py", self.port, self.codec, rate, file, self._gap_s, *self._login
        )
        wait_until(self._accepts, "an RTSP server that listens")


class Listener(Server):
    """ffmpeg as a server for one listener at a time, with AAC in MPEG-TS. `scheme` is "srt" or "http"."""

    def __init__(self, folder: Path, recording: Path, scheme: str) -> None:
        super().__init__(folder, recording)
        self._scheme = scheme
        place = f"127.0.0.1:{self.port}"
        self.url = {"srt": f"srt://{place}", "http": f"http://{place}/sound.ts"}[scheme]

    def start(self) -> None:
        """Starts it, and waits until it listens if it is a server that can be seen."""
        if self._scheme == "srt":
            self._encode("-c:a", "aac", "-f", "mpegts", f"{self.url}?mode=listener", again=True)
        else:
            self._encode("-c:a", "aac", "-f", "mpegts", "-listen", "1", self.url, again=True)
            wait_until(self._listens, "an ffmpeg that listens")


class Hls(Server):
    """ffmpeg that writes segments, and a web server for them."""

    def __init__(self, folder: Path, recording: Path, segment_s: float = 1.0) -> None:
        super().__init__(folder, recording)
        self._segment_s, self._site = segment_s, folder / "site"
        self.first_number = 0  # of the segments after the next start
        self.url = f"http://127.0.0.1:{self.port}/live.m3u8"

    def start(self) -> None:
        """Starts both, and waits for the first segments."""
        self._site.mkdir(exist_ok=True)
        self.start_web_server()
        self.start_encoder()
        wait_until(lambda: len(list(self._site.glob("*.ts"))) >= 3, "segments")

    def start_encoder(self) -> None:
        """Starts to write segments."""
        self._encode(
            "-c:a", "aac", "-f", "hls", "-hls_time", self._segment_s, "-hls_list_size", "5",
            "-hls_flags", "delete_segments+temp_file", "-start_number", self.first_number, self._site / "live.m3u8",
        )  # fmt: skip

    def kill_encoder(self) -> None:
        """Kills what writes segments; the web server goes on with those that there are."""
        encoder = self._running.pop()
        os.killpg(encoder.pid, signal.SIGKILL)
        encoder.wait()

    def clear(self) -> None:
        """Forgets the segments so far."""
        for file in self._site.iterdir():
            file.unlink()

    def start_web_server(self) -> None:
        """Starts the web server."""
        self._run(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", self._site, self.port)
        wait_until(self._accepts, "a web server that listens")
