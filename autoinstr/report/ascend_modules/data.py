"""The module table for programs: `--format json` (schema autoinstr.modules/1) and `--format
csv`."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.device.ascend.modules import walk
from autoinstr.report.data.stats_csv import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.device.ascend.analysis import Analysis, Result
    from autoinstr.device.ascend.modules import Module

SCHEMA = "autoinstr.modules/1"
COLUMNS = (
    "profile", "rank", "folder", "path", "module", "depth", "variant", "calls", "device_ns", "share", "self_ns", "mean_ns", "kernels",
    "self_kernels", "host_ns",
)  # fmt: skip
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


def write_json(analysis: Analysis, out: TextIO) -> None:
    """Everything: profiles, rows, and the operators of each row."""
    rows = []
    for at, one in enumerate(analysis.results):
        for entry, module in _entries(one):
            operators = [
                {
                    "module": row.module,
                    "name": row.name,
                    "kernels": row.kernels.split(", "),
                    "count": row.times,
                    "device_ns": row.total_ns,
                }
                for row in module.operators
            ]
            rows.append({"profile": at, **entry, "operators": operators})
    told = {
        "schema": SCHEMA,
        "path": analysis.path,
        "profiles": [_profile(one) for one in analysis.results],
        "remarks": [*analysis.remarks, *analysis.others],
        "rows": rows,
    }
    json.dump(told, out, indent=1)
    out.write("\n")


def write_csv(analysis: Analysis, out: TextIO, table: str) -> None:
    """A heading and a line for each row of the JSON, or for each operator."""
    columns = OPERATOR_COLUMNS if table == "operators" else COLUMNS
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for at, one in enumerate(analysis.results):
        who = {"profile": at, "rank": one.profile.rank, "folder": one.profile.folder}
        for entry, module in _entries(one):
            if table == "operators":
                for row in (
                    module.operators if entry["variant"] is None else ()
                ):  # a module has those of its variants too
                    cells: dict[str, Any] = {
                        **who,
                        "path": module.path,
                        "module": row.module,
                        "operator": row.name,
                        "kernels": row.kernels,
                    }
                    cells.update(
                        {
                            "count": row.times,
                            "device_ns": row.total_ns,
                            "mean_ns": row.total_ns / row.times,
                        }
                    )
                    writer.writerow([guarded(cells[column]) for column in columns])
            else:
                writer.writerow([guarded({**who, **entry}[column]) for column in columns])


def _profile(one: Result) -> dict[str, Any]:
    facts = one.facts
    told: dict[str, Any] = {
        "label": one.label,
        "rank": one.profile.rank,
        "folder": one.profile.folder,
        "database": one.profile.database,
    }
    told.update({"problem": one.problem or None, "remarks": list(one.remarks)})
    names = ("kernels", "device_ns", "linked_kernels", "linked_ns", "start_ns", "end_ns")
    if facts is None:
        return {**told, **dict.fromkeys(names), "domains": {}}
    figures = (
        facts.kernels.number,
        facts.kernels.ns,
        facts.linked.number,
        facts.linked.ns,
        facts.start_ns,
        facts.end_ns,
    )
    return {
        **told,
        **dict(zip(names, figures)),
        "domains": {name: sum(kinds.values()) for name, kinds in facts.domains.items()},
    }


def _entries(one: Result) -> Iterator[tuple[dict[str, Any], Module]]:
    """(row, module); variants come right after their module."""
    if one.tree is None or one.facts is None:
        return
    everything = one.facts.kernels.ns
    for module in walk(one.tree):
        yield _entry(module, None, everything), module
        for variant in module.variants.values():
            yield _entry(variant, module.path, everything), variant


def _entry(module: Module, variant_of: str | None, everything: int) -> dict[str, Any]:
    return {
        "path": module.path,
        "module": module.name,
        "depth": module.depth,
        "variant": variant_of,
        "calls": module.calls,
        "device_ns": module.total_ns,
        "share": module.total_ns / everything if everything else None,
        "self_ns": module.self_ns,
        "mean_ns": module.mean_ns,
        "kernels": module.kernels,
        "self_kernels": module.self_kernels,
        "host_ns": None if module.calls is None else module.host_ns,
    }
