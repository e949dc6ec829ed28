"""The container files work with this program: what they name is there, and what they start is started as written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from paho.mqtt import MQTTException, publish

from monitor.cli.main import cli
from monitor.config.loader import load_config
from monitor.core.errors import EXIT_FAILURE
from monitor.integrations.shipped_files import DESCRIPTIONS, content
from support.broker import broker, needs_mosquitto
from support.prometheus_server import needs_prometheus

ROOT = Path(__file__).parents[3]
IMAGE = "acoustic-monitor:local"


@pytest.fixture
def compose() -> Any:
    """compose.yaml."""
    return yaml.safe_load(content("compose.yaml"))


@pytest.fixture
def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile and their arguments, on one line each."""
    text = re.sub(r"^\s*#.*\n", "", content("Containerfile").decode(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in text.splitlines() if line]


def test_the_commands_in_them_can_be_typed_and_their_settings_are_real(compose: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    own = [one for one in compose["services"].values() if one["image"] == IMAGE]
    assert len(own) == 2
    for service in own:
        name, *arguments = service["command"]
        command = cli.get_command(click.Context(cli), name)
        assert command
        parsed = command.make_context(name, list(arguments)).params
        overrides = [argument for before, argument in pairwise(arguments) if before == "--set"]
        settings = load_config(tmp_path / "config.yaml", overrides=overrides)
        assert str(parsed["config_file"]) == "config.yaml"
        if overrides:
            assert settings.metrics.address == "0.0.0.0"
            assert settings.mqtt.broker in compose["services"]
            scraped = yaml.safe_load(compose["configs"]["prometheus.yml"]["content"])["scrape_configs"]
            assert [one["static_configs"] for one in scraped] == [[{"targets": [f"monitor:{settings.metrics.port}"]}]]


def test_the_variables_that_they_set_are_read(compose: Any) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "monitor").rglob("*.py"))
    for name in compose["services"]["monitor"]["environment"]:
        assert f'"{name}"' in sources or name in ("PGPASSWORD", "TZ"), name  # these two: the libraries'


def test_every_file_that_they_name_is_shipped(compose: Any, instructions: list[tuple[str, str]]) -> None:
    files = {one["file"].removeprefix("./") for one in compose["configs"].values() if "file" in one}
    assert files == {"prometheus-alerts.yml", "grafana-dashboard.json"}
    assert files <= set(DESCRIPTIONS)
    used = {one["source"] for service in compose["services"].values() for one in service.get("configs", ())}
    assert used == set(compose["configs"])
    for name, words in instructions:
        if name == "COPY" and not words.startswith("--from"):
            assert all((ROOT / source).exists() for source in words.split()[:-1]), words


def test_no_secret_is_in_them_and_nothing_is_reached_from_outside(compose: Any) -> None:
    for service in compose["services"].values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                assert re.fullmatch(r"\$\{[A-Z_]+:\?[a-z .]+\}", value), name


def test_an_image_without_training_leaves_out_nothing_but_pytorch(
    instructions: list[tuple[str, str]], tmp_path: Path
) -> None:
    """The commands of the Containerfile find PyTorch among the dependencies as they are written now."""
    [command] = [words for name, words in instructions if name == "RUN" and "torch.txt" in words]
    with (ROOT / "pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    pytorch = [one for one in dependencies if one.startswith("torch")]
    for training, left_out in (("no", [one.partition("=")[0] for one in pytorch]), ("yes", [])):
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        shutil.copy(ROOT / "monitor/integrations/files/without-torch.txt", tmp_path)
        subprocess.run(
            ["bash", "-ec", command.replace("/opt/uv/bin/uv", "echo")],
            cwd=tmp_path, env={"TRAINING": training, "PATH": "/usr/bin:/bin"}, check=True,
        )  # fmt: skip
        named = (tmp_path / "torch.txt").read_text().splitlines()
        assert [line.replace(" ", "") for line in named] == pytorch
        lines = (tmp_path / "without-torch.txt").read_text().splitlines()
        assert [line.partition(" ;")[0] for line in lines if not line.startswith("#")] == left_out


def test_without_pytorch_a_command_that_needs_it_says_so_in_a_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from monitor.cli.main import run\n"
        "sys.exit(run(['train', '.', '--out', 'out']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_FAILURE
    assert done.stderr.splitlines()[-1].startswith("monitor: PyTorch is not installed here")


@needs_mosquitto
def test_the_broker_of_the_containers_takes_its_password_and_no_other(compose: Any, tmp_path: Path) -> None:
    service = compose["services"]["mosquitto"]
    script = service["command"][2].replace("$$", "$")
    setting_up = script[: script.index("exec")].replace("/mosquitto/data", str(tmp_path))
    subprocess.run(["sh", "-ec", setting_up], env={"MQTT_PASSWORD": "right", "PATH": "/usr/bin:/bin"}, check=True)
    lines = compose["configs"]["mosquitto.conf"]["content"].replace("/mosquitto/data", str(tmp_path)).splitlines()
    assert lines.pop(0) == "listener 1883"
    with broker(tmp_path, lines) as made:
        publish.single("x", "y", **where(made.port), auth={"username": "monitor", "password": "right"})
        for wrong in ({"username": "monitor", "password": "wrong"}, None):
            with pytest.raises(MQTTException):
                publish.single("x", "y", **where(made.port), auth=wrong)


def where(port: int) -> dict[str, Any]:
    """The address of a broker on this computer."""
    return {"hostname": "127.0.0.1", "port": port}


@needs_prometheus
def test_prometheus_takes_the_settings_of_the_containers(compose: Any, tmp_path: Path) -> None:
    (tmp_path / "prometheus-alerts.yml").write_bytes(content("prometheus-alerts.yml"))
    (tmp_path / "prometheus.yml").write_text(compose["configs"]["prometheus.yml"]["content"])
    subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, check=True, capture_output=True)
