"""Sources in the network with the commands of the program: they take them, and nothing tells their passwords."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from monitor.bundle.bundle_io import load_bundle, save_bundle
from monitor.cli.main import run
from monitor.core.errors import EXIT_OK, EXIT_SOURCE_LOST, EXIT_USAGE
from support.builders import RATE, noise, small_bundle, small_config, write_sound
from support.listening import never_alarmed
from support.live_program import Live, reload
from support.network_servers import PASSWORD, QUOTED, USER, Icecast, PcmSender, missing
from support.ports import free_port

pytestmark = pytest.mark.skipif(bool(missing("ffmpeg")), reason=missing("ffmpeg"))
needs_icecast = pytest.mark.skipif(bool(missing("icecast2")), reason=missing("icecast2"))

TOKEN, WRONG = "0123-token-4567", "a-wrong-password"
SECRETS = (PASSWORD, QUOTED, TOKEN, WRONG, f"{USER}:", f"{USER}@")
FAST = 50.0  # times real time


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """The sound of a machine."""
    return write_sound(tmp_path / "machine.wav", noise(20 * RATE), subtype="PCM_16")


@pytest.fixture
def sender(tmp_path: Path, recording: Path) -> Iterator[PcmSender]:
    """A server of raw samples that does not take the time that they last."""
    with PcmSender(tmp_path / "sender", recording, "listen", speed=FAST) as running:
        yield running


def command_lines(pid: int) -> str:
    """The command lines of a process and of those that it has started, as every user of this computer can read them."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if pid in (int(folder.name), parent):
                lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    assert any("ffmpeg" in line for line in lines)
    return "\n".join(lines)


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """All files below a folder, also those that are no text."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")


@pytest.mark.long
@needs_icecast
def test_a_password_reaches_no_log_event_process_list_metric_status_store_or_file(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with the right password, not with a wrong one that the server refuses, and not if the settings change."""
    folder, metrics_port = tmp_path / "monitor", free_port()
    folder.mkdir()
    save_bundle(never_alarmed(small_bundle(small_config("alarm.warm_up_s=0"))), folder / "model.safetensors")
    with Icecast(tmp_path / "server", recording, login=True) as server:
        address, place = f"{server.url}?token={TOKEN}", f"http://127.0.0.1:{server.port}/sound"
        (folder / "press.address").write_text(address)
        monkeypatch.setenv("FAN_PASSWORD", WRONG)
        monkeypatch.setenv("MONITOR_DEBUG", "1")
        fan = f"http://{USER}:$FAN_PASSWORD@127.0.0.1:{server.port}/sound"
        settings = "\n".join(
            [
                "state: {folder: state}", f"metrics: {{port: {metrics_port}}}", "streams:",
                "- {name: press, bundle: model.safetensors, url_file: press.address}",
                f"- {{name: fan, bundle: model.safetensors, device: {fan!r}}}".replace(USER, "$FAN_USER"),
                "",
            ]
        )  # fmt: skip
        monkeypatch.setenv("FAN_USER", USER)
        (folder / "hall.yaml").write_text(settings)
        live = Live(None, folder, "--config", "hall.yaml")
        try:
            live.wait_for_state("NORMAL", "press")
            live.wait_for_state("LOST", "fan")
            live.wait_for_message("refuses the user or the password")
            seen = [command_lines(live.process.pid)]
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
                seen.append(answer.read().decode())
            assert run(["status", "--state", str(live.state), "--json"]) in (EXIT_OK, EXIT_SOURCE_LOST)
            run(["check", str(folder / "hall.yaml")])
            run(["check", str(folder / "hall.yaml"), "--files", "--devices"])
            (folder / "press.address").write_text(address.replace(QUOTED, WRONG))
            before = len(live.lines)
            changed = reload(live.state)
            assert "press: another microphone" in "".join(changed.lines)
            live.wait_for_state("LOST", "press", before)
            seen += [*changed.lines, changed.errors]
        finally:
            live.end()
        run(["events", "--config", str(folder / "hall.yaml")])
        run(["report", "--config", str(folder / "hall.yaml"), "--out", str(folder / "report.html")])
    (folder / "press.address").unlink()
    found = dict(texts(folder))
    assert place in found[folder / "output.txt"]
    said = capsys.readouterr()
    everything = [*seen, said.out, said.err, *found.values()]
    for secret in SECRETS:
        assert not any(secret in text for text in everything), [name for name, text in found.items() if secret in text]


