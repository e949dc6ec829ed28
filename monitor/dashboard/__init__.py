"""The live view: a frozen Snapshot in, rich renderables out. Knows nothing of audio or torch."""
