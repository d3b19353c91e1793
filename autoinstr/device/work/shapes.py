"""Compute the cost of an operator's call from what a profile recorded of its inputs."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.device.work.formulas import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.device.work.formulas import Formula, Shape

LIMIT = 1 << 62  # larger than what a database can hold
# Bytes of an element, by the names that Kineto and torch_npu write.
_ELEMENT_BYTES = {
    "double": 8,
    "float": 4,
    "c10::Half": 2,
    "c10::BFloat16": 2,
    "long int": 8,
    "long": 8,
    "int": 4,
    "short": 2,
    "signed char": 1,
    "unsigned char": 1,
    "bool": 1,
    "c10::complex<double>": 16,
    "c10::complex<float>": 8,
}
_SMALL_FLOAT = "c10::Float8"


class CallCost(NamedTuple):
    """The cost of a call; None where the profile does not say it.

    `operand_bytes` counts each tensor that the operator reads or writes once."""

    flops: int | None
    operand_bytes: int | None


UNKNOWN_COST = CallCost(None, None)


def compute_cost(formula: Formula, dims: Any, types: Any, constants: Any) -> CallCost:
    """Return the cost of a call. The inputs are those of the profile, and may be anything."""
    if not isinstance(dims, list):
        return UNKNOWN_COST
    shapes = [_read_shape(entry) for entry in dims]
    texts = constants if isinstance(constants, list) else []
    try:
        flops, result_elements = formula.compute(Call(shapes, texts))
        operands = [shapes[position] for position in formula.operands if position < len(shapes)]
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, ZeroDivisionError):
        return UNKNOWN_COST
    if not 0 <= flops < LIMIT:
        return UNKNOWN_COST
    operand_bytes = _count_bytes(operands, formula.operands, types, result_elements)
    return CallCost(flops, operand_bytes)


def _read_shape(entry: Any) -> Shape:
    """Return the shape of an input; () for one that is no tensor, or that is invalid."""
    if isinstance(entry, list) and all(type(size) is int and size >= 0 for size in entry):
        return tuple(entry)
    return ()


def _count_bytes(
    operands: Sequence[Shape], positions: Sequence[int], types: Any, result_elements: int
) -> int | None:
    if not isinstance(types, list):
        return None
    total = 0
    element_bytes = None
    for shape, position in zip(operands, positions):
        size = _find_element_bytes(types[position]) if position < len(types) else None
        if not shape:
            continue  # a tensor that was not given
        if size is None:
            return None
        element_bytes = size if element_bytes is None else element_bytes
        total += size * prod(shape)
    if element_bytes is None:
        return None
    total += element_bytes * result_elements
    return total if 0 <= total < LIMIT else None


def _find_element_bytes(name: Any) -> int | None:
    if isinstance(name, str) and name.startswith(_SMALL_FLOAT):
        return 1
    return _ELEMENT_BYTES.get(name) if isinstance(name, str) else None
