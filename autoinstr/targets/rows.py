"""Targets: rows that name callables to be wrapped, read from the tables beside this file
(docs/targets.md).

One name may have several rows: the same work under the name that it has in other versions, or in
another process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.config.suggestions import nearest
from autoinstr.targets.versions import parse, within

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("sync", "async", "generator", "async_generator", "future")
ROLES = ("MainProcess", "APIServer", "EngineCore", "Worker")
DOMAINS = {
    "vllm": "vllm",
    "vllm_ascend": "vllm",
    "torch": "torch",
}  # a table, its package -> the domain of its ranges
COLUMNS = ("name", "target", "kind", "roles", "since", "before", "attributes", "default", "note")
_STEPS = ("backward", "optim.step")
_STEP_ATTRIBUTES = frozenset(("scheduled", "same_step"))
CUSTOM_KEYS = ("name", "target", "kind", "roles", "since", "before", "attributes", "domain", "note")


class Target(NamedTuple):
    """One callable to be wrapped."""

    name: str  # short name, "sched.schedule"
    module: str  # "vllm.v1.core.sched.scheduler"
    qualname: str  # "Scheduler.schedule", or a function
    # one of KINDS; a user's row may leave it "auto": found by inspection when it is wrapped
    kind: str
    roles: tuple[str, ...]  # the processes in which it runs; () means any
    since: str  # first version of `package` that has it, "" = no bound known
    before: str  # first version that has it no longer, "" = none
    attributes: tuple[str, ...]  # names of getters in autoinstr/targets/getters.py
    default: bool  # in the default set
    package: str  # vllm | vllm_ascend | torch | "" for a user's
    domain: str  # vllm | torch | user, or what a user's row says
    note: str


_builtin: tuple[Target, ...] = ()


def builtin() -> tuple[Target, ...]:
    """All rows of the tables, in the order of a step; read once."""
    global _builtin
    if not _builtin:
        folder = os.path.dirname(os.path.abspath(__file__))
        _builtin = tuple(
            row
            for package in DOMAINS
            for row in read_table(os.path.join(folder, package + ".tsv"), package)
        )
    return _builtin


def read_table(path: str, package: str) -> list[Target]:
    """The rows of one table: tab-separated, the first line names the columns, "-" is an empty cell,
    lists have commas."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    domain = DOMAINS[package]
    rows = []
    for line in lines[1:]:
        name, target, kind, roles, since, before, attributes, default, note = (
            "" if cell == "-" else cell for cell in line.split("\t")
        )
        module, _, qualname = target.partition(":")
        rows.append(
            Target(
                name,
                module,
                qualname,
                kind,
                _pieces(roles),
                since,
                before,
                _pieces(attributes),
                default == "1",
                package,
                domain,
                note,
            )
        )
    return rows


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def applies(target: Target, version: str | None) -> bool:
    """The target is expected in this version of its package; True as well where the version is
    unknown (None, a checkout without tags)."""
    return within(version, target.since, target.before)


def on_stream(target: Target) -> bool:
    """A step, or a part of one, that is worth a range on the device: what a Worker does for a step,
    and the parts of a training step."""
    if target.package == "torch":
        return target.name in _STEPS
    return "Worker" in target.roles and bool(_STEP_ATTRIBUTES.intersection(target.attributes))


def custom(tables: list[dict[str, Any]], source: str) -> tuple[list[Target], list[str]]:
    """The rows of [[autoinstr.custom_target]] and one line for each that cannot be used; `source`
    says where they were written.

    A bad row costs itself only.
    """
    rows: list[Target] = []
    problems: list[str] = []
    taken: Sequence[str] = [row.name for row in builtin()]
    for number, table in enumerate(tables, 1):
        called = table.get("name")
        where = (
            f"{source}: custom_target {called!a}"
            if isinstance(called, str)
            else f"{source}: custom_target number {number}"
        )
        problem = _problem_of(table) or ""
        if not problem and called in taken:
            problem = "there is a target of this name already"
        if not problem and called in [row.name for row in rows]:
            problem = "an earlier row has this name"
        if problem:
            problems.append(f"{where}: {problem}")
            continue
        module, _, qualname = table["target"].partition(":")
        rows.append(
            Target(
                name=table["name"],
                module=module,
                qualname=qualname,
                kind=table.get("kind", "auto"),
                roles=_listed(table.get("roles")),
                since=table.get("since", ""),
                before=table.get("before", ""),
                attributes=_listed(table.get("attributes")),
                default=True,  # who writes a row wants it
                package="",
                domain=table.get("domain", "user"),
                note=table.get("note", ""),
            )
        )
    return rows, problems


def _listed(value: Any) -> tuple[str, ...]:
    """A list, or a text with commas."""
    if isinstance(value, str):
        value = value.split(",")
    return tuple(piece.strip() for piece in value or () if piece.strip())


def _problem_of(table: dict[str, Any]) -> str | None:
    """What is wrong with a row by itself."""
    for key, value in table.items():
        if key not in CUSTOM_KEYS:
            return f"{key!a} is not a key of a row{_meant(key, CUSTOM_KEYS)}"
        is_list = (
            key in ("roles", "attributes")
            and isinstance(value, list)
            and all(isinstance(piece, str) for piece in value)
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
    return _target_problem(table["target"]) or _values_problem(table)


def _target_problem(target: str) -> str | None:
    module, colon, qualname = target.partition(":")
    if not colon or not qualname:
        dotted, _, last = target.rpartition(".")
        hint = f"; did you mean {f'{dotted}:{last}'!a}?" if dotted else ""
        return f"target {target!a} must be written module:function or module:Class.method{hint}"
    for part in (*module.split("."), *qualname.split(".")):
        if not part.isidentifier():
            return f"target {target!a} must be written module:function or module:Class.method; {part!a} is not a Python name"
    return None


def _values_problem(table: dict[str, Any]) -> str | None:
    from autoinstr.targets.getters import GETTERS
    from autoinstr.targets.request_events import EVENTS

    choices = {"kind": (*KINDS, "auto"), "roles": ROLES, "attributes": (*GETTERS, *EVENTS)}
    for key, known in choices.items():
        for word in (table.get("kind", "auto"),) if key == "kind" else _listed(table.get(key)):
            if word not in known:
                return (
                    f"{key} has {word!a}{_meant(word, known) or ', known are ' + ', '.join(known)}"
                )
    for key in ("since", "before"):
        if table.get(key) and parse(table[key]) is None:
            return f"{key} is {table[key]!a}, not a version like '1.2.0'"
    since, before = parse(table.get("since", "")), parse(table.get("before", ""))
    if since and before and since >= before:
        return f"since {table['since']} is not lower than before {table['before']}"
    if "domain" in table and not table["domain"].strip():
        return "the domain is empty"
    return None


def _meant(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near!a}?" if near else ""
