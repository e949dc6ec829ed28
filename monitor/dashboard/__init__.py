"""The live view: draws Snapshots on a terminal, or writes them as log lines. Knows nothing of audio or models."""

__all__ = ["app", "keyboard", "layout", "plain_log", "render", "svg_export", "widgets"]
