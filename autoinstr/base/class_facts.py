"""Read facts of a class without running code of its metaclass."""

from __future__ import annotations

from typing import Any

_ABSENT = object()
_get_name = type.__dict__["__name__"].__get__
_get_mro = type.__dict__["__mro__"].__get__
_get_entries = type.__dict__["__dict__"].__get__


def get_name(cls: type) -> str:
    """Return the name of a class."""
    return str(_get_name(cls))


def get_mro(cls: type) -> tuple[type, ...]:
    """Return a class and its ancestors, in the order of attribute lookup."""
    return _get_mro(cls)  # type: ignore[no-any-return]


def get_entries(cls: type) -> Any:
    """Return the attributes that a class defines itself, as a read-only mapping."""
    return _get_entries(cls)


def find_owner(cls: type, name: str) -> Any:
    """Return the first class in the lookup order that defines `name`; None if there is none."""
    return next((base for base in _get_mro(cls) if name in _get_entries(base)), None)


def find_attribute(cls: type, name: str) -> Any:
    """Return what a class has under `name`, as it was stored; None if there is nothing."""
    for base in _get_mro(cls):
        value = _get_entries(base).get(name, _ABSENT)
        if value is not _ABSENT:
            return value
    return None
