"""The calls of modules in a torch_npu database: ranges of mstx, else torch's own rows of
with_modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

THREAD_MASK = 0xFFFFFFFF  # of globalTid; the process is above it
MODULE_TYPE = 50003
_MODULE = re.compile(r"nn\.Module: (.*)_\d+", re.DOTALL)
_RANGES = """
    SELECT e.startNs, e.endNs, e.globalTid, s.value
    FROM MSTX_EVENTS e LEFT JOIN STRING_IDS s ON s.id = e.message
    WHERE e.eventType IN (1, 2) AND e.endNs > e.startNs AND e.domainId IN
        (SELECT id FROM STRING_IDS WHERE value = 'Module' OR value LIKE 'Module:%')"""
_ROWS = f"""
    SELECT CAST(p.startNs AS INTEGER), CAST(p.endNs AS INTEGER), p.globalTid, s.value
    FROM PYTORCH_API p JOIN STRING_IDS s ON s.id = p.name
    WHERE p.type = {MODULE_TYPE} AND s.value LIKE 'nn.Module: %'"""


def read_module_rows(
    connection: sqlite3.Connection, tables: set[str]
) -> Iterator[tuple[Any, Any, Any, str]]:
    """Yield (start, end, globalTid, name) of each call."""
    has_ranges = False
    if {"MSTX_EVENTS", "STRING_IDS"} <= tables:
        for start, end, tid, message in connection.execute(_RANGES):
            has_ranges = True
            yield start, end, tid, str(message)
    if has_ranges or not {"PYTORCH_API", "STRING_IDS"} <= tables:
        return
    columns = {row[1] for row in connection.execute("PRAGMA table_info(PYTORCH_API)")}
    if "type" not in columns:
        return
    for start, end, tid, value in connection.execute(_ROWS):
        match = _MODULE.fullmatch(str(value))
        if match:
            yield start, end, tid, match[1]
