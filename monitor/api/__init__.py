"""The public Python API, as `import monitor` offers it: models, streams, results as numpy arrays, and training."""

__all__ = ["model", "result", "stream", "training"]
