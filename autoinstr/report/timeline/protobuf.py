"""The protobuf encoding that a Perfetto trace needs.

The perfetto package is not used, because it conflicts with the protobuf version that vLLM pins.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

_ONE_BYTE = [bytes((value,)) for value in range(128)]
# The first two bytes, which hold the low 14 bits, of a varint that is longer.
LOW_14_BITS = [bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(1 << 14)]


def encode_varint(value: int) -> bytes:
    """Encode an integer in groups of seven bits, the lowest group first.

    A negative integer is encoded as 64-bit two's complement.
    """
    if 0 <= value < 128:
        return _ONE_BYTE[value]
    if value < 0:
        value &= (1 << 64) - 1
    low_bytes = b""
    while value > 0x3FFF:
        low_bytes += LOW_14_BITS[value & 0x3FFF]
        value >>= 14
    if value < 128:
        return low_bytes + _ONE_BYTE[value]
    return low_bytes + bytes((value & 0x7F | 0x80, value >> 7))


def encode_integer(field: int, value: int) -> bytes:
    """Encode a field of type int32, int64, uint32, uint64, bool or enum."""
    return encode_varint(field << 3) + encode_varint(value)


def encode_fixed64(field: int, value: int) -> bytes:
    """Encode a field of type fixed64."""
    return encode_varint(field << 3 | 1) + struct.pack("<Q", value)


def encode_double(field: int, value: float) -> bytes:
    """Encode a field of type double."""
    return encode_varint(field << 3 | 1) + struct.pack("<d", value)


def encode_message(field: int, value: bytes) -> bytes:
    """Encode a field that is an embedded message, or of type bytes."""
    return encode_varint(field << 3 | 2) + encode_varint(len(value)) + value


def encode_string(field: int, value: str) -> bytes:
    """Encode a field of type string as UTF-8. Characters that UTF-8 does not have are escaped."""
    return encode_message(field, value.encode("utf-8", "backslashreplace"))


def encode_annotation(value: Any, name: str = "") -> bytes:
    """Encode the body of a DebugAnnotation.

    `value` is any JSON value. An integer that does not fit 64 bits becomes text.
    """
    if isinstance(value, dict):
        return _encode_name(name) + b"".join(
            encode_message(11, encode_annotation(item, str(key) or "?"))
            for key, item in value.items()
        )
    if isinstance(value, list):
        if set(map(type, value)) == {str}:
            return _encode_name(name) + _encode_strings(tuple(value))
        return _encode_name(name) + b"".join(
            [encode_message(12, encode_annotation(item)) for item in value]
        )
    return _encode_scalar(value, name)


def _encode_name(name: str) -> bytes:
    return encode_string(10, name) if name else b""


# The ids of requests occur in every part of every step. Without the caches below, encoding them
# would take most of the time of a trace.
@lru_cache(maxsize=1 << 10)
def _encode_strings(values: tuple[str, ...]) -> bytes:
    return b"".join(map(_encode_list_item, values))


@lru_cache(maxsize=1 << 14)
def _encode_list_item(value: str) -> bytes:
    return encode_message(12, encode_string(6, value))


@lru_cache(maxsize=1 << 14, typed=True)
def _encode_scalar(value: bool | int | float | str | None, name: str) -> bytes:
    encoded_name = _encode_name(name)
    if isinstance(value, bool):
        return encoded_name + encode_integer(2, int(value))
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return encoded_name + encode_integer(4, value)
    if isinstance(value, float):
        return encoded_name + encode_double(5, value)
    return encoded_name + encode_string(6, "null" if value is None else str(value))
