"""Writes small ONNX models in memory, as onnxruntime loads them, without the package onnx.

A model is a protobuf message (https://onnx.ai/onnx/api/classes.html): a sequence of numbered fields, each a number or
bytes, which may be a message again. The few messages and fields that are needed here are written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Old enough for every version of onnxruntime that the extra `int8` allows.
OPSET, IR_VERSION = 17, 8
_TYPES = {np.dtype(name): number for name, number in (("float32", 1), ("uint8", 2), ("int8", 3), ("int64", 7))}
_INT, _INTS = 2, 7  # types of attributes
_VARINT, _BYTES = 0, 2  # how the content of a field is coded

Field = tuple[int, "int | str | bytes"]  # number and content


class OnnxGraph:
    """A graph that is being written. Values are known by their names, which its methods return.

    Args:
        name: of its only input.
        width: its number of columns; the number of its rows may be different in each call.
    """

    def __init__(self, name: str, width: int) -> None:
        self.input = name
        self._inputs = [(11, _value_info(name, width))]
        self._nodes: list[Field] = []
        self._constants: list[Field] = []

    def constant(self, values: NDArray[Any] | np.generic) -> str:
        """An array of float32, uint8, int8 or int64."""
        name = f"constant_{len(self._constants)}"
        values = np.asarray(values)
        dimensions = [(1, length) for length in values.shape]
        content = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        tensor = _message([*dimensions, (2, _TYPES[values.dtype]), (8, name), (9, content)])
        self._constants.append((5, tensor))
        return name

    def node(self, kind: str, *inputs: str, **attributes: int | Sequence[int]) -> str:
        """The result of an operator of ONNX, which has one output."""
        name = f"{kind}_{len(self._nodes)}"
        fields: list[Field] = [*((1, one) for one in inputs), (2, name), (3, name), (4, kind)]
        for attribute, value in attributes.items():
            fields.append((5, _attribute(attribute, value)))
        self._nodes.append((1, _message(fields)))
        return name

    def model(self, output: str, width: int) -> bytes:
        """The model with this value, which has `width` columns, as its only output."""
        graph = _message(
            [*self._nodes, (2, "graph"), *self._constants, *self._inputs, (12, _value_info(output, width))]
        )
        return _message([(1, IR_VERSION), (2, "acoustic-monitor"), (7, graph), (8, _message([(2, OPSET)]))])


def _value_info(name: str, width: int) -> bytes:
    """The name and type of a matrix of float32 with `width` columns and any number of rows."""
    shape = _message([(1, _message([(2, "rows")])), (1, _message([(1, width)]))])
    tensor_type = _message([(1, _TYPES[np.dtype(np.float32)]), (2, shape)])
    return _message([(1, name), (2, _message([(1, tensor_type)]))])


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _message([(1, name), (3, value), (20, _INT)])
    return _message([(1, name), *((8, one) for one in value), (20, _INTS)])


def _message(fields: Iterable[Field]) -> bytes:
    """The fields of a protobuf message, one after another."""
    coded: list[bytes] = []
    for number, content in fields:
        if isinstance(content, int):
            coded.append(_varint(number << 3 | _VARINT) + _varint(content))
        else:
            content = content.encode() if isinstance(content, str) else content
            coded += [_varint(number << 3 | _BYTES), _varint(len(content)), content]
    return b"".join(coded)


def _varint(number: int) -> bytes:
    """A whole number, seven bits a byte, the lowest first; a negative one as its 64-bit two's complement."""
    number &= (1 << 64) - 1
    coded = bytearray()
    while number > 0x7F:
        coded.append(number & 0x7F | 0x80)
        number >>= 7
    coded.append(number)
    return bytes(coded)
