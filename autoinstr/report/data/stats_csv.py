"""`--format csv`: one line for each row of the JSON report (RFC 4180)."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.device_figures import KEYS
from autoinstr.analysis.phase_names import list_missing_phase
from autoinstr.analysis.stats import collect_stats
from autoinstr.analysis.tree_lines import compute_weight
from autoinstr.device.bases import BACKWARD, RECOMPUTE
from autoinstr.device.profile_store import COMMUNICATION, KINDS
from autoinstr.report.data.device_json import build_line_entries
from autoinstr.report.data.stats_json import build_row_entries

if TYPE_CHECKING:
    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.recording.run import Run

COLUMNS = (
    "process", "pid", "role", "rank", "host", "tid", "thread", "domain", "root", "path", "class",
    "message", "calls", "total_ns", "self_ns", "min_ns", "p50_ns", "p99_ns", "max_ns", "phase",
    "classes", "device_ns", "device_self_ns", "kernels", "self_kernels", "backward_ns",
    "recompute_ns", "communication_ns", "top_kernel", *KEYS,
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
    rows_to_sort: list[dict[str, Any]] = []
    line_count = 0
    for index, recording in enumerate(run.recordings):
        stats = collect_stats(recording, collect_attributes(recording), tick=tick)
        phases.update(dict.fromkeys(row.phase for row in stats.rows))
        profile = device.find_process(index) if device is not None else None
        entries = build_row_entries(index, recording, stats, phase, profile)
        lines = build_line_entries(index, profile) if profile is not None else []
        for entry in itertools.chain(entries, lines):
            thread = entry.pop("thread")
            process = {
                "pid": recording.pid,
                "role": recording.role,
                "rank": recording.rank,
                "host": recording.host,
            }
            cells = {
                **entry,
                **process,
                **_build_device_cells(entry["device"]),
                "tid": thread["tid"],
                "thread": thread["name"],
                "classes": "/".join(entry["classes"]),
            }
            if sort != "tree":
                rows_to_sort.append(cells)
            elif not limit or line_count < limit:
                writer.writerow([guard_cell(cells[column]) for column in COLUMNS])
                line_count += 1
    rows_to_sort.sort(
        key=lambda cells: (
            cells["device_ns"] or 0
            if sort == "device"
            else compute_weight(sort, cells["total_ns"], cells["self_ns"], cells["calls"])
        ),
        reverse=True,
    )
    for cells in rows_to_sort[: limit or None]:
        writer.writerow([guard_cell(cells[column]) for column in COLUMNS])
    return list_missing_phase(phase, phases)


def _build_device_cells(device: dict[str, Any] | None) -> dict[str, Any]:
    """Return the cells of a row's device time; empty ones where no profile says anything."""
    if device is None:
        return dict.fromkeys(COLUMNS[COLUMNS.index("device_ns") :])
    nothing = (0, 0)
    return {
        "device_ns": device["total_ns"],
        "device_self_ns": device["self_ns"],
        "kernels": device["kernels"],
        "self_kernels": device["self_kernels"],
        "backward_ns": device["total_by_basis"].get(BACKWARD, nothing)[1],
        "recompute_ns": device["total_by_basis"].get(RECOMPUTE, nothing)[1],
        "communication_ns": device["kinds"].get(KINDS[COMMUNICATION], nothing)[1],
        "top_kernel": device["top_kernel"],
        **{key: device[key] for key in KEYS},
    }


def guard_cell(cell: Any) -> Any:
    """Return the cell with an apostrophe in front if a spreadsheet would run it as a formula.

    The program chooses names, so a name could be a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
