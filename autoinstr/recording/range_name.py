"""What the number of a name in a recording stands for."""

from __future__ import annotations

from typing import Any, NamedTuple


class Member(NamedTuple):
    """A module that shares kernels with others."""

    root: str
    path: str
    cls: str


class RangeName(NamedTuple):
    """What the first word of a record refers to. A root module's `path` is ""."""

    id: int
    kind: str
    domain: str
    message: str
    root: str
    path: str
    cls: str
    # How the range was made: `eager` by a call of Python, `compiled` in compiled code, `shared` by
    # kernels that several modules share.
    basis: str = "eager"
    is_part: bool = False  # it continues a call that an earlier range of the module has begun
    members: tuple[Member, ...] = ()  # the modules that share the kernels
    kernels: tuple[str, ...] = ()
    # The elements of the parameters in the module and below it, and their bytes.
    params: int | None = None
    param_bytes: int | None = None


def build_names(
    entries: list[dict[str, Any]], last_entries: dict[int, dict[str, Any]]
) -> dict[int, RangeName]:
    """Return the names of some valid definitions, by number.

    `last_entries` has the last definition of each module, with its path in the largest tree."""
    names: dict[int, RangeName] = {}
    counted = {entry.get("module"): entry for entry in entries if "params" in entry}
    for entry in entries:
        count = {} if entry.get("members") else counted.get(entry.get("module") or 0, entry)
        last = last_entries.get(entry.get("module") or 0, entry)
        names[entry["id"]] = RangeName(
            entry["id"],
            entry.get("kind", "range"),
            entry["domain"],
            last["message"],
            last.get("root", ""),
            last.get("path", ""),
            last.get("cls", ""),
            entry.get("basis", "eager"),
            entry.get("part", False),
            tuple(_read_member(member, last_entries) for member in entry.get("members", ())),
            tuple(entry.get("kernels", ())),
            count.get("params"),
            count.get("param_bytes"),
        )
    return names


def _read_member(member: list[Any], last_entries: dict[int, dict[str, Any]]) -> Member:
    root, path, cls, number = member
    last = last_entries.get(number, {"root": root, "path": path, "cls": cls})
    return Member(last.get("root", ""), last.get("path", ""), last.get("cls", ""))
