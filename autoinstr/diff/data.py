"""Write `autoinstr diff --format json`: the object `autoinstr.diff/1` (docs/reference/diff.md).

The page is built from the same object.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.diff.gate import describe_line
from autoinstr.diff.run_differences import collect_versions, list_differences, list_problems
from autoinstr.diff.table import list_findings, list_remarks
from autoinstr.report.data.stats_json import build_process_entry

if TYPE_CHECKING:
    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.diff_line import DiffLine
    from autoinstr.diff.gate import Verdict
    from autoinstr.diff.side import RunSide
    from autoinstr.diff.side_figures import SideFigures

SCHEMA = "autoinstr.diff/1"
LISTS = ("steps", "rows", "entries")


def build_contents(
    comparison: Comparison, limit: float | None = None, verdict: Verdict | None = None
) -> dict[str, Any]:
    """Return the object; `limit` (0.05 for 5 %) and `verdict` are those of `--fail-above`."""
    differences = list_differences(comparison.a.run, comparison.b.run)
    return {
        "schema": SCHEMA,
        "a": _build_side_entry(comparison.a),
        "b": _build_side_entry(comparison.b),
        "differences": [{"what": entry.name, "a": entry.a, "b": entry.b} for entry in differences],
        "time": "device" if comparison.is_of_device else "host",
        "in_common": comparison.has_common_modules,
        "steps": [_build_line_entry(line) for line in comparison.step_lines],
        "rows": [
            {
                **_build_line_entry(line),
                "parent": line.parent,
                "renamed": comparison.counterparts.get(index),
            }
            for index, line in enumerate(comparison.lines)
        ],
        "entries": [
            {**_build_line_entry(line), "parent": line.parent} for line in comparison.entries
        ],
        "findings": list(list_findings(comparison)),
        "remarks": list(list_remarks(comparison)),
        "fail_above": limit,
        "failed": [describe_line(line) for line in verdict.failed] if verdict else [],
        "unjudged": [describe_line(line) for line in verdict.unjudged] if verdict else [],
        "judged": verdict.judged_share if verdict else None,
    }


def write_json(contents: dict[str, Any], stream: TextIO) -> None:
    """Write the object with one line for each row."""
    head = json.dumps({key: value for key, value in contents.items() if key not in LISTS})
    stream.write(head[:-1])
    for key in LISTS:
        stream.write(f', "{key}": [')
        stream.write(",".join(f"\n{json.dumps(row)}" for row in contents[key]))
        stream.write("]")
    stream.write("}\n")


def _build_side_entry(side: RunSide) -> dict[str, Any]:
    return {
        "path": side.run.path,
        "ranges": side.range_count,
        "dropped": sum(recording.dropped_count for recording in side.run.recordings),
        "versions": collect_versions(side.run),
        "processes": [build_process_entry(recording) for recording in side.run.recordings],
        "problems": list(list_problems(side)),
    }


def _build_line_entry(line: DiffLine) -> dict[str, Any]:
    estimate = line.estimate
    return {
        "role": line.role,
        "domain": line.domain,
        "phase": line.phase,
        "path": line.path,
        "only_in": line.only_in or None,
        "change": line.change or None,
        "reason": line.reason or None,
        "ratio": estimate.ratio if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "p": estimate.p_value if estimate and estimate.has_interval else None,
        "ratio_per_call": line.call_ratio,
        "difference_ns": line.impact_ns,
        "a": _build_figures_entry(line.a, line.paths[0], line.classes[0], line.share_a),
        "b": _build_figures_entry(line.b, line.paths[1], line.classes[1], line.share_b),
    }


def _build_figures_entry(
    figures: SideFigures | None, path: str, cls: str, share: float | None
) -> dict[str, Any] | None:
    if figures is None:
        return None
    return {
        "path": path,
        "class": cls,
        "calls": figures.calls,
        "total_ns": figures.total_ns,
        "self_ns": figures.self_ns,
        "mean_ns": figures.mean_ns,
        "p50_ns": figures.p50_ns,
        "step": figures.step_kind or None,
        "steps": figures.steps,
        "step_ns": figures.step_ns,
        "share": share,
    }
