"""`autoinstr diff --format json`: the object `autoinstr.diff/1` (docs/diff.md). The page is made of
the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.diff.facts import differences, missing, versions
from autoinstr.diff.gate import describe
from autoinstr.diff.table import findings, remarks
from autoinstr.report.data.stats_json import process_entry

if TYPE_CHECKING:
    from autoinstr.diff.comparison import Comparison, Line
    from autoinstr.diff.gate import Verdict
    from autoinstr.diff.measured import Measured
    from autoinstr.diff.side import Side

SCHEMA = "autoinstr.diff/1"


def contents(
    found: Comparison, above: float | None = None, verdict: Verdict | None = None
) -> dict[str, Any]:
    """The whole object; `above` and `verdict` are of `--fail-above`."""
    return {
        "schema": SCHEMA,
        "a": _side(found.a),
        "b": _side(found.b),
        "differences": [one._asdict() for one in differences(found.a.run, found.b.run)],
        "in_common": found.in_common,
        "whole": [_entry(line) for line in found.whole],
        "rows": [
            {**_entry(line), "parent": line.parent, "near": found.near.get(at)}
            for at, line in enumerate(found.lines)
        ],
        "entries": [{**_entry(line), "parent": line.parent} for line in found.entries],
        "findings": list(findings(found)),
        "remarks": list(remarks(found)),
        "fail_above": above,
        "failed": [describe(line) for line in verdict.failed] if verdict else [],
        "unjudged": [describe(line) for line in verdict.unjudged] if verdict else [],
        "judged": verdict.judged if verdict else None,
    }


def write(entry: dict[str, Any], out: TextIO) -> None:
    """As one line a row."""
    lists = ("whole", "rows", "entries")
    head = json.dumps({key: value for key, value in entry.items() if key not in lists})
    out.write(head[:-1])
    for key in lists:
        out.write(f', "{key}": [')
        out.write(",".join(f"\n{json.dumps(row)}" for row in entry[key]))
        out.write("]")
    out.write("}\n")


def _side(side: Side) -> dict[str, Any]:
    return {
        "path": side.run.path,
        "ranges": side.ranges,
        "dropped": sum(recording.dropped for recording in side.run.recordings),
        "versions": versions(side.run),
        "processes": [process_entry(recording) for recording in side.run.recordings],
        "problems": list(missing(side)),
    }


def _entry(line: Line) -> dict[str, Any]:
    shift = line.shift
    return {
        "role": line.role,
        "domain": line.domain,
        "phase": line.phase,
        "path": line.path,
        "only_in": line.only_in or None,
        "change": line.change or None,
        "why": line.why or None,
        "ratio": shift.ratio if shift else None,
        "low": shift.low if shift else None,
        "high": shift.high if shift else None,
        "p": shift.p if shift and shift.told else None,
        "ratio_per_call": line.per_call,
        "difference_ns": line.impact_ns,
        "a": _figures(line.a, line.paths[0], line.classes[0], line.share_a),
        "b": _figures(line.b, line.paths[1], line.classes[1], line.share_b),
    }


def _figures(
    one: Measured | None, path: str, cls: str, share: float | None
) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "path": path,
        "class": cls,
        "calls": one.calls,
        "total_ns": one.total_ns,
        "self_ns": one.self_ns,
        "mean_ns": one.mean_ns,
        "p50_ns": one.p50_ns,
        "step": one.kind or None,
        "steps": one.steps,
        "step_ns": one.step_ns,
        "share": share,
    }
