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
        unknown = facts.get("unknown") if isinstance(facts, dict) else 0
        self.unknown = unknown if isinstance(unknown, int) else 0  # generated functions
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


def describe_compiled(summaries: Iterable[CompiledSummary]) -> list[str]:
    """Return the line about compiled code; no line if nothing was compiled."""
    listed = list(summaries)
    own = max((len(summary.own) for summary in listed), default=0)
    shared = max((len(summary.shared) for summary in listed), default=0)
    unknown = sum(summary.unknown for summary in listed)
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
            "an empty compile cache gives them"
        )
    return [f"compiled: {'; '.join(parts)}"] if parts else []
