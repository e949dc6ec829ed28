"""The tab key completes files, microphones, settings and faults, in each shell."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from click.shell_completion import BashComplete, ShellComplete, get_completion_class

from monitor.cli.completion import script
from monitor.cli.main import cli
from monitor.config.schema import ENTRY_TYPES, GROUPS, Config
from monitor.core.errors import MonitorError
from monitor.sources.device.devices import Device


def completed(*arguments: str, shell: type[ShellComplete] = BashComplete) -> list[tuple[str, str]]:
    """The kinds and values that complete the last argument."""
    found = shell(cli, {}, "monitor", "_MONITOR_COMPLETE").get_completions(list(arguments[:-1]), arguments[-1])
    return [(item.type, item.value) for item in found]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("live", "ru"),
        ("replay", "m.safetensors", "to"),
        ("train", "rec"),
        ("train", "rec", "--out", ""),
        ("check", "site"),
        ("check", "--write", "x"),
        ("evaluate", "m.safetensors", "da"),
        ("live", "m.safetensors", "--config", "ha"),
        ("replay", "m.safetensors", "a.wav", "--pictures", "x"),
    ],
)
def test_paths_are_completed_as_files(arguments: tuple[str, ...], shell: str) -> None:
    completer = get_completion_class(shell)
    assert completer is not None
    assert completed(*arguments, shell=completer) == [("file", arguments[-1])]


def test_settings_are_completed_up_to_the_equals_sign_and_words_after_it() -> None:
    for command in ("live", "check", "train"):
        assert completed(command, "--set", "features.n_") == [
            ("plain", "features.n_fft="),
            ("plain", "features.n_mels="),
        ]
    keys = [value for _, value in completed("live", "--set", "")]
    settable = [
        (group, key) for group in GROUPS for key, _ in getattr(Config(), group) if (group, key) not in ENTRY_TYPES
    ]
    assert keys == [f"{group}.{key}=" for group, key in settable]
    assert completed("live", "--set", "features.scale=") == [
        ("plain", "features.scale=log"),
        ("plain", "features.scale=power"),
    ]
    assert completed("live", "--set", "alarm.lasting=t") == [("plain", "alarm.lasting=true")]


def test_faults_of_the_demo_are_completed() -> None:
    assert completed("demo", "--fault", "b") == [("plain", "bearing"), ("plain", "belt")]
    assert completed("demo", "--machine", "valve", "--fault", "") == [("plain", f) for f in ("weak", "late", "double")]
    assert completed("demo", "--machine", "nonsense", "--fault", "b") == []


def test_microphones_are_completed_by_number_or_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["USB Audio: Mic (hw:1,0)", "USB Audio: Mic (hw:2,0)", "Built-in\n"]
    devices = [Device(number, name, "ALSA", 1, 48000, False) for number, name in enumerate(names)]
    monkeypatch.setattr("monitor.sources.device.devices.input_devices", lambda: devices)
    assert completed("live", "m", "--device", "") == [("plain", "0"), ("plain", "1"), ("plain", "2")]
    assert completed("live", "m", "--device", "b") == [("plain", "Built-in?")]
    usb = [("plain", f"USB Audio: Mic (hw:{number}") for number in (1, 2)]
    assert completed("live", "m", "--device", "usb") == usb
    monkeypatch.setenv("_MONITOR_COMPLETE", "bash_complete")
    assert completed("live", "m", "--device", "usb")[0] == ("plain", "'USB Audio: Mic (hw:1'")


def test_without_a_sound_library_no_microphone_is_completed_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> list[Device]:
        raise MonitorError("PortAudio is not installed.")

    monkeypatch.setattr("monitor.sources.device.devices.input_devices", fail)
    assert completed("live", "m", "--device", "") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_in_bash_no_space_follows_an_equals_sign() -> None:
    lines = f"""
        monitor() {{ :; }}; env() {{ echo plain,features.n_mels=; }}; compopt() {{ echo "$@"; }}
        {script(cli, "bash")}
        COMP_WORDS=(monitor live --set features.n_m) COMP_CWORD=3
        _monitor_completion monitor
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["-o", "nospace", "features.n_mels="]
