"""Live values and events for other programs: MQTT, Home Assistant, Prometheus, Grafana, ONNX."""

__all__ = [
    "home_assistant",
    "live_values",
    "metrics_collector",
    "metrics_server",
    "metrics_sink",
    "metrics_tally",
    "mqtt_feed",
    "mqtt_link",
    "mqtt_outbox",
    "mqtt_payloads",
    "mqtt_sink",
    "mqtt_talk",
    "mqtt_topics",
    "mqtt_verdicts",
    "onnx_export",
    "shipped_files",
]
