"""Read fields of a Kubernetes object that may have any form.

A field that is missing or null is empty, as in Kubernetes. A field of another type than that of
Kubernetes' API raises Unreadable."""

from __future__ import annotations

from typing import Any

Mapping = dict[str, Any]


class Unreadable(Exception):
    """An object that does not have the form of Kubernetes' API. The text names the field."""


def read_mapping(parent: Mapping, key: str) -> Mapping:
    """Return the mapping in a field, {} if there is none. Raises Unreadable."""
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(f"{key} is not an object")
    return value


def read_list(parent: Mapping, key: str) -> list[Mapping]:
    """Return the list of mappings in a field, [] if there is none. Raises Unreadable."""
    items = parent.get(key)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Unreadable(f"{key} is not a list of objects")
    return items


def read_text(parent: Mapping, key: str) -> str:
    """Return the text in a field, "" if there is none. Raises Unreadable."""
    value = parent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"{key} is not a string")
    return value
