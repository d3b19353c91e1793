"""The columns of the Parquet tables, with their types, as data.

A type is a word of `TYPES` in table_file.py. Times are nanoseconds: `start_ns` and the times of
requests since 1970, the others durations. docs/reference/json.md defines the columns that the JSON
report has too."""

from __future__ import annotations

from autoinstr.analysis.serving import REQUEST_COLUMNS, STEP_COLUMNS
from autoinstr.report.data.device_cells import DEVICE_COLUMNS

Columns = dict[str, str]

# Of every table: the process. `run` and `rank` are the partitions.
PROCESS_COLUMNS: Columns = {"process": "int", "pid": "int", "role": "text", "host": "text"}

_TEXT_COLUMNS = ("id", "external", "reason", "state", "step", "phase", "adapter")
_OTHER_TYPES = {"kv_usage": "float", "request_ids": "texts"}


def _find_type(column: str) -> str:
    return _OTHER_TYPES.get(column, "text" if column in _TEXT_COLUMNS else "int")


def _make_columns(names: tuple[str, ...]) -> Columns:
    columns = {name: _find_type(name) for name in names if name != "process"}
    return {**PROCESS_COLUMNS, **columns}


_NAME_COLUMNS: Columns = dict.fromkeys(("domain", "message", "root", "path", "class"), "text")
_THREAD_COLUMNS: Columns = {"tid": "int", "thread": "text"}

TABLES: dict[str, Columns] = {
    "ranges": {
        **PROCESS_COLUMNS,
        **_THREAD_COLUMNS,
        "kind": "text",  # range or mark
        **_NAME_COLUMNS,
        "phase": "text",
        "start_ns": "int",
        "duration_ns": "int",  # none: the range did not end
    },
    "modules": {
        **PROCESS_COLUMNS,
        **_THREAD_COLUMNS,
        **_NAME_COLUMNS,
        "phase": "text",
        **dict.fromkeys(
            ("calls", "total_ns", "self_ns", "min_ns", "p50_ns", "p99_ns", "max_ns"), "int"
        ),
        **DEVICE_COLUMNS,
        "params": "int",
        "param_bytes": "int",
    },
    "steps": _make_columns(STEP_COLUMNS),
    "requests": _make_columns((*REQUEST_COLUMNS, "adapter")),
}
