"""`monitor export` writes a model in a format that other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.options import FILE
from monitor.cli.output import say
from monitor.core.text import printable


@click.command()
@click.argument("bundle", type=FILE)
@click.option(
    "--onnx",
    type=FILE,
    required=True,
    metavar="FILE",
    help="Write the model to this ONNX file. An older one is replaced.",
)
def export(bundle: Path, onnx: Path) -> None:
    """Export a model for other programs, as an ONNX file.

    The file computes residual, error and anomaly score from mel frames. Settings, standardization and limits are in
    its metadata. Before it is written, onnxruntime has to compute the same scores from it as this program.

    \b
    Examples:
      monitor export runs/pump/model.safetensors --onnx pump.onnx
    """
    from monitor.bundle.bundle_io import load_bundle
    from monitor.core.atomic_io import require_folder, require_other_file
    from monitor.integrations.onnx_export.export import export_onnx

    require_folder(onnx)
    require_other_file([onnx], [bundle])
    exported = export_onnx(load_bundle(bundle), onnx)
    say(
        f"{printable(str(onnx))}: {exported.bytes / 1e6:.1f} MB. Tested: onnxruntime computes this program's results "
        f"from it, to {exported.difference:.0e} of their value.\nHow to use it: monitor guide export"
    )
