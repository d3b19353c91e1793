"""The calls of modules in a torch_npu database: ranges of mstx, else torch's own rows of
with_modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, NamedTuple

from autoinstr.emitters.domains import is_thread_domain

if TYPE_CHECKING:
    import sqlite3

MODULE = "Module"
MODULE_TYPE = 50003
_MODULE_NAME = re.compile(r"nn\.Module: (.*)_\d+", re.DOTALL)
_DOMAINS = """
    SELECT id, value FROM source.STRING_IDS
    WHERE id IN (SELECT DISTINCT domainId FROM source.MSTX_EVENTS)"""
_RANGES = """(
    SELECT startNs, endNs, globalTid, message AS name FROM source.MSTX_EVENTS
    WHERE eventType IN (1, 2) AND endNs > startNs AND domainId IN ({domains}))"""
_ROWS = f"""(
    SELECT p.startNs, p.endNs, p.globalTid, p.name
    FROM source.PYTORCH_API p JOIN source.STRING_IDS s ON s.id = p.name
    WHERE p.type = {MODULE_TYPE} AND s.value LIKE 'nn.Module: %')"""


class ModuleSource(NamedTuple):
    """Where the calls of modules are: `rows` is a subquery with startNs, endNs, globalTid and name.

    `read_class` returns the class in a name; None if the name is no module's."""

    rows: str
    read_class: Callable[[str], str | None]


def is_module_domain(name: str) -> bool:
    """Return whether the ranges of a domain are modules, also of other threads or in small
    letters."""
    return name.lower() == MODULE.lower() or is_thread_domain(name, MODULE)


def choose_module_source(
    connection: sqlite3.Connection, tables: set[str] | frozenset[str]
) -> ModuleSource | None:
    """Return the source of the attached database; None if it has no modules."""
    if {"MSTX_EVENTS", "STRING_IDS"} <= tables:
        domains = [
            str(key)
            for key, value in connection.execute(_DOMAINS)
            if isinstance(key, int) and is_module_domain(str(value))
        ]
        rows = _RANGES.format(domains=",".join(domains))
        if domains and connection.execute(f"SELECT 1 FROM {rows} LIMIT 1").fetchone():
            return ModuleSource(rows, lambda name: name)
    if {"PYTORCH_API", "STRING_IDS"} <= tables:
        columns = {row[1] for row in connection.execute("PRAGMA source.table_info(PYTORCH_API)")}
        if "type" in columns:
            return ModuleSource(_ROWS, _read_torch_class)
    return None


def _read_torch_class(name: str) -> str | None:
    match = _MODULE_NAME.fullmatch(name)
    return match[1] if match else None
