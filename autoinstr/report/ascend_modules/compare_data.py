"""Write the comparison of two analyses as JSON (autoinstr.modules.compare/1) or CSV."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.report.ascend_modules.module_pairs import match_modules
from autoinstr.report.data.stats_csv import guard_cell

if TYPE_CHECKING:
    from autoinstr.report.ascend_modules.module_pairs import FolderSide, ModulePair

SCHEMA = "autoinstr.modules.compare/1"
COLUMNS = (
    "path",
    "module",
    "depth",
    "only_in",
    "device_ns_a",
    "device_ns_b",
    "difference_ns",
    "ratio",
    "calls_a",
    "calls_b",
    "mean_ns_a",
    "mean_ns_b",
    "share_a",
    "share_b",
    "kernels_a",
    "kernels_b",
)


def write_json(a: FolderSide, b: FolderSide, stream: TextIO) -> None:
    """Write both sides and all rows, without the operators."""
    comparison = {
        "schema": SCHEMA,
        "a": _build_side_entry(a),
        "b": _build_side_entry(b),
        "rows": [_build_entry(pair, a, b) for pair in match_modules(a, b)],
    }
    json.dump(comparison, stream, indent=1)
    stream.write("\n")


def write_csv(a: FolderSide, b: FolderSide, stream: TextIO) -> None:
    """Write a heading and a line for each row of the JSON."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for pair in match_modules(a, b):
        entry = _build_entry(pair, a, b)
        writer.writerow([guard_cell(entry[column]) for column in COLUMNS])


def _build_side_entry(side: FolderSide) -> dict[str, Any]:
    return {
        "path": side.analysis.path,
        "profiles": len(side.analysis.with_tree),
        "device_ns": side.device_ns,
        "problems": [
            f"{result.label}: {result.problem}"
            for result in side.analysis.results
            if result.problem
        ],
    }


def _build_entry(pair: ModulePair, a: FolderSide, b: FolderSide) -> dict[str, Any]:
    a_ns = pair.a.total_ns if pair.a else 0
    entry: dict[str, Any] = {
        "path": pair.path,
        "module": pair.name,
        "depth": pair.depth,
        "only_in": pair.only_in or None,
        "difference_ns": pair.difference_ns,
        "ratio": pair.b.total_ns / a_ns if pair.b and a_ns else None,
    }
    for key, module, side in (("a", pair.a, a), ("b", pair.b, b)):
        share = module.total_ns / side.device_ns if module and side.device_ns else None
        entry[f"device_ns_{key}"] = module.total_ns if module else None
        entry[f"calls_{key}"] = module.calls if module else None
        entry[f"mean_ns_{key}"] = module.mean_ns if module else None
        entry[f"share_{key}"] = share
        entry[f"kernels_{key}"] = module.kernels if module else None
    return entry
