"""Read the rows of a user: TOML tables [[autoinstr.custom_target]].

They are documented in docs/reference/targets.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.config.suggestions import find_nearest
from autoinstr.targets.rows import CALL_KINDS, ROLES, Target, load_builtin_targets
from autoinstr.targets.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

CUSTOM_KEYS = ("name", "target", "kind", "roles", "since", "before", "attributes", "domain", "note")


def parse_custom_targets(
    tables: list[dict[str, Any]], source: str
) -> tuple[list[Target], list[str]]:
    """Return the valid rows, and one line for each invalid row.

    `source` names the file in these lines. An invalid row does not affect the others."""
    rows: list[Target] = []
    problems: list[str] = []
    builtin_names = [row.name for row in load_builtin_targets()] if tables else []
    for number, table in enumerate(tables, 1):
        name = table.get("name")
        label = (
            f"{source}: custom_target {name!a}"
            if isinstance(name, str)
            else f"{source}: custom_target number {number}"
        )
        problem = _find_problem(table) or ""
        if not problem and name in builtin_names:
            problem = "there is a target of this name already"
        if not problem and name in [row.name for row in rows]:
            problem = "an earlier row has this name"
        if problem:
            problems.append(f"{label}: {problem}")
        else:
            rows.append(_make_target(table))
    return rows, problems


def _make_target(table: dict[str, Any]) -> Target:
    module, _, qualname = table["target"].partition(":")
    return Target(
        name=table["name"],
        module=module,
        qualname=qualname,
        kind=table.get("kind", "auto"),
        roles=_read_list(table.get("roles")),
        since=table.get("since", ""),
        before=table.get("before", ""),
        attributes=_read_list(table.get("attributes")),
        default=True,  # a user who writes a row wants its ranges
        package="",
        domain=table.get("domain", "user"),
        note=table.get("note", ""),
    )


def _read_list(value: Any) -> tuple[str, ...]:
    """Return the items of a TOML list, or of a text with commas."""
    if isinstance(value, str):
        value = value.split(",")
    return tuple(item.strip() for item in value or () if item.strip())


def _find_problem(table: dict[str, Any]) -> str | None:
    """Return what is wrong with a row by itself, or None."""
    for key, value in table.items():
        if key not in CUSTOM_KEYS:
            return f"{key!a} is not a key of a row{_format_hint(key, CUSTOM_KEYS)}"
        is_list = (
            key in ("roles", "attributes")
            and isinstance(value, list)
            and all(isinstance(item, str) for item in value)
        )
        if not is_list and not isinstance(value, str):
            return f"{key} is {value!a}, not a text"
    for key in ("name", "target"):
        if not table.get(key, "").strip():
            return f"has no {key}"
    if table["name"] != "".join(table["name"].split()) or any(
        letter in table["name"] for letter in ",*?["
    ):
        return "the name must be one word without , * ? ["
    return _find_target_problem(table["target"]) or _find_value_problem(table)


def _find_target_problem(target: str) -> str | None:
    form = f"target {target!a} must be written module:function or module:Class.method"
    module, colon, qualname = target.partition(":")
    if not colon or not qualname:
        dotted, _, name = target.rpartition(".")
        return form + (f"; did you mean {f'{dotted}:{name}'!a}?" if dotted else "")
    for part in (*module.split("."), *qualname.split(".")):
        if not part.isidentifier():
            return f"{form}; {part!a} is not a Python name"
    return None


def _find_value_problem(table: dict[str, Any]) -> str | None:
    from autoinstr.targets.events import EVENTS
    from autoinstr.targets.getters import GETTERS

    valid_words: dict[str, Sequence[str]] = {
        "kind": (*CALL_KINDS, "auto"),
        "roles": ROLES,
        "attributes": (*GETTERS, *EVENTS),
    }
    for key, valid in valid_words.items():
        words = (table.get("kind", "auto"),) if key == "kind" else _read_list(table.get(key))
        for word in words:
            if word not in valid:
                hint = _format_hint(word, valid) or ", known are " + ", ".join(valid)
                return f"{key} has {word!a}{hint}"
    for key in ("since", "before"):
        if table.get(key) and parse_version(table[key]) is None:
            return f"{key} is {table[key]!a}, not a version like '1.2.0'"
    since = parse_version(table.get("since", ""))
    before = parse_version(table.get("before", ""))
    if since and before and since >= before:
        return f"since {table['since']} is not lower than before {table['before']}"
    if "domain" in table and not table["domain"].strip():
        return "the domain is empty"
    return None


def _format_hint(word: str, valid: Sequence[str]) -> str:
    near = find_nearest(word, valid)
    return f"; did you mean {near!a}?" if near else ""
