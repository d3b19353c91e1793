"""FLOPs by operator, as torch.utils.flop_counter counts them: two for each multiply-add.

Bias, masks and causality are ignored, as there. Only operators that torch's dispatcher counts have
a formula; what they call inside is not counted again (attribution.py). torch.utils.flop_counter
(2.13) does not count `LATER_OPERATORS`, which do the same work. Like it, we do not count the fused
attention of a CPU: both sums are equal for every run on a CPU.

A formula gets the shapes and the constants of a call by position, and returns its FLOPs and the
elements of its results. It raises ValueError, IndexError or TypeError if these are not complete.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Callable

Shape = tuple[int, ...]


class Call(NamedTuple):
    """The inputs of an operator by position: shapes of tensors, constants as text ("" for none)."""

    shapes: Sequence[Shape]
    constants: Sequence[str]


class Cost(NamedTuple):
    """FLOPs, and the number of elements of all results."""

    flops: int
    result_elements: int


class Formula(NamedTuple):
    """How the cost of an operator is computed. `operands` are the positions of the tensors that it
    reads."""

    compute: Callable[[Call], Cost]
    operands: tuple[int, ...]


def _multiply(left: Shape, right: Shape) -> Cost:
    *batch, rows, inner = left
    *right_batch, right_inner, columns = right
    if (batch, inner) != (right_batch, right_inner):
        raise ValueError(left, right)
    elements = prod(batch) * rows * columns
    return Cost(2 * elements * inner, elements)


def _make_product(left: int, right: int) -> Formula:
    """Return the formula of a (batched) product of the matrices at two positions."""
    operands = tuple(range(right + 1))
    return Formula(lambda call: _multiply(call.shapes[left], call.shapes[right]), operands)


def _compute_grouped(call: Call) -> Cost:
    """Compute a product of which each row, or each part of the inner size, has its own group."""
    left, right = call.shapes[:2]
    if len(left) == len(right) == 3:
        return _multiply(left, right)
    rows, inner, columns = left[-2], left[-1], right[-1]
    if inner != right[-2]:
        raise ValueError(left, right)
    groups = left[0] if len(left) == 3 else 1
    if len(left) == len(right):  # the groups are parts of the inner size
        groups = call.shapes[2][0]
    return Cost(2 * rows * inner * columns, groups * rows * columns)


def _compute_linear(call: Call) -> Cost:
    *batch, inner = call.shapes[0]
    columns, weight_inner = call.shapes[1]
    if inner != weight_inner:
        raise ValueError(call.shapes)
    elements = prod(batch) * columns
    return Cost(2 * elements * inner, elements)


class _Constants(NamedTuple):
    """The positions of a convolution's constants; -1 for one that the operator does not have."""

    stride: int
    padding: int
    dilation: int
    transposed: int = -1
    output_padding: int = -1


def _read_numbers(call: Call, position: int, count: int, default: int) -> list[int]:
    """Return a constant such as "[2, 2]" with `count` numbers; one number stands for all."""
    if position < 0:
        return [default] * count
    numbers = [int(part) for part in call.constants[position].strip("[]()").split(",")]
    if len(numbers) == 1:
        numbers *= count
    if len(numbers) != count:
        raise ValueError(call.constants[position])
    return numbers


def _convolve(places: Shape, weight: Shape, batch: int) -> int:
    """Return the FLOPs of a filter at some places of a batch."""
    return 2 * batch * prod(places) * prod(weight)


