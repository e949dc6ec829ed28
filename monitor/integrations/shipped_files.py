"""The files that come with the monitor for other programs: Prometheus, Grafana, systemd, containers."""

from __future__ import annotations

from importlib.resources import files

DESCRIPTIONS = {
    "prometheus-scrape.yml": "for prometheus.yml: where the metrics are",
    "prometheus-alerts.yml": "alert rules for Prometheus",
    "grafana-dashboard.json": "dashboard for Grafana",
    "monitor@.service": "unit for systemd",
    "without-torch.txt": "for uv: an installation that only listens, without PyTorch",
    "Containerfile": "builds a container image of the monitor",
    "compose.yaml": "containers: the monitor with PostgreSQL, an MQTT broker, Prometheus and Grafana",
}


def content(name: str) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: if there is no file of this name.
    """
    return (files(__package__) / "files" / name).read_bytes()
