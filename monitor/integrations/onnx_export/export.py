"""`monitor export`: writes a model as an ONNX file, which onnxruntime and other programs can compute."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from monitor.bundle.bundle import Bundle
from monitor.core.atomic_io import write_atomically
from monitor.core.errors import ConfigError, MonitorError

TOLERANCE = 1e-4  # largest relative difference between onnxruntime's results and the program's


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: its size, and how far its results are from the program's, relative to these."""

    bytes: int
    difference: float


def export_onnx(bundle: Bundle, path: Path) -> Exported:
    """Writes a model as an ONNX file, after checking that onnxruntime computes the program's results from it.

    Raises:
        ConfigError: if onnx or onnxruntime is not installed.
        MonitorError: if the results differ, or if the file cannot be written.
    """
    for library in ("onnx", "onnxruntime"):
        try:
            import_module(library)
        except ImportError:
            raise ConfigError(
                f"an ONNX file needs the library {library}: pip install 'acoustic-monitor[onnx]'."
            ) from None
    from monitor.integrations.onnx_export.model_graph import onnx_model
    from monitor.integrations.onnx_export.verification import largest_difference

    content = onnx_model(bundle).SerializeToString()
    difference = largest_difference(bundle, content)
    if not difference <= TOLERANCE:
        raise MonitorError(
            f"{path}: was not written, because onnxruntime here computes other results from it than this program "
            f"(they differ by {difference:.1g}; {TOLERANCE:g} is allowed): try another version of onnxruntime."
        )
    write_atomically(path, content)
    return Exported(len(content), difference)
