"""What all other packages share: errors, array types and backends, events, snapshots, file writing, text, threads."""

__all__ = ["array_backend", "atomic_io", "errors", "events", "snapshot", "text", "thread_pool", "types"]
