"""Read the values of Kineto's events. Events come from a file, so every value may be invalid.

The reader keeps numbers with a fraction as text (trace_file.py), so that times are exact.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

LIMIT_NS = 1 << 62  # larger than every valid time
LONGEST_NS = 1 << 50  # of one event: thirteen days
OPERATOR, ANNOTATION = "cpu_op", "user_annotation"
HOST_CATEGORIES = (OPERATOR, ANNOTATION)
DEVICE_CATEGORIES = ("kernel", "gpu_memcpy", "gpu_memset")
LAUNCH = "launch"  # every *_runtime and *_driver
# The categories of torch 1.8 to 1.11, and those that replaced them.
_OLD_CATEGORIES = {
    "Operator": OPERATOR,
    "Kernel": "kernel",
    "Memcpy": "gpu_memcpy",
    "Memset": "gpu_memset",
    "Runtime": LAUNCH,
}


@lru_cache(maxsize=1024)
def _normalize(category: str) -> str:
    if category.endswith(("_runtime", "_driver")) and category.replace("_", "").isalnum():
        return LAUNCH
    return _OLD_CATEGORIES.get(category, category)


def normalize_category(category: Any) -> str:
    """Return the category of an event by today's name; LAUNCH for each vendor's runtime and driver.

    "" stands for an event without one."""
    return _normalize(category) if isinstance(category, str) else ""


def is_host_category(category: Any) -> bool:
    """Return whether events of a category ran on the host."""
    return normalize_category(category) in (*HOST_CATEGORIES, LAUNCH)


def read_interval(event: dict[str, Any]) -> tuple[int, int]:
    """Return start and end of an event in nanoseconds. Raise ValueError for a negative duration."""
    start, duration = read_time(event["ts"]), read_time(event["dur"])
    if duration < 0:
        raise ValueError(duration)
    return start, start + duration


def read_short_interval(event: dict[str, Any]) -> tuple[int, int]:
    """Return start and end of an event in nanoseconds. Raise ValueError for an absurd duration,
    which a database could not add up."""
    start, end = read_interval(event)
    if end - start > LONGEST_NS:
        raise ValueError(end - start)
    return start, end


def read_time(microseconds: Any) -> int:
    """Return a time in nanoseconds.

    A text is the number as the file has it. Microseconds since 1970 with three decimals are exact
    in the text, and not in a double.
    """
    if isinstance(microseconds, str):
        whole, _, fraction = microseconds.partition(".")
        if len(fraction) == 3 and fraction.isdecimal():
            time_ns = int(whole + fraction)
        else:
            time_ns = _round(microseconds)
    elif isinstance(microseconds, int):
        time_ns = microseconds * 1000
    else:
        time_ns = round(microseconds * 1000)
    if not -LIMIT_NS < time_ns < LIMIT_NS:
        raise OverflowError(time_ns)
    return time_ns


def _round(microseconds: str) -> int:
    try:
        number = Decimal(microseconds)
    except InvalidOperation as error:
        raise ValueError(microseconds) from error
    if not number.is_finite() or number.adjusted() > 18:
        raise OverflowError(microseconds)
    return round(number * 1000)


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer that the database can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -LIMIT_NS < value < LIMIT_NS


def read_integer(value: Any) -> int:
    """Return an integer. Raise ValueError for another value.

    torch 1.8 wrote processes and threads as texts.
    """
    if isinstance(value, str) and len(value) < 19 and value.lstrip("-").isdecimal():
        return int(value)
    if not is_integer(value):
        raise ValueError(value)
    return int(value)


def read_thread(value: Any) -> int:
    """Return the number of a thread, which a recording holds without a sign."""
    return read_integer(value) & (LIMIT_NS - 1)


def read_optional_integer(value: Any) -> int | None:
    """Return an integer, or None for another value."""
    return value if is_integer(value) else None


def read_stream(value: Any) -> int:
    """Return the number of a stream; torch 1.8 wrote "stream 7"."""
    if isinstance(value, str):
        digits = re.search(r"\d+", value)
        return int(digits[0][:9]) if digits else 0
    return value if is_integer(value) else 0


def read_external_id(args: dict[str, Any]) -> int | None:
    """Return Kineto's number of the operator around a launch, or None.

    Before PyTorch 2.3 a launch has its own correlation there, which says nothing.
    """
    external = args.get("External id", args.get("external id"))
    return external if is_integer(external) and external != args.get("correlation") else None


def format_shapes(shapes: list[Any]) -> str:
    """Format shapes as torch_npu does: commas between dimensions, semicolons between inputs.

    A list of tensors keeps its own format.
    """
    return ";".join(
        ",".join(map(str, shape)) if isinstance(shape, list) else str(shape) for shape in shapes
    )
