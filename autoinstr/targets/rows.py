"""Read the tables of targets: rows that name callables to wrap (docs/reference/targets.md).

Several rows may have one name: the same work under its names in other versions, or in another
process."""

from __future__ import annotations

from typing import NamedTuple

from autoinstr.base.system import get_parent, read_file
from autoinstr.targets.versions import is_within

CALL_KINDS = ("sync", "async", "generator", "async_generator", "future")
ROLES = ("MainProcess", "APIServer", "EngineCore", "Worker")
# the package of a table -> the domain of its ranges
DOMAINS = {
    "vllm": "vllm",
    "vllm_ascend": "vllm",
    "torch": "torch",
    "transformers": "transformers",
    "sglang": "sglang",
    "diffusers": "diffusers",
    "verl": "rl",
    "openrlhf": "rl",
    "ray": "ray",
}
# A process reads these tables when it imports the package. All their rows are methods, so it does
# not matter what the package has imported by then.
LATE_PACKAGES = ("sglang", "diffusers", "verl", "openrlhf", "ray")
COLUMNS = (
    "name",
    "target",
    "kind",
    "roles",
    "since",
    "before",
    "attributes",
    "default",
    "waits",
    "note",
)


class Target(NamedTuple):
    """One callable to wrap."""

    name: str  # short name, "sched.schedule"
    module: str  # "vllm.v1.core.sched.scheduler"
    qualname: str  # "Scheduler.schedule", or a function
    # one of CALL_KINDS; "auto" in a user's row: inspected when the callable is wrapped
    kind: str
    roles: tuple[str, ...]  # the processes in which it runs; () means any
    since: str  # first version of `package` that has it, "" for no bound
    before: str  # first version that no longer has it, "" for no bound
    attributes: tuple[str, ...]  # names of getters and events
    default: bool  # in the default set
    package: str  # one of DOMAINS, "" for a user's row
    domain: str  # that of the package, user, or the domain in a user's row
    note: str
    waits: bool = False  # blocks its thread until something happens: its time is not work


_tables: dict[str, list[Target]] = {}


def load_builtin_targets() -> tuple[Target, ...]:
    """Return all rows of the tables, in the order of a step. The tables are read once."""
    return tuple(row for package in DOMAINS for row in load_table(package))


def load_early_targets() -> tuple[Target, ...]:
    """Return the rows of all tables but those of LATE_PACKAGES."""
    packages = (package for package in DOMAINS if package not in LATE_PACKAGES)
    return tuple(row for package in packages for row in load_table(package))


def load_table(package: str) -> list[Target]:
    """Return the rows of one package. Its table is read once."""
    if package not in _tables:
        _tables[package] = read_table(f"{get_parent(__file__)}/{package}.tsv", package)
    return _tables[package]


def read_table(path: str, package: str) -> list[Target]:
    """Read one table.

    Cells are separated by tabs, and the first line names the columns. "-" is an empty cell, and
    commas separate the items of a list."""
    lines = read_file(path).decode().splitlines()
    domain = DOMAINS[package]
    rows = []
    for line in lines[1:]:
        name, target, kind, roles, since, before, attributes, default, waits, note = (
            "" if cell == "-" else cell for cell in line.split("\t")
        )
        module, _, qualname = target.partition(":")
        rows.append(
            Target(
                name,
                module,
                qualname,
                kind,
                _split_cell(roles),
                since,
                before,
                _split_cell(attributes),
                default == "1",
                package,
                domain,
                note,
                waits == "1",
            )
        )
    return rows


def _split_cell(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def is_in_version(target: Target, version: str | None) -> bool:
    """Return whether this version of its package should have the target.

    True for an unknown version (None, or a checkout without tags)."""
    return is_within(version, target.since, target.before)
