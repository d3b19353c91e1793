"""Write the device table for programs: `--format json` (autoinstr.modules/1) and `--format csv`."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.device.ascend.modules import split_kernels, walk_modules
from autoinstr.report.data.stats_csv import guard_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.device.ascend.analysis import FolderAnalysis, ProfileResult
    from autoinstr.device.ascend.module_statistic import Operator
    from autoinstr.device.ascend.modules import DeviceModule

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
            operators = [_build_operator_entry(operator) for operator in module.operators]
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
    for entry, module in _iterate_rows(result):
        if entry["variant"] is not None:
            continue  # the module has the operators of its variants too
        for operator in module.operators:
            yield {
                "path": module.path,
                "module": operator.module,
                "operator": operator.name,
                "kernels": operator.kernels,
                "count": operator.times,
                "device_ns": operator.total_ns,
                "mean_ns": operator.total_ns / operator.times,
            }


def _build_operator_entry(operator: Operator) -> dict[str, Any]:
    return {
        "module": operator.module,
        "name": operator.name,
        "kernels": split_kernels(operator.kernels),
        "count": operator.times,
        "device_ns": operator.total_ns,
    }


def _build_profile_entry(result: ProfileResult) -> dict[str, Any]:
    facts = result.facts
    return {
        "label": result.label,
        "rank": result.profile.rank,
        "folder": result.profile.folder,
        "database": result.profile.database,
        "problem": result.problem or None,
        "remarks": list(result.remarks),
        "kernels": facts.kernels.number if facts else None,
        "device_ns": facts.kernels.total_ns if facts else None,
        "linked_kernels": facts.linked.number if facts else None,
        "linked_ns": facts.linked.total_ns if facts else None,
        "start_ns": facts.start_ns if facts else None,
        "end_ns": facts.end_ns if facts else None,
        "domains": {
            name: sum(counts.values()) for name, counts in (facts.domains if facts else {}).items()
        },
    }


def _iterate_rows(result: ProfileResult) -> Iterator[tuple[dict[str, Any], DeviceModule]]:
    """Yield (row, module) of all modules; the variants of a module follow it directly."""
    if result.tree is None or result.facts is None:
        return
    total_ns = result.facts.kernels.total_ns
    for module in walk_modules(result.tree):
        yield _build_entry(module, None, total_ns), module
        for variant in module.variants.values():
            yield _build_entry(variant, module.path, total_ns), variant


def _build_entry(module: DeviceModule, variant_of: str | None, total_ns: int) -> dict[str, Any]:
    return {
        "path": module.path,
        "module": module.name,
        "depth": module.depth,
        "variant": variant_of,
        "calls": module.calls,
        "device_ns": module.total_ns,
        "share": module.total_ns / total_ns if total_ns else None,
        "self_ns": module.self_ns,
        "mean_ns": module.mean_ns,
        "kernels": module.kernels,
        "self_kernels": module.self_kernels,
        "host_ns": None if module.calls is None else module.host_ns,
    }
