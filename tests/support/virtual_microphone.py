"""A virtual microphone for tests: a private PulseAudio server that records from its own null sink."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from support.listening import DEADLINE_S

PROGRAMS = ("pulseaudio", "pactl", "paplay")
SINK = "vm"
# norewinds=1 keeps the sink's blocks short: otherwise the beginning of each recording is damaged. With the same
# rate and 16-bit mono throughout, captured samples equal the played ones exactly.
_SINK_MODULE = (
    "module-null-sink sink_name={name} rate={rate} format=s16le channels=1 norewinds=1 "
    "sink_properties=device.description={name}"
)


def why_not() -> str:
    """Returns which programs or libraries are missing on this system; "" if none is."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        import sounddevice  # noqa: F401
    except OSError:
        return "not installed: libportaudio2"
    plugins = list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    return "" if plugins else "not installed: libasound2-plugins"


class VirtualMicrophone:
    """A private sound server in a temporary folder; a context manager that ends all processes it has started."""

    def __init__(self, rate: int = 16000) -> None:
        self.rate = rate
        self.folder = Path(
            tempfile.mkdtemp(prefix="vm-")
        )  # a short path, because the length of a socket's path is limited
        self._server: subprocess.Popen[bytes] | None = None
        self._playing: list[subprocess.Popen[bytes]] = []
        for name in ("run", "state", "home"):
            (self.folder / name).mkdir(mode=0o700)
        socket = self.folder / "native"
        (self.folder / "vm.pa").write_text(
            ".fail\n"
            f"load-module module-native-protocol-unix socket={socket} auth-anonymous=1 auth-cookie-enabled=0\n"
            f"load-module {self._module(SINK)}\nset-default-sink {SINK}\nset-default-source {SINK}.monitor\n"
        )
        (self.folder / "asound.conf").write_text(
            f'pcm.testmic {{ type pulse device "{SINK}.monitor" hint {{ show on description "Test microphone" }} }}\n'
            'pcm.default { type pulse hint { show on description "Default" } }\nctl.default { type pulse }\n'
        )
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DISPLAY", "PULSE_SOURCE")},
            "LC_ALL": "C",
            "PULSE_SERVER": f"unix:{socket}",
            "PULSE_RUNTIME_PATH": str(self.folder / "run"),
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        own = {"HOME": str(self.folder / "home"), "PULSE_STATE_PATH": str(self.folder / "state")}
        environment = {
            k: v for k, v in (self.environment | own).items() if k not in ("PULSE_SERVER", "XDG_RUNTIME_DIR")
        }
        environment |= {"DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"}
        (self.folder / "native").unlink(missing_ok=True)
        self._server = subprocess.Popen(
            ("pulseaudio", "-n", "-F", str(self.folder / "vm.pa"), "--daemonize=no", "--use-pid-file=no",
             "--exit-idle-time=-1", "--disable-shm=yes"),
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if self.control("get-default-source", check=False).strip() == f"{SINK}.monitor":
                return
            time.sleep(0.05)
        raise RuntimeError("the private sound server did not come up")

    def end(self) -> None:
        """Ends the server and all players, and removes the folder."""
        self.stop_playing()
        if self._server is not None and self._server.poll() is None:
            self.thaw()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def control(self, *words: str, check: bool = True) -> str:
        """Sends a command to the server with pactl, and returns the output."""
        return subprocess.run(
            ("pactl", *words), env=self.environment, check=check, capture_output=True, text=True, timeout=DEADLINE_S
        ).stdout

    def play(self, recording: Path, *, times: int = 1) -> None:
        """Plays a recording into the microphone in real time; returns at once."""
        script = 'for i in $(seq "$1"); do paplay --device="$2" "$3" || exit; done'
        player = subprocess.Popen(
            ("sh", "-c", script, "sh", str(times), SINK, str(recording)),
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._playing.append(player)

    def stop_playing(self) -> None:
        """Ends all recordings that are being played."""
        for player in self._playing:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.killpg(player.pid, signal.SIGKILL)
            player.wait()
        self._playing.clear()

    def unplug(self) -> None:
        """Removes the microphone; the server stays."""
        self.control("unload-module", "module-null-sink")

    def plug(self, name: str = SINK) -> None:
        """Adds a microphone; by default the one that was removed."""
        self.control("load-module", *self._module(name).split(" "))
        if name == SINK:
            self.control("set-default-sink", SINK)
            self.control("set-default-source", f"{SINK}.monitor")

    def remove(self, module: str) -> None:
        """Unloads the module with this number."""
        self.control("unload-module", module)

    def number_of(self, name: str) -> str:
        """Returns the number of a microphone's module."""
        rows = self.control("list", "short", "modules").splitlines()
        return next(row.split("\t")[0] for row in rows if f"sink_name={name} " in row)

    def kill(self) -> None:
        """Kills the server."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def freeze(self) -> None:
        """Suspends the server, so that it no longer answers."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resumes the server."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def suspend(self, on: bool) -> None:
        """Makes the microphone deliver no samples, without an error; or resumes it."""
        self.control("suspend-sink", SINK, "1" if on else "0")

    def _module(self, name: str) -> str:
        return _SINK_MODULE.format(name=name, rate=self.rate)
