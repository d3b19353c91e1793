"""Format `autoinstr diff --format table`: what changed, on one screen."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from autoinstr.base import text
from autoinstr.diff.columns import build_columns
from autoinstr.diff.run_differences import (
    collect_versions,
    describe_process_counts,
    join_first,
    list_differences,
    list_problems,
)
from autoinstr.report.terminal.cells import format_time
from autoinstr.report.terminal.differences import (
    describe_one_sided,
    format_difference,
    format_ratio,
)
from autoinstr.report.terminal.layout import format_table
from autoinstr.report.terminal.style import format_warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.diff_line import DiffLine
    from autoinstr.diff.side import RunSide
    from autoinstr.report.options import TableOptions

MAX_STEP_LINES = 8  # of whole steps
MAX_CLASS_CHANGES = 4
STEP_DESCRIPTIONS = {
    "engine step": "an engine step",
    "training step": "a training step (up to the optimizer's)",
    "outermost call": "an outermost call",
    "profiled step": "a step that the profile names",
}


def format_diff(comparison: Comparison, options: TableOptions, command: str = "") -> Iterator[str]:
    """Yield all lines; `command` makes the same comparison, without a format."""
    yield from _describe_side("A", comparison.a, options)
    yield from _describe_side("B", comparison.b, options)
    differences = [
        f"{entry.name} {entry.a or '-'} → {entry.b or '-'}"
        for entry in list_differences(comparison.a.run, comparison.b.run)
    ]
    if differences:
        yield from text.wrap_items("differs", differences, options.width)
    if comparison.has_common_modules:
        yield from text.wrap_items("a step is", _describe_steps(comparison), options.width)
        yield ""
        yield from _format_steps(comparison, options)
        yield ""
        yield from _format_modules(comparison, options)
        yield ""
    else:
        yield "nothing in common: no module was called in both"
    yield from text.limit_lines([f"* {line}" for line in list_findings(comparison)])
    yield from text.limit_lines(list(map(format_warning, list_remarks(comparison))))
    if command:
        yield f"next: {_suggest_command(comparison, command)}"


def sort_lines(lines: Sequence[DiffLine], sort: str) -> list[DiffLine]:
    """Sort by "difference", "ratio" or "total", the largest first; "tree" keeps the order."""
    keys = {
        "difference": lambda line: -abs(line.impact_ns),
        "ratio": lambda line: -(line.estimate.ratio if line.estimate else 0.0),
        "total": lambda line: -line.larger_total_ns,
    }
    return sorted(lines, key=keys[sort]) if sort in keys else list(lines)


def list_findings(comparison: Comparison) -> Iterator[str]:
    """Yield a line for each folded entry that changed differently from the others."""
    for line in sort_lines(comparison.entries, "difference"):
        assert line.estimate and line.a and line.b
        phase = f" in {line.phase}" if line.phase else ""
        times = f"{format_time(line.a.step_ns)} → {format_time(line.b.step_ns)}"
        yield (
            f"{line.path}{phase}: {format_ratio(line.estimate.ratio)} a step ({times}), unlike "
            f"the rest of {comparison.lines[line.parent].path}"
        )


def list_remarks(comparison: Comparison) -> Iterator[str]:
    """Yield what limits the figures: unmatched modules, other classes, and each run's problems."""
    lines = comparison.lines
    for name, key in (("A", "a"), ("B", "b")):
        paths = [
            text.escape_unprintable(line.path)
            for line in lines
            if line.only_in == key and (line.parent < 0 or not lines[line.parent].only_in)
        ]
        if paths:
            yield describe_one_sided(name, list(dict.fromkeys(paths)))
    for index, counterpart in comparison.counterparts.items():
        if lines[index].only_in == "a":
            yield f"{lines[index].path} of A may be {lines[counterpart].path} of B: not compared"
    classes = dict.fromkeys(
        line.classes for line in lines if not line.only_in and line.classes[0] != line.classes[1]
    )
    if classes:
        changes = [f"{a or '-'} → {b or '-'}" for a, b in classes]
        suffix = ", …" if len(changes) > MAX_CLASS_CHANGES else ""
        yield f"same path, other class: {', '.join(changes[:MAX_CLASS_CHANGES])}{suffix}"
    yield from describe_process_counts(comparison)
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        yield from (f"{name}: {problem}" for problem in list_problems(side))


def _describe_side(name: str, side: RunSide, options: TableOptions) -> list[str]:
    processes = text.format_count(len(side.processes), "process", "processes")
    ranges = text.format_count(side.range_count, "range")
    dropped_count = sum(recording.dropped_count for recording in side.run.recordings)
    versions = [f"{package} {version}" for package, version in collect_versions(side.run).items()]
    hosts = dict.fromkeys(recording.host for recording in side.run.recordings)
    items = [
        f"{side.run.path}: {processes}, {ranges}, {dropped_count:,} dropped",
        ", ".join(versions),
        join_first(hosts),
    ]
    return text.wrap_items(name, [item for item in items if item], options.width)


def _describe_steps(comparison: Comparison) -> list[str]:
    kinds = dict.fromkeys(
        figures.step_kind
        for line in comparison.lines
        for figures in (line.a, line.b)
        if figures and figures.step_kind
    )
    return [
        " or ".join(STEP_DESCRIPTIONS[kind] for kind in kinds),
        "its time is the median of the steps a module ran in, in one process",
        *(["times are of kernels on the device"] if comparison.is_of_device else []),
    ]


def _format_steps(comparison: Comparison, options: TableOptions) -> Iterator[str]:
    """Yield the table of whole steps."""
    lines = comparison.step_lines
    shown_lines = lines[:MAX_STEP_LINES]
    yield from format_table(build_columns("whole step", shown_lines), shown_lines, options.width)
    if len(lines) > len(shown_lines):
        yield f"… {text.format_count(len(lines) - len(shown_lines), 'more line')}"


def _format_modules(comparison: Comparison, options: TableOptions) -> Iterator[str]:
    """Yield the table of modules, without those that are in the table of whole steps."""
    step_keys = {line[:4] for line in comparison.step_lines}
    modules = [line for line in comparison.lines if line.parent >= 0 or line[:4] not in step_keys]
    lines = sort_lines(modules, options.sort)
    shown_lines = lines[: options.limit] if options.limit else lines
    if shown_lines:
        yield from format_table(build_columns("module", shown_lines), shown_lines, options.width)
    if len(shown_lines) < len(lines):
        limit = ""
        if options.sort == "difference":
            largest_ns = max(abs(line.impact_ns) for line in lines[len(shown_lines) :])
            limit = f", each at most {format_difference(largest_ns)} apart"
        number = text.format_count(len(lines) - len(shown_lines), "more line")
        yield f"… {number}{limit} (--limit 0 shows all)"


def _suggest_command(comparison: Comparison, command: str) -> str:
    if not comparison.has_common_modules:
        sides = (comparison.a, comparison.b)
        empty = next((side for side in sides if not side.range_count), comparison.b)
        return f"autoinstr report {shlex.quote(empty.run.path)}   # the contents of this run"
    return f"{command} --format html -o diff.html   # all lines, sortable and searchable"
