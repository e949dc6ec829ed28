"""Section "model": the time of the autoencoder for a window, beside the same network in torch and onnxruntime."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monitor.bench.targets import Target
from monitor.bench.timing import Section, time_all
from monitor.bundle.bundle import Bundle
from monitor.core.array_backend import sliding_rows
from monitor.core.thread_pool import single_threaded_blas
from monitor.core.types import FloatArray
from monitor.model.folded_inference import FoldedLayer, folded_layers, reconstruct
from monitor.model.network import Compute

SHAPES = ((1, 1), (10, 1), (1, 10), (64, 1), (20, 50), (1, 400))  # streams, and windows of each, computed at once
TIMED_S = 0.05  # of each timing at least
INT8_AIM = 3.0  # times the plain network in float32, in portions
PORTION = 10  # windows at once from which on the rivals are to be overtaken

Network = Callable[[FloatArray], object]  # windows (B, window_size) -> reconstructions


def measure(bundle: Bundle) -> Section:
    """Measures a window on one thread: ours with residual and error, the others with the reconstruction alone."""
    features = bundle.config.features
    ours = {precision: Compute.on("cpu", precision).network(bundle.weights, features) for precision in _precisions()}
    rivals = _rivals(folded_layers(bundle.weights))
    random = np.random.default_rng(0)
    figures: dict[str, Any] = {}
    lines = [
        "µs a window on one thread, streams × windows at once; others give no residual or error; onnx: onnxruntime",
        _row("", [*(f"ours, {name}" for name in ours), *rivals]),
    ]
    ratios: dict[tuple[str, str], list[float]] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with single_threaded_blas():
            for streams, count in SHAPES:
                shape = (streams, features.window_frames - 1 + count, features.n_mels)
                frames = random.standard_normal(shape, np.float32)
                windows = np.array(sliding_rows(frames, features.window_frames).reshape(-1, features.window_size))
                found = (
                    np.empty((streams, count, features.n_mels), np.float32),
                    np.empty((streams, count, 1), np.float32),
                )
                candidates: dict[str, Callable[[], object]] = {
                    f"ours, {name}": partial(network, frames, *found) for name, network in ours.items()
                } | {name: partial(network, windows) for name, network in rivals.items()}
                repeated = {name: _repeated(run) for name, run in candidates.items()}
                timings = time_all({name: run for name, (run, _) in repeated.items()})
                each = {
                    name: 1e6 * timings.seconds(name) / repetitions / len(windows)
                    for name, (_, repetitions) in repeated.items()
                }
                figures[f"{streams} x {count}"] = each
                lines.append(_row(f"{streams} × {count}", [f"{microseconds:.1f}" for microseconds in each.values()]))
                for own in ours:
                    for rival in rivals:
                        scale = repeated[f"ours, {own}"][1] / repeated[rival][1]
                        size = "singly" if len(windows) < PORTION else "in portions"
                        ratios.setdefault((f"{own} {size}", rival), []).append(
                            scale * timings.ratio(rival, f"ours, {own}")
                        )
    finally:
        torch.set_num_threads(threads)
    targets = [
        Target(f"the network in {what}", min(found), _aim(what, rival), f"times {rival}, at worst")
        for (what, rival), found in ratios.items()
        if what.split()[0] in rival or rival == "numpy, float32"
    ]
    return Section(figures, lines, targets)


def _aim(precision: str, rival: str) -> float:
    return INT8_AIM if precision == "int8 in portions" and rival == "numpy, float32" else 1.0


def _row(first: str, columns: Iterable[str]) -> str:
    return f"{first:7}" + "".join(f"{column:>16}" for column in columns)


def _precisions() -> list[str]:
    return ["float32", *(["int8"] if importlib.util.find_spec("onnxruntime") else [])]


def _repeated(run: Callable[[], object]) -> tuple[Callable[[], object], int]:
    """A function that calls `run` often enough to be timed, and how often."""
    once = time_all({"once": run}, rounds=1).seconds("once")
    repetitions = max(1, round(TIMED_S / max(once, 1e-6)))

    def repeat() -> None:
        for _ in range(repetitions):
            run()

    return repeat, repetitions


def _rivals(layers: list[FoldedLayer]) -> Mapping[str, Network]:
    """The plain network, from windows to reconstructions, by other libraries; onnxruntime if it is installed."""
    tensors = [(torch.from_numpy(weight), torch.from_numpy(bias), relu) for weight, bias, relu in layers]

    def in_torch(windows: FloatArray) -> object:
        x = torch.from_numpy(windows)
        for weight, bias, relu in tensors:
            x = torch.addmm(bias, x, weight)
            x = x.relu_() if relu else x
        return x

    rivals: dict[str, Network] = {"numpy, float32": partial(reconstruct, layers), "torch, float32": in_torch}
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        rivals |= {
            "onnx, float32": _in_onnxruntime(layers),
            "onnx, int8": _in_onnxruntime(layers, int8=True),
        }
    return rivals


def _in_onnxruntime(layers: list[FoldedLayer], *, int8: bool = False) -> Network:
    """The network in onnxruntime; in int8 as its own tool quantizes it, with scales found anew in each call."""
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    nodes, constants, x = [], [], "windows"
    for number, (weight, bias, relu) in enumerate(layers):
        constants += [
            numpy_helper.from_array(weight, f"weight_{number}"),
            numpy_helper.from_array(bias, f"bias_{number}"),
        ]
        nodes.append(helper.make_node("MatMul", [x, f"weight_{number}"], [f"product_{number}"]))
        nodes.append(helper.make_node("Add", [f"product_{number}", f"bias_{number}"], [f"sum_{number}"]))
        x = f"sum_{number}"
        if relu:
            nodes.append(helper.make_node("Relu", [x], [f"relu_{number}"]))
            x = f"relu_{number}"
    size, kind = layers[0].weight.shape[0], onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, ["n", size]) for name in ("windows", x)]
    graph = helper.make_graph(nodes, "autoencoder", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, plain)
        if int8:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantized = Path(folder) / "int8.onnx"
            logging.disable()  # it recommends steps that change nothing here
            try:
                quantize_dynamic(plain, quantized, weight_type=QuantType.QInt8)
            finally:
                logging.disable(logging.NOTSET)
            plain = quantized
        session = onnxruntime.InferenceSession(plain.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda windows: session.run(None, {"windows": windows})
