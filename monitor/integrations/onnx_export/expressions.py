"""ONNX graphs written as array expressions.

A `Tensor` stands for a value in a `Graph`; its operators and methods add the nodes that compute another one, as in
numpy: `(power.clip(low=floor).log() * scale - mean) * inverse_deviation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import helper, numpy_helper

# Old enough for every version of onnxruntime that the extra `onnx` allows, and for most other runtimes.
OPSET, IR_VERSION = 17, 8

Shape = Sequence[int | str]  # a name stands for a length that differs from call to call


class Graph:
    """An ONNX graph that is being written. Its nodes are named by the stage that they belong to."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Names the nodes and constants that are added in the block `name/…`."""
        before, self._stage = self._stage, f"{self._stage}{name}/"
        try:
            yield
        finally:
            self._stage = before

    def input(self, name: str, shape: Shape, dtype: DTypeLike, explained: str) -> Tensor:
        """An input of the graph."""
        self._inputs.append(helper.make_tensor_value_info(name, _element_type(dtype), shape, explained))
        return Tensor(self, name, np.dtype(dtype))

    def output(self, name: str, tensor: Tensor, shape: Shape, explained: str) -> None:
        """Makes a tensor an output of the graph."""
        self._nodes.append(helper.make_node("Identity", [tensor.name], [name], name=f"outputs/{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, _element_type(tensor.dtype), shape, explained))

    def constant(self, name: str, values: NDArray[Any]) -> Tensor:
        """An array of the model, as a named initializer."""
        name = self._stage + name
        if name in self._constants:
            raise ValueError(f"there are two constants {name}")
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
        return Tensor(self, name, values.dtype)

    def number(self, value: ArrayLike, dtype: DTypeLike = np.int64) -> Tensor:
        """A number, or a few, as an initializer that all nodes share."""
        values = np.asarray(value, dtype)
        name = f"{values.dtype}_{values.tolist()}".replace(" ", "")
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(values, name)
        return Tensor(self, name, values.dtype)

    def node(self, kind: str, *inputs: Tensor, dtype: DTypeLike, **attributes: Any) -> Tensor:
        """Adds a node with one output of type `dtype`."""
        name = f"{self._stage}{kind}_{len(self._nodes)}"
        names = [tensor.name for tensor in inputs]
        self._nodes.append(helper.make_node(kind, names, [name], name=name, **attributes))
        return Tensor(self, name, np.dtype(dtype))

    def concat(self, tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
        """Tensors of one type, one after the other along `axis`."""
        return self.node("Concat", *tensors, dtype=tensors[0].dtype, axis=axis) if len(tensors) > 1 else tensors[0]

    def arange(self, count: Tensor | int) -> Tensor:
        """0, 1, … count - 1."""
        count = count if isinstance(count, Tensor) else self.number(count)
        return self.node("Range", self.number(0), count, self.number(1), dtype=np.int64)

    def model(self, name: str, metadata: dict[str, str]) -> onnx.ModelProto:
        """The finished model, checked.

        Raises:
            onnx.checker.ValidationError: if it is not valid.
        """
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="acoustic-monitor")
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value in a graph: its name, and the type of its elements."""

    graph: Graph
    name: str
    dtype: np.dtype[Any]

    # Arithmetic. A number on the right has the type of the tensor.

    def __add__(self, other: Tensor | float) -> Tensor:
        return self._with("Add", other)

    def __sub__(self, other: Tensor | float) -> Tensor:
        return self._with("Sub", other)

    def __mul__(self, other: Tensor | float) -> Tensor:
        return self._with("Mul", other)

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return self._with("Div", other)

    def __floordiv__(self, other: Tensor | int) -> Tensor:
        """Division of whole numbers that are not negative."""
        return self._with("Div", other)

    def __matmul__(self, other: Tensor) -> Tensor:
        return self._with("MatMul", other)

    def __and__(self, other: Tensor) -> Tensor:
        return self._with("And", other)

    def __lt__(self, other: Tensor | float) -> Tensor:
        return self._with("Less", other, np.bool_)

    def __gt__(self, other: Tensor | float) -> Tensor:
        return self._with("Greater", other, np.bool_)

    def __ge__(self, other: Tensor | float) -> Tensor:
        return self._with("GreaterOrEqual", other, np.bool_)

    def equal(self, other: Tensor | float) -> Tensor:
        """Whether elements are equal."""
        return self._with("Equal", other, np.bool_)

    def minimum(self, other: Tensor | float) -> Tensor:
        """The lower of two elements."""
        return self._with("Min", other)

    def maximum(self, other: Tensor | float) -> Tensor:
        """The higher of two elements."""
        return self._with("Max", other)

    def abs(self) -> Tensor:
        """Absolute values."""
        return self._apply("Abs")

    def log(self) -> Tensor:
        """Natural logarithms."""
        return self._apply("Log")

    def exp(self) -> Tensor:
        """Exponentials."""
        return self._apply("Exp")

    def relu(self) -> Tensor:
        """Elements, with 0 for negative ones."""
        return self._apply("Relu")

    def where(self, condition: Tensor, otherwise: Tensor | float) -> Tensor:
        """Elements where the condition holds, others elsewhere."""
        return self.graph.node("Where", condition, self, self._operand(otherwise), dtype=self.dtype)

    def to(self, dtype: DTypeLike) -> Tensor:
        """Elements as another type."""
        return self.graph.node("Cast", self, dtype=dtype, to=_element_type(dtype))

    # Reductions along an axis

    def mean(self, axis: int, *, keepdims: bool = False) -> Tensor:
        """Means along an axis."""
        return self._apply("ReduceMean", axes=[axis], keepdims=int(keepdims))

    def max(self, axis: int) -> Tensor:
        """The highest along an axis."""
        return self._apply("ReduceMax", axes=[axis], keepdims=0)

    def min(self, axis: int) -> Tensor:
        """The lowest along an axis."""
        return self._apply("ReduceMin", axes=[axis], keepdims=0)

    def sum(self, axis: int) -> Tensor:
        """Sums along an axis."""
        return self._apply("ReduceSum", self.graph.number([axis]), keepdims=0)

    def argmin(self, axis: int) -> Tensor:
        """The index of the lowest along an axis, of several the first."""
        return self.graph.node("ArgMin", self, dtype=np.int64, axis=axis, keepdims=0)

    # Shapes and indices

    def length(self) -> Tensor:
        """The length along axis 0, as a scalar."""
        shape = self.graph.node("Shape", self, dtype=np.int64, start=0, end=1)
        return shape.squeeze(0)

    def squeeze(self, axis: int) -> Tensor:
        """Without an axis of length 1."""
        return self._apply("Squeeze", self.graph.number([axis]))

    def unsqueeze(self, axis: int) -> Tensor:
        """With another axis of length 1."""
        return self._apply("Unsqueeze", self.graph.number([axis]))

    def reshape(self, *lengths: int) -> Tensor:
        """With other axes; one length can be -1."""
        return self._apply("Reshape", self.graph.number(lengths))

    def transpose(self) -> Tensor:
        """With the two axes exchanged."""
        return self._apply("Transpose", perm=[1, 0])

    def part(self, start: Tensor | int, stop: Tensor | int | None = None, axis: int = 0) -> Tensor:
        """Elements from `start` to before `stop` along an axis."""
        number = self.graph.number
        first, last = (
            bound.unsqueeze(0)
            if isinstance(bound, Tensor)
            else number([np.iinfo(np.int64).max if bound is None else bound])
            for bound in (start, stop)
        )
        return self._apply("Slice", first, last, number([axis]))

    def columns(self, where: slice) -> Tensor:
        """Elements of a part of the last axis."""
        return self.part(where.start, where.stop, axis=-1)

    def take(self, indices: Tensor, axis: int = 0) -> Tensor:
        """Elements with these indices along an axis."""
        return self._apply("Gather", indices, axis=axis)

    def sliding(self, count: Tensor, size: int) -> Tensor:
        """`count` overlapping segments of `size` elements along axis 0, each one element later: (count, size, …)."""
        graph = self.graph
        return self.take(graph.arange(count).unsqueeze(1) + graph.arange(size))

    def _with(self, kind: str, other: Tensor | float, dtype: DTypeLike | None = None) -> Tensor:
        return self.graph.node(kind, self, self._operand(other), dtype=dtype or self.dtype)

    def _apply(self, kind: str, *others: Tensor, **attributes: Any) -> Tensor:
        return self.graph.node(kind, self, *others, dtype=self.dtype, **attributes)

    def _operand(self, other: Tensor | float) -> Tensor:
        return other if isinstance(other, Tensor) else self.graph.number(other, self.dtype)


def _element_type(dtype: DTypeLike) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
