"""Check the fields of definitions (docs/internals/recording-format.md).

A checksum proves that an entry was written completely, not that its fields are valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autoinstr.recording.facts import HEADER, META, NAME, THREAD

Check = Callable[[Any], bool]


def _make_type_check(*types: type) -> Check:
    return lambda value: type(value) in types


def _is_list_of_texts(value: Any) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _is_list_of_members(value: Any) -> bool:
    """Return whether these are root, path, class and number of modules."""
    return type(value) is list and all(
        type(member) is list and [*map(type, member)] == [str, str, str, int] for member in value
    )


def _is_dict_of_texts(value: Any) -> bool:
    return type(value) is dict and all(type(item) is str for item in value.values())


_is_text, _is_number = _make_type_check(str), _make_type_check(int)
_is_number_or_none = _make_type_check(int, type(None))

REQUIRED: dict[str, dict[str, Check]] = {
    NAME: {
        "id": lambda value: type(value) is int and value > 0,
        "domain": _is_text,
        "message": _is_text,
    },
    THREAD: {"index": _is_number, "tid": _is_number, "name": _is_text},
}
_HEADER_FIELDS: dict[str, Check] = {
    **dict.fromkeys(("host", "boot", "platform", "emitter", "name", "domain", "process"), _is_text),
    **dict.fromkeys(
        ("rank", "world_size", "dp_rank", "dp_size", "restart", "fork"), _is_number_or_none
    ),
    "ppid": _is_number,
    "roles": _is_list_of_texts,
    "argv": _is_list_of_texts,
    "versions": _is_dict_of_texts,
    "lazy_classes": _is_dict_of_texts,
}
OPTIONAL: dict[str, dict[str, Check]] = {
    NAME: {
        "kind": lambda value: value in ("range", "mark"),
        "root": _is_text,
        "path": _is_text,
        "cls": _is_text,
        "module": _is_number_or_none,
        "params": _is_number_or_none,
        "param_bytes": _is_number_or_none,
        "basis": lambda value: value in ("compiled", "shared"),
        "part": _make_type_check(bool),
        "members": _is_list_of_members,
        "kernels": _is_list_of_texts,
    },
    HEADER: _HEADER_FIELDS,
    META: _HEADER_FIELDS,
}


def find_invalid_fields(definition: Any) -> list[str]:
    """Return the names of invalid fields, or "t" if this is not a definition at all.

    Raises KeyError if a required field is missing."""
    if type(definition) is not dict or type(definition.get("t")) is not str:
        return ["t"]
    kind = definition["t"]
    required, optional = REQUIRED.get(kind, {}), OPTIONAL.get(kind, {})
    invalid = [key for key, is_valid in required.items() if not is_valid(definition[key])]
    return invalid + [
        key
        for key, is_valid in optional.items()
        if key in definition and not is_valid(definition[key])
    ]
