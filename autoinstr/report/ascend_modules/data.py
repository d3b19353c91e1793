"""Write the device table for programs: `--format json` (autoinstr.modules/1) and `--format csv`."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.device.ascend.modules import walk_modules
from autoinstr.report.ascend_modules.check_table import build_check_entry
from autoinstr.report.data.stats_csv import guard_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.device.ascend.analysis import FolderAnalysis, ProfileResult
    from autoinstr.device.ascend.modules import DeviceModule, Operator

SCHEMA = "autoinstr.modules/1"
COLUMNS = (
    "profile",
    "rank",
    "folder",
    "path",
    "module",
    "depth",
    "variant",
    "calls",
    "device_ns",
    "share",
    "self_ns",
    "mean_ns",
    "kernels",
    "self_kernels",
    "host_ns",
)
OPERATOR_COLUMNS = (
    "profile",
    "rank",
    "folder",
    "path",
    "module",
    "operator",
    "kernels",
    "count",
    "device_ns",
    "mean_ns",
)


def write_json(analysis: FolderAnalysis, stream: TextIO) -> None:
    """Write the profiles, the rows, and the operators of each row."""
    rows = []
    for index, result in enumerate(analysis.results):
        for entry, module in _iterate_rows(result):
            operators = [_build_operator_entry(module, operator) for operator in module.operators]
            rows.append({"profile": index, **entry, "operators": operators})
    contents = {
        "schema": SCHEMA,
        "path": analysis.path,
        "profiles": [_build_profile_entry(result) for result in analysis.results],
        "remarks": [*analysis.remarks, *analysis.other_data],
        "rows": rows,
    }
    json.dump(contents, stream, indent=1)
    stream.write("\n")


def write_csv(analysis: FolderAnalysis, stream: TextIO, table: str) -> None:
    """Write a heading and a line for each row of the JSON, or for each operator.

    `table` is "modules" or "operators".
    """
    columns = OPERATOR_COLUMNS if table == "operators" else COLUMNS
    iterate_cells = _iterate_operator_cells if table == "operators" else _iterate_module_cells
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(columns)
    for index, result in enumerate(analysis.results):
        profile = {
            "profile": index,
            "rank": result.profile.rank,
            "folder": result.profile.folder,
        }
        for entry in iterate_cells(result):
            cells = {**profile, **entry}
            writer.writerow([guard_cell(cells[column]) for column in columns])


def _iterate_module_cells(result: ProfileResult) -> Iterator[dict[str, Any]]:
    for entry, _ in _iterate_rows(result):
        yield entry


def _iterate_operator_cells(result: ProfileResult) -> Iterator[dict[str, Any]]:
    for _, module in _iterate_rows(result):
        for operator in module.operators:
            yield {
                "path": module.path,
                "module": module.name,
                "operator": operator.name,
                "kernels": ", ".join(operator.kernels),
                "count": operator.times,
                "device_ns": operator.total_ns,
                "mean_ns": operator.total_ns / operator.times,
            }


def _build_operator_entry(module: DeviceModule, operator: Operator) -> dict[str, Any]:
    return {
        "module": module.name,
        "name": operator.name,
        "kernels": list(operator.kernels),
        "count": operator.times,
        "device_ns": operator.total_ns,
    }


def _build_profile_entry(result: ProfileResult) -> dict[str, Any]:
    facts, times = result.facts, result.times
    by_basis = times.by_basis if times else {}
    return {
        "label": result.label,
        "rank": result.profile.rank,
        "folder": result.profile.folder,
        "database": result.profile.database,
        "problem": result.problem or None,
        "remarks": list(result.remarks),
        "kernels": times.kernels.number if times else 0 if facts else None,
        "device_ns": times.kernels.total_ns if times else 0 if facts else None,
        "linked_kernels": times.linked.number if times else 0 if facts else None,
        "linked_ns": times.linked.total_ns if times else 0 if facts else None,
        "bases": {
            basis: {"kernels": part.number, "device_ns": part.total_ns}
            for basis, part in by_basis.items()
        },
        "check": build_check_entry(result.check) if result.check else None,
        "start_ns": facts.start_ns if facts else None,
        "end_ns": facts.end_ns if facts else None,
        "domains": {
            name: sum(counts.values()) for name, counts in (facts.domains if facts else {}).items()
        },
    }


def _iterate_rows(result: ProfileResult) -> Iterator[tuple[dict[str, Any], DeviceModule]]:
    """Yield (row, module) of all modules."""
    if result.tree is not None and result.times is not None:
        for module in walk_modules(result.tree):
            yield _build_entry(module, result.times.shared_ns), module


def _build_entry(module: DeviceModule, total_ns: int) -> dict[str, Any]:
    return {
        "path": module.path,
        "module": module.name,
        "depth": module.depth,
        "variant": None,
        "calls": module.calls,
        "device_ns": module.total_ns,
        "share": module.total_ns / total_ns if total_ns else None,
        "self_ns": module.self_ns,
        "mean_ns": module.mean_ns,
        "kernels": module.kernels,
        "self_kernels": module.self_kernels,
        "host_ns": None if module.calls is None else module.host_ns,
    }
