"""`--format csv`: one line for each row of the JSON report (RFC 4180)."""

from __future__ import annotations

import csv
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.device_rows import list_process_devices
from autoinstr.analysis.phase_names import list_missing_phase
from autoinstr.analysis.stats import collect_stats
from autoinstr.analysis.tree_lines import compute_weight
from autoinstr.report.data.device_cells import DEVICE_COLUMNS, build_device_cells
from autoinstr.report.data.device_json import build_line_entries
from autoinstr.report.data.row_entries import build_row_entries

if TYPE_CHECKING:
    from autoinstr.analysis.device_rows import ProcessDevice, RunDevice
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

    SortedRow = tuple[float, list[Any]]

PARAMETER_COLUMNS = ("params", "param_bytes")
COLUMNS = (
    "process", "pid", "role", "rank", "host", "tid", "thread", "domain", "root", "path", "class",
    "message", "calls", "total_ns", "self_ns", "min_ns", "p50_ns", "p99_ns", "max_ns", "phase",
    "classes", *DEVICE_COLUMNS, *PARAMETER_COLUMNS,
)  # fmt: skip


def write(
    run: Run,
    stream: TextIO,
    tick: ProgressTick = ignore_tick,
    phase: str | None = None,
    *,
    sort: str = "tree",
    limit: int = 0,
    device: RunDevice | None = None,
) -> list[str]:
    """Write a heading, then one line for each row; return remarks for stderr.

    `phase` selects the rows of one phase ("none": those without a phase). With the `sort` "tree"
    rows come process by process; with total, self, calls or mean the largest comes first. `limit`
    is the most lines; 0 is all. `device` has the device time of the rows. Lines end in CR LF, and
    a missing value is an empty cell."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    phases: dict[str | None, None] = {}
    rows_to_sort: list[SortedRow] = []
    line_count = 0
    tasks = (
        partial(
            read_rows,
            index=index,
            phase=phase,
            sort=sort,
            device=process_device,
        )
        for index, process_device in enumerate(list_process_devices(device, len(run.recordings)))
    )
    for rows, phases_of_rows in run.read(tasks, tick):
        phases.update(phases_of_rows)
        if sort != "tree":
            rows_to_sort += rows
            continue
        if limit:
            del rows[limit - line_count :]
            line_count += len(rows)
        writer.writerows(cells for _, cells in rows)
        del rows  # free the memory before the next recording is read
    rows_to_sort.sort(key=lambda row: row[0], reverse=True)
    writer.writerows(cells for _, cells in rows_to_sort[: limit or None])
    return list_missing_phase(phase, phases)


def read_rows(
    recording: Recording,
    tick: ProgressTick,
    *,
    index: int,
    phase: str | None,
    sort: str,
    device: ProcessDevice | None,
) -> tuple[list[SortedRow], dict[str | None, None]]:
    """Read one recording; return its rows, each with the figure to sort by, and all its phases."""
    stats = collect_stats(recording, collect_attributes(recording), tick=tick)
    process = {
        "pid": recording.pid,
        "role": recording.role,
        "rank": recording.rank,
        "host": recording.host,
    }
    entries = build_row_entries(index, recording, stats, phase, device)
    lines = build_line_entries(index, device) if device is not None else []
    rows: list[SortedRow] = []
    for entry in itertools.chain(entries, lines):
        thread = entry.pop("thread")
        cells = {
            **entry,
            **process,
            **build_device_cells(entry["device"]),
            "tid": thread["tid"],
            "thread": thread["name"],
            "classes": "/".join(entry["classes"]),
        }
        rows.append((_weigh(cells, sort), [guard_cell(cells[column]) for column in COLUMNS]))
    return rows, dict.fromkeys(row.phase for row in stats.rows)


def _weigh(cells: dict[str, Any], sort: str) -> float:
    if sort == "tree":
        return 0
    if sort == "device":
        return cells["device_ns"] or 0
    return compute_weight(sort, cells["total_ns"], cells["self_ns"], cells["calls"])


def guard_cell(cell: Any) -> Any:
    """Return the cell with an apostrophe in front if a spreadsheet would run it as a formula.

    The program chooses names, so a name could be a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
