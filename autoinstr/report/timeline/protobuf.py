"""The few lines of protobuf encoding that a Perfetto trace needs (the perfetto package conflicts
with the protobuf that vLLM pins)."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

_SHORT = [bytes((number,)) for number in range(128)]
LOW = [
    bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(1 << 14)
]  # 14 bits of a varint that has more


def varint(number: int) -> bytes:
    """A number, seven bits a byte, the lowest first; negative ones as 64-bit two's complement."""
    if 0 <= number < 128:
        return _SHORT[number]
    if number < 0:
        number &= (1 << 64) - 1
    out = b""
    while number > 0x3FFF:
        out += LOW[number & 0x3FFF]
        number >>= 14
    return out + (_SHORT[number] if number < 128 else bytes((number & 0x7F | 0x80, number >> 7)))


def number(field: int, value: int) -> bytes:
    """A field of type int32, int64, uint32, uint64, bool or enum (none negative)."""
    return varint(field << 3) + varint(value)


def fixed(field: int, value: int) -> bytes:
    """A field of type fixed64."""
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def real(field: int, value: float) -> bytes:
    """A field of type double."""
    return varint(field << 3 | 1) + struct.pack("<d", value)


def data(field: int, value: bytes) -> bytes:
    """A field of type bytes, or an embedded message."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """A field of type string: UTF-8, and what UTF-8 cannot hold is escaped."""
    return data(field, value.encode("utf-8", "backslashreplace"))


def annotation(value: Any, name: str = "") -> bytes:
    """The body of a DebugAnnotation: what JSON can hold, each with its type; a number that 64 bits
    cannot hold becomes text."""
    if isinstance(value, dict):
        return _called(name) + b"".join(
            data(11, annotation(one, str(key) or "?")) for key, one in value.items()
        )
    if isinstance(value, list):
        if set(map(type, value)) == {str}:
            return _called(name) + _texts(tuple(value))
        return _called(name) + b"".join([data(12, annotation(one)) for one in value])
    return _scalar(value, name)


def _called(name: str) -> bytes:
    return text(10, name) if name else b""


# Ids of requests and the like come again in every part of a step and in every step, and encoding
# them would take most of a trace's time.
@lru_cache(maxsize=1 << 10)
def _texts(values: tuple[str, ...]) -> bytes:
    return b"".join(map(_element, values))


@lru_cache(maxsize=1 << 14)
def _element(value: str) -> bytes:
    return data(12, text(6, value))


@lru_cache(maxsize=1 << 14, typed=True)
def _scalar(value: bool | int | float | str | None, name: str) -> bytes:
    called = _called(name)
    if isinstance(value, bool):
        return called + number(2, int(value))
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return called + number(4, value)
    if isinstance(value, float):
        return called + real(5, value)
    return called + text(6, "null" if value is None else str(value))
