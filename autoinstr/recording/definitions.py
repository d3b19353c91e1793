"""What each kind of definition must hold (docs/internals/recording-format.md): a checksum tells
that an entry was written, not that it means much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in types


def _texts(value: Any) -> bool:
    return type(value) is list and all(type(one) is str for one in value)


def _versions(value: Any) -> bool:
    return type(value) is dict and all(type(one) is str for one in value.values())


_TEXT, _NUMBER, _NUMBER_OR_NONE = _is(str), _is(int), _is(int, type(None))

REQUIRED: dict[str, dict[str, Callable[[Any], bool]]] = {
    "name": {
        "id": lambda value: type(value) is int and value > 0,
        "domain": _TEXT,
        "message": _TEXT,
    },
    "thread": {"index": _NUMBER, "tid": _NUMBER, "name": _TEXT},
}
OPTIONAL: dict[str, dict[str, Callable[[Any], bool]]] = {
    "name": {
        "kind": lambda value: value in ("range", "mark"),
        "root": _TEXT,
        "path": _TEXT,
        "cls": _TEXT,
        "module": _NUMBER_OR_NONE,
    },
    "header": {
        **dict.fromkeys(("host", "boot", "platform", "emitter", "name", "domain"), _TEXT),
        **dict.fromkeys(("rank", "world_size"), _NUMBER_OR_NONE),
        "ppid": _NUMBER,
        "roles": _texts,
        "argv": _texts,
        "versions": _versions,
    },
}
OPTIONAL["meta"] = OPTIONAL["header"]


def wrong_fields(entry: Any) -> list[str]:
    """Fields of a definition that have no sense, "t" for one that is no definition at all. KeyError
    where a required one is missing."""
    if type(entry) is not dict or type(entry.get("t")) is not str:
        return ["t"]
    kind = entry["t"]
    wrong = [key for key, fits in REQUIRED.get(kind, {}).items() if not fits(entry[key])]
    return wrong + [
        key for key, fits in OPTIONAL.get(kind, {}).items() if key in entry and not fits(entry[key])
    ]