def test_a_network_source_is_recorded_without_a_break(tmp_path: Path, recording: Path, sender: PcmSender) -> None:
    out = tmp_path / "recordings"
    assert run(["record", "--device", sender.url, "--minutes", "0.3", "--out", str(out)]) == EXIT_OK
    first, second = sorted(out.iterdir())
    sent, _ = soundfile.read(recording, dtype="int16")
    heard = [sample for file in (first, second) for sample in soundfile.read(file, dtype="int16")[0]]
    assert len(heard) == 20 * RATE
    assert heard[: 2 * RATE] == [*sent, *sent][: 2 * RATE]


@pytest.mark.long
@pytest.mark.long
def test_limits_are_calibrated_with_a_network_source(
    tmp_path: Path, sender: PcmSender, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.safetensors"
    save_bundle(small_bundle(), model)
    buffer = ("--set", "audio.buffer_s=60")
    words = ["calibrate", str(model), "--device", sender.url, "--minutes", "0.5", "--force", *buffer]
    assert run(words) == EXIT_OK, capsys.readouterr().err
    assert load_bundle(model).thresholds != small_bundle().thresholds


@pytest.mark.parametrize("command", ["record", "devices", "level", "live"])
def test_a_server_that_is_not_there_is_one_sentence_with_the_code_of_a_lost_source(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    words = {
        "record": ["record", "--minutes", "1", "--out", str(tmp_path / "out")],
        "devices": ["devices"],
        "level": ["devices", "--level"],
        "live": ["live", str(tmp_path / "model.safetensors"), "--headless", "--exit-on-loss"],
    }[command]
    save_bundle(small_bundle(), tmp_path / "model.safetensors")
    (tmp_path / "camera.address").write_text(f"http://user:{WRONG}@127.0.0.1:{port}/sound")
    assert run([*words, "--set", f"audio.url_file={tmp_path / 'camera.address'}"]) == EXIT_SOURCE_LOST
    said = capsys.readouterr()
    assert f"http://127.0.0.1:{port}/sound: nothing answers at 127.0.0.1:{port}" in said.err
    assert "Traceback" not in said.err
    assert WRONG not in said.out + said.err


def test_a_password_on_the_command_line_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "--device", f"http://user:{WRONG}@127.0.0.1:{free_port()}/sound"]) == EXIT_SOURCE_LOST
    assert "all users of this computer can read the password" in capsys.readouterr().err
    os.environ["SOUND"] = f"http://user:{WRONG}@127.0.0.1:{free_port()}/sound"
    try:
        run(["devices", "--device", "$SOUND"])
    finally:
        del os.environ["SOUND"]
    assert "can read the password" not in capsys.readouterr().err


def test_what_an_address_sends_is_told(sender: PcmSender, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "--device", sender.url, "--json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out) == {
        "name": sender.url, "codec": "pcm_s16le", "sample_rate": RATE, "channels": 1,
    }  # fmt: skip
    assert run(["devices", "--device", sender.url, "--channel", "1"]) == EXIT_USAGE
    assert "has no channel 1" in capsys.readouterr().err


def test_a_setup_takes_no_password_that_it_would_have_to_keep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["setup", "--yes", "--folder", str(tmp_path / "fan"), "--device", f"http://u:{WRONG}@127.0.0.1:1/"]
    assert run(words) == EXIT_USAGE
    said = capsys.readouterr()
    assert "put the address into a file" in said.err
    assert WRONG not in said.out + said.err
    assert not any(WRONG in text for _, text in texts(tmp_path))


def test_a_setup_connects_to_the_address_in_a_file_and_checks_the_sound(
    tmp_path: Path, sender: PcmSender, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its later steps, which need recordings, are those of a microphone."""
    file, folder = tmp_path / "press.address", tmp_path / "press"
    file.write_text(sender.url)
    words = ["setup", "--yes", "--folder", str(folder), "--recordings", str(tmp_path / "none")]
    assert run([*words, "--set", f"audio.url_file={file}"]) == EXIT_USAGE
    said = capsys.readouterr()
    assert f"{sender.url}: pcm_s16le, {RATE} samples a second, 1 channel." in said.out
    assert "peak" in said.out
    assert "none: is not a folder of recordings" in said.err
