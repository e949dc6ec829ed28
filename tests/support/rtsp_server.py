"""An RTSP server (GStreamer's), such as a camera with a microphone. It runs under the system's Python, which has `gi`.

    /usr/bin/python3 rtsp_server.py PORT CODEC RATE FILE GAP_S [USER PASSWORD]

FILE has 16-bit mono samples, which are sent again and again at rtsp://127.0.0.1:PORT/sound.
After five seconds so much sound is left out: its time passes, but it is not sent.
"""

import itertools
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ENCODERS = {
    "l16": "audioconvert ! audio/x-raw,format=S16BE ! rtpL16pay name=pay0 pt=96",
    "mulaw": "mulawenc ! rtppcmupay name=pay0 pt=0",
    "opus": "audioresample ! opusenc bitrate=64000 ! rtpopuspay name=pay0 pt=96",
    "aac": "audioconvert ! voaacenc ! rtpmp4gpay name=pay0 pt=96",
}
PORTION_S = 0.02
UNTIL_GAP_S = 5.0


class Sound(GstRtspServer.RTSPMediaFactory):
    """The sound, paced by the clock of the pipeline. Its time is that of the samples."""

    def __init__(self, codec: str, rate: int, samples: bytes, gap_s: float) -> None:
        super().__init__()
        self._rate, self._samples, self._size = rate, samples, 2 * int(rate * PORTION_S)
        self._gap = round(gap_s / PORTION_S)  # portions
        caps = f"audio/x-raw,format=S16LE,rate={rate},channels=1,layout=interleaved"
        source = f"appsrc name=source is-live=true format=time max-bytes={4 * self._size} caps={caps}"
        self.set_launch(f"( {source} ! {ENCODERS[codec]} )")
        self.set_shared(True)

    def do_configure(self, media: GstRtspServer.RTSPMedia) -> None:
        """Feeds a pipeline that has just been made; there is one for each address, also if only a query differs."""
        numbers = itertools.count()

        def feed(source: Gst.Element, _wanted: int) -> None:
            number = next(numbers)
            if number >= UNTIL_GAP_S / PORTION_S:
                number += self._gap
            at = number * self._size % len(self._samples)
            portion = self._samples[at : at + self._size]
            portion += self._samples[: self._size - len(portion)]
            buffer = Gst.Buffer.new_wrapped(portion)
            samples = self._size // 2
            buffer.pts = number * samples * Gst.SECOND // self._rate
            buffer.duration = (number + 1) * samples * Gst.SECOND // self._rate - buffer.pts
            if number == UNTIL_GAP_S / PORTION_S + self._gap:  # else the times of the packets would hide it
                buffer.set_flags(Gst.BufferFlags.DISCONT)
            source.emit("push-buffer", buffer)

        media.get_element().get_child_by_name("source").connect("need-data", feed)


def main() -> None:
    """Serves until it is killed."""
    port, codec, rate, file, gap_s, *login = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = Sound(codec, int(rate), Path(file).read_bytes(), float(gap_s))
    if login:
        user, password = login
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "listener")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("listener", "media.factory.access", True)
        permissions.add_permission_for_role("listener", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/sound", factory)
    server.attach(None)
    GLib.MainLoop().run()


main()