def _make_convolution(positions: _Constants) -> Formula:
    def compute(call: Call) -> Cost:
        values, weight = call.shapes[:2]
        size, filter_size = values[2:], weight[2:]
        if not size or len(size) != len(filter_size):
            raise ValueError(call.shapes)
        count = len(size)
        strides = _read_numbers(call, positions.stride, count, 1)
        paddings = _read_numbers(call, positions.padding, count, 0)
        dilations = _read_numbers(call, positions.dilation, count, 1)
        sizes = zip(size, filter_size, strides, paddings, dilations)
        if positions.transposed >= 0 and call.constants[positions.transposed] == "True":
            extra = _read_numbers(call, positions.output_padding, count, 0)
            result = tuple(
                (length - 1) * stride - 2 * padding + dilation * (taps - 1) + added + 1
                for (length, taps, stride, padding, dilation), added in zip(sizes, extra)
            )
            groups = int(call.constants[positions.output_padding + 1])
            channels, places = weight[1] * groups, size
        else:
            result = tuple(
                (length + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
                for length, taps, stride, padding, dilation in sizes
            )
            channels, places = weight[0], result
        return Cost(_convolve(places, weight, values[0]), values[0] * channels * prod(result))

    return Formula(compute, (0, 1, 2))


def _compute_convolution_backward(call: Call) -> Cost:
    """Compute the gradients that the mask in the last constant asks for. As torch does, do not
    divide that of the weight by the groups."""
    gradient, values, weight = call.shapes[:3]
    places = {"True": values, "False": gradient}[call.constants[7]][2:]  # transposed, or not
    mask = [part.strip() == "True" for part in call.constants[10].strip("[]").split(",")]
    flops = elements = 0
    if mask[0]:
        flops += _convolve(places, weight, values[0])
        elements += prod(values)
    if mask[1]:
        channels = gradient[1] * values[1]
        flops += 2 * channels * values[0] * prod(places) * prod(weight[2:])
        elements += prod(weight)
    return Cost(flops, elements)


def _attend(query: Shape, key: Shape, value: Shape) -> tuple[int, int, int]:
    """Return the FLOPs of query by key and of scores by value, and the elements of the scores.

    Shapes are batch, heads, length, width. Heads of keys are repeated for those of queries."""
    batch, heads, length, width = query
    key_batch, key_heads, key_length, key_width = key
    if (batch, width) != (key_batch, key_width) or value[:3] != key[:3] or heads % key_heads:
        raise ValueError(query, key, value)
    scores = batch * heads * length * key_length
    return 2 * scores * width, 2 * scores * value[3], scores


def _compute_attention(query: Shape, key: Shape, value: Shape) -> Cost:
    by_key, by_value, _ = _attend(query, key, value)
    return Cost(by_key + by_value, prod(query[:3]) * value[3])


def _compute_attention_backward(query: Shape, key: Shape, value: Shape) -> Cost:
    """Compute the scores again, and the four products of the gradients."""
    by_key, by_value, _ = _attend(query, key, value)
    return Cost(3 * by_key + 2 * by_value, prod(query) + prod(key) + prod(value))


def _make_attention(first: int, *, is_backward: bool = False) -> Formula:
    """Return the formula for query, key and value from a position on."""
    compute = _compute_attention_backward if is_backward else _compute_attention

    def compute_call(call: Call) -> Cost:
        query, key, value = call.shapes[first : first + 3]
        return compute(query, key, value)

    return Formula(compute_call, tuple(range(first + 3)))


def _make_flash(first: int, lengths: int, *, is_backward: bool = False) -> Formula:
    """Return the formula where heads come after the length, and sequences of several lengths may
    be joined: then a tensor at `lengths` has the lengths, and the profile does not have its
    values."""
    compute = _compute_attention_backward if is_backward else _compute_attention

    def compute_call(call: Call) -> Cost:
        if call.shapes[lengths]:
            raise ValueError(call.shapes[lengths])
        query, key, value = (
            (batch, heads, length, width)
            for batch, length, heads, width in call.shapes[first : first + 3]
        )
        return compute(query, key, value)

    return Formula(compute_call, tuple(range(first + 3)))


_CONVOLUTION = _make_convolution(_Constants(3, 4, 5, 6, 7))
_BACKWARD = {"is_backward": True}
LATER_OPERATORS: dict[str, Formula] = {
    "aten::_scaled_dot_product_fused_attention_overrideable": _make_attention(0),
    "aten::_scaled_dot_product_fused_attention_overrideable_backward": _make_attention(
        1, **_BACKWARD
    ),
    "aten::_grouped_mm": Formula(_compute_grouped, (0, 1)),
    # what torch.compile calls on a CPU
    "mkldnn::_linear_pointwise": Formula(_compute_linear, (0, 1, 2)),
    "mkldnn::_convolution_pointwise": _make_convolution(_Constants(4, 3, 5)),
}
FORMULAS: dict[str, Formula] = {
    "aten::mm": _make_product(0, 1),
    "aten::addmm": _make_product(1, 2),
    "aten::bmm": _make_product(0, 1),
    "aten::baddbmm": _make_product(1, 2),
    "aten::_scaled_mm": _make_product(0, 1),
    "aten::convolution": _CONVOLUTION,
    "aten::_convolution": _CONVOLUTION,
    "aten::convolution_overrideable": _CONVOLUTION,
    "aten::cudnn_convolution": _make_convolution(_Constants(3, 2, 4)),
    "aten::_slow_conv2d_forward": _make_convolution(_Constants(4, 5, -1)),
    "aten::convolution_backward": Formula(_compute_convolution_backward, (0, 1, 2)),
    "aten::_scaled_dot_product_efficient_attention": _make_attention(0),
    "aten::_scaled_dot_product_flash_attention": _make_attention(0),
    "aten::_scaled_dot_product_cudnn_attention": _make_attention(0),
    "aten::_scaled_dot_product_efficient_attention_backward": _make_attention(1, **_BACKWARD),
    "aten::_scaled_dot_product_flash_attention_backward": _make_attention(1, **_BACKWARD),
    "aten::_scaled_dot_product_cudnn_attention_backward": _make_attention(1, **_BACKWARD),
    "aten::_flash_attention_forward": _make_flash(0, 3),
    "aten::_flash_attention_backward": _make_flash(1, 6, **_BACKWARD),
    "aten::_efficient_attention_forward": _make_flash(0, 4),
    "aten::_efficient_attention_backward": _make_flash(1, 6, **_BACKWARD),
    **LATER_OPERATORS,
}
