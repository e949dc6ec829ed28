"""The settings: their schema, presets, and how they are read from config.yaml and the command line."""

__all__ = [
    "fleet",
    "improving",
    "loader",
    "messages",
    "network_address",
    "plant",
    "presets",
    "schema",
    "setting_types",
    "sources",
    "template",
    "yaml_source",
]
