"""Appends attributes to the message of a range, for tools that know messages only."""

from __future__ import annotations

from typing import Any


def append_fields(message: str, fields: dict[str, Any]) -> str:
    """Return `message key=value …`, so that a search in the tool finds `phase=decode`."""
    return " ".join([message, *(f"{key}={_format_value(value)}" for key, value in fields.items())])


def _format_value(value: Any) -> str:
    """Return a value without spaces."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_format_value, value))
    return "_".join(str(value).split())
