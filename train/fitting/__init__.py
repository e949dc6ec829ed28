"""The training loop, with learning rate schedule, checkpoints, precision, several processes, and CUDA graphs."""

__all__ = [
    "checkpoint",
    "cuda_graph",
    "distributed",
    "loop",
    "precision",
    "process_group",
    "random_numbers",
    "schedule",
    "whole_batch",
    "working_copy",
]
