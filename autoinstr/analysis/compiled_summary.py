"""Says in words what a report shows of compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.stats import StatsRow
    from autoinstr.recording.reader import Recording


COMPILED = "compiled"  # the basis of calls in compiled code


class CompiledSummary:
    """The modules of one process that ran in compiled code."""

    def __init__(self, recording: Recording) -> None:
        facts = recording.header.get("compiled")
        self.unknown = _read_count(facts, "unknown")  # generated functions
        self.unwoven = _read_count(facts, "unwoven")  # of a form without ranges
        self.unknown_kernels = _read_count(facts, "unknown_kernels")  # of recovered functions
        self.own: set[tuple[str, str]] = set()  # modules with ranges of their own
        self.shared: set[tuple[str, str]] = set()  # modules that only share kernels

    def add_rows(self, rows: Iterable[StatsRow]) -> None:
        """Add the modules of some rows."""
        for row in rows:
            module = row.name.root, row.name.path
            if COMPILED in row.basis:
                self.own.add(module)
            elif row.shared_kernels and not row.calls:
                self.shared.add(module)


def _read_count(facts: object, name: str) -> int:
    count = facts.get(name) if isinstance(facts, dict) else 0
    return count if isinstance(count, int) else 0


def describe_compiled(summaries: Iterable[CompiledSummary]) -> list[str]:
    """Return the line about compiled code; no line if nothing was compiled."""
    listed = list(summaries)
    own = max((len(summary.own) for summary in listed), default=0)
    shared = max((len(summary.shared) for summary in listed), default=0)
    unknown = sum(summary.unknown for summary in listed)
    unknown_kernels = sum(summary.unknown_kernels for summary in listed)
    unwoven = sum(summary.unwoven for summary in listed)
    parts = []
    if own or shared:
        parts.append(f"{text.format_count(own, 'module')} ran inside compiled code")
    if shared:
        parts.append(
            f"{text.format_count(shared, 'module')} only in kernels that they share with others: "
            "lines without time"
        )
    if unknown:
        parts.append(
            f"{text.format_count(unknown, 'compiled function')} came from a cache without ranges: "
            "compiled=again gives them"
        )
    if unwoven:
        parts.append(
            f"{text.format_count(unwoven, 'compiled function')} of a form without ranges (C++)"
        )
    if unknown_kernels:
        parts.append(
            f"{text.format_count(unknown_kernels, 'kernel')} of cached code in no module: "
            "compiled=again gives them"
        )
    return [f"compiled: {'; '.join(parts)}"] if parts else []
