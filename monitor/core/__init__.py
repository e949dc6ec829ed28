"""What all other packages share: errors, array types and backends, events, snapshots, file writing, text, threads."""

__all__ = [
    "appended_file",
    "arguments",
    "array_backend",
    "atomic_io",
    "background_worker",
    "errors",
    "events",
    "free_memory",
    "fsspec_store",
    "object_address",
    "object_errors",
    "object_store",
    "parallel_jobs",
    "snapshot",
    "special_files",
    "text",
    "thread_pool",
    "types",
    "user_name",
]
