"""A virtual microphone for tests: a private PulseAudio whose null sink is what the microphone hears."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("pulseaudio", "pactl", "paplay")
SINK = "vm"
# norewinds=1 keeps the sink's blocks short: without it the head of each recording is damaged. At one rate and 16-bit
# mono from end to end, what is captured is bit for bit what is played.
_SINK_MODULE = (
    "module-null-sink sink_name={name} rate={rate} format=s16le channels=1 norewinds=1 "
    "sink_properties=device.description={name}"
)


def why_not() -> str:
    """What is missing on this system, empty if nothing is."""
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
    """A sound server of its own, in a folder of its own. Ends every process that it has started."""

    def __init__(self, rate: int = 16000) -> None:
        self.rate = rate
        self.folder = Path(tempfile.mkdtemp(prefix="vm-"))  # short: the path of a socket has a limit
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

    def start(self) -> None:
        """Starts the server, and returns when it answers."""
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
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.control("get-default-source", check=False).strip() == f"{SINK}.monitor":
                return
            time.sleep(0.05)
        raise RuntimeError("the private sound server did not come up")

    def end(self) -> None:
        """Ends the server and what still plays, and removes the folder."""
        for player in self._playing:
            player.kill()
            player.wait()
        if self._server is not None and self._server.poll() is None:
            self.thaw()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def control(self, *words: str, check: bool = True) -> str:
        """Says something to the server with pactl."""
        return subprocess.run(
            ("pactl", *words), env=self.environment, check=check, capture_output=True, text=True, timeout=20
        ).stdout

    def play(self, recording: Path, *, times: int = 1) -> None:
        """Plays in real time into the microphone; returns at once."""
        script = 'for i in $(seq "$1"); do paplay --device="$2" "$3" || exit; done'
        player = subprocess.Popen(
            ("sh", "-c", script, "sh", str(times), SINK, str(recording)),
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._playing.append(player)

    def unplug(self) -> None:
        """The microphone disappears; the server stays."""
        self.control("unload-module", "module-null-sink")

    def plug(self, name: str = SINK) -> None:
        """A microphone appears, by the name of the first one it comes back."""
        self.control("load-module", *self._module(name).split(" "))
        if name == SINK:
            self.control("set-default-sink", SINK)
            self.control("set-default-source", f"{SINK}.monitor")

    def remove(self, module: str) -> None:
        """Unloads a module by its number."""
        self.control("unload-module", module)

    def number_of(self, name: str) -> str:
        """The number of the module of a microphone."""
        rows = self.control("list", "short", "modules").splitlines()
        return next(row.split("\t")[0] for row in rows if f"sink_name={name} " in row)

    def kill(self) -> None:
        """Ends the server without warning."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def freeze(self) -> None:
        """The server answers no more."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """The server answers again."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def suspend(self, on: bool) -> None:
        """The microphone brings nothing, without an error; or does so again."""
        self.control("suspend-sink", SINK, "1" if on else "0")

    def _module(self, name: str) -> str:
        return _SINK_MODULE.format(name=name, rate=self.rate)
