"""A model as an ONNX graph: mel frames to residual, error and score, for programs that are not this one."""

__all__ = [
    "export",
    "expressions",
    "frame_stages",
    "metadata",
    "model_graph",
    "rolling_stages",
    "score_stages",
    "verification",
]
