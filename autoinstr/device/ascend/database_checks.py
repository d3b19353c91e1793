"""What real databases have that is easily misread: no bytes, no tables, connections of nothing."""

from __future__ import annotations

import os
from typing import Any

from autoinstr.base.errors import AutoinstrError

# CANN writes this for a task or range without a connection. Its ranges have connections from
# 4000000000 on; one that was made with a stream has a task of its connection.
NO_CONNECTION = 4294967295
FIRST_RANGE_CONNECTION = 4000000000
LIMIT_NS, LONGEST_NS = 1 << 62, 1 << 50
THREAD_MASK = 0xFFFFFFFF  # of globalTid; the process is above it
NEEDED_TABLES = ("TASK", "COMPUTE_TASK_INFO")


def check_not_empty(path: str) -> None:
    """Raise AutoinstrError for a file of 0 bytes: the disk was full, or its writer was killed."""
    if os.path.getsize(path) == 0:
        raise AutoinstrError(
            f"{path}: is empty: the export was killed, or the disk was full; "
            "remove it and analyse the profile again"
        )


def describe_missing_tables(missing: list[str]) -> str:
    """Say that a database lacks tables that every finished export with kernels has."""
    names = f"table {missing[0]}" if len(missing) == 1 else f"tables {' and '.join(missing)}"
    return (
        f"has no {names}: its export was not finished, or the device recorded nothing "
        "(analyse the profile again)"
    )


def is_interval(start: Any, end: Any) -> bool:
    """Return whether two values are the times of something that ran for less than a fortnight."""
    return (
        isinstance(start, int)
        and isinstance(end, int)
        and -LIMIT_NS < start <= end < LIMIT_NS
        and end - start < LONGEST_NS
    )
