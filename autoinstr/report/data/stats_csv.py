"""`--format csv`: a line per row of the JSON report (RFC 4180)."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.attributes import read
from autoinstr.analysis.blocks import Tick, no_tick
from autoinstr.analysis.stats import NO_PHASE, collect, no_such_phase
from autoinstr.analysis.tree_lines import weight
from autoinstr.report.data.stats_json import row_entries

if TYPE_CHECKING:
    from autoinstr.recording.reader import Run

COLUMNS = (
    "process", "pid", "role", "rank", "host", "tid", "thread", "domain", "root", "path", "class", "message",
    "calls", "total_ns", "self_ns", "min_ns", "p50_ns", "p99_ns", "max_ns", "phase",
)  # fmt: skip


def write(
    run: Run,
    stream: TextIO,
    tick: Tick = no_tick,
    phase: str | None = None,
    *,
    sort: str = "tree",
    limit: int = 0,
) -> list[str]:
    """Write a heading and one line per row (of one phase); lines end in CR LF, missing values are
    empty. Rows come process by process, or the largest `total`, `self`, `calls` or `mean` first;
    `limit` is the most lines (0: all). Returns what a reader should know beside."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    seen: dict[str | None, None] = {}
    rows: list[dict[str, Any]] = []  # those that wait for the largest
    written = 0
    for at, recording in enumerate(run.recordings):
        stats = collect(recording, read(recording), tick=tick)
        seen.update(dict.fromkeys(row.phase for row in stats.rows))
        for entry in row_entries(at, recording, stats, phase):
            thread = entry.pop("thread")
            process = {
                "pid": recording.pid,
                "role": recording.role,
                "rank": recording.rank,
                "host": recording.host,
            }
            cells = {**entry, **process, "tid": thread["tid"], "thread": thread["name"]}
            if sort != "tree":
                rows.append(cells)
            elif not limit or written < limit:
                writer.writerow([guarded(cells[column]) for column in COLUMNS])
                written += 1
    rows.sort(
        key=lambda cells: weight(sort, cells["total_ns"], cells["self_ns"], cells["calls"]),
        reverse=True,
    )
    for cells in rows[: limit or None]:
        writer.writerow([guarded(cells[column]) for column in COLUMNS])
    return (
        []
        if phase is None or phase in [one or NO_PHASE for one in seen]
        else [no_such_phase(phase, seen)]
    )


def guarded(cell: Any) -> Any:
    """A spreadsheet runs a cell that begins like a formula, and names are what the program chose:
    an apostrophe makes it text."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
