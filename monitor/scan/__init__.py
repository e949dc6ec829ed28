"""Searching any amount of recordings with a model, on the processors of one computer or of a cluster."""

__all__ = [
    "archive",
    "files",
    "findings",
    "joining",
    "overview",
    "page",
    "pictures",
    "results",
    "scan",
    "scoring",
    "seconds",
    "survey",
    "tables",
    "task",
]
