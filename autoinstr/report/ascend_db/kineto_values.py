"""Read the values of Kineto's events. Events come from a file, so every value may be invalid."""

from __future__ import annotations

import re
from typing import Any

HOST_CATEGORIES = ("cpu_op", "user_annotation")
DEVICE_CATEGORIES = ("kernel", "gpu_memcpy", "gpu_memset")
LIMIT_NS = 1 << 62  # larger than every valid time
_LAUNCH_CATEGORY = re.compile(r"\w+_(runtime|driver)")


def is_host_category(category: Any) -> bool:
    """Return whether events of a category ran on the host."""
    return isinstance(category, str) and (
        category in HOST_CATEGORIES or _LAUNCH_CATEGORY.fullmatch(category) is not None
    )


def read_interval(event: dict[str, Any]) -> tuple[int, int]:
    """Return start and end of an event in nanoseconds. Raise ValueError for a negative duration."""
    start, duration = read_time(event["ts"]), read_time(event["dur"])
    if duration < 0:
        raise ValueError(duration)
    return start, start + duration


def read_time(microseconds: float) -> int:
    """Return a time in nanoseconds.

    Kineto's numbers have three decimals and are small enough for a double to be exact.
    """
    time_ns = round(microseconds * 1000)
    if abs(time_ns) >= LIMIT_NS:
        raise OverflowError(time_ns)
    return time_ns


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer that the database can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -LIMIT_NS < value < LIMIT_NS


def read_integer(value: Any) -> int:
    """Return an integer. Raise ValueError for another value."""
    if not is_integer(value):
        raise ValueError(value)
    return int(value)


def read_optional_integer(value: Any) -> int | None:
    """Return an integer, or None for another value."""
    return value if is_integer(value) else None


def format_shapes(shapes: list[Any]) -> str:
    """Format shapes as torch_npu does: commas between dimensions, semicolons between inputs.

    A list of tensors keeps its own format.
    """
    return ";".join(
        ",".join(map(str, shape)) if isinstance(shape, list) else str(shape) for shape in shapes
    )
