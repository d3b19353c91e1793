"""What the lines that a table leaves out have at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.phase_names import NO_PHASE
from autoinstr.report.terminal.cells import format_share
from autoinstr.report.terminal.columns import choose_phases, compute_busy_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.processes import Process
    from autoinstr.analysis.tree_lines import TreeLine


def format_bound(
    process: Process,
    lines: Sequence[TreeLine],
    hidden_lines: Sequence[TreeLine],
    *,
    by_phase: bool,
) -> str:
    """Return the largest share of the hidden lines, in the measure by which lines are chosen: of
    the busy time, or of a phase's."""
    phases = process.phases
    if by_phase and choose_phases(lines):
        shares = [
            compute_busy_ns(figures) / busy_ns
            for line in hidden_lines
            for phase, figures in line.node.phases.items()
            if (busy_ns := phases[phase or NO_PHASE][1])
        ]
        measure = " of a phase"
    else:
        busy_ns, measure = process.busy_ns, ""
        shares = [compute_busy_ns(line.node) / busy_ns for line in hidden_lines if busy_ns]
    return f", each at most {format_share(max(shares), 1)}{measure}" if shares else ""
