"""The settings: their schema, presets, and how they are read from config.yaml and the command line."""

__all__ = ["improving", "loader", "messages", "plant", "presets", "schema", "setting_types", "template", "yaml_source"]
