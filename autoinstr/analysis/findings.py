"""What stands out in a run: layers unlike their neighbours, slow ranks, and the cost of recording.

Nothing is guessed. A finding compares figures of one run that should be equal, and says which
differ and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.alike import list_domain_groups
from autoinstr.analysis.compiled_wrappers import WRAPPER_CLASS
from autoinstr.analysis.outliers import find_layer_outliers, find_slow_processes, sum_excess
from autoinstr.analysis.processes import estimate_overhead
from autoinstr.analysis.several_runs import describe_successive_runs
from autoinstr.base import text
from autoinstr.targets.step_parts import BACKWARD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.alike import DomainGroup, ProcessGroup
    from autoinstr.analysis.outliers import Excess
    from autoinstr.analysis.processes import Process
    from autoinstr.analysis.tree_lines import TreeLine

LARGE_OVERHEAD = 0.05  # the share of the time inside ranges from which recording is a finding
MIN_FIRST_CALLS = 3  # calls of a module whose first call may be a finding
FIRST_CALL_RATIO = 10  # how many times the others' mean the first call takes
FIRST_CALL_SHARE = 0.05  # of the busy time of the process
NAMED_OTHERS = 2  # other layers or processes that a finding names


class Finding(NamedTuple):
    """One line of prose about one place.

    `kind` is runs, outlier, first, rank or overhead. The place is the index of a process, a domain
    and the path of a line; -1 and "" for a finding about the whole run. `excess_ns` is the time
    beyond what is usual, the order of findings. All that stands out in one place is one finding. So
    there are no more findings than lists of layers and outermost modules."""

    kind: str
    summary: str
    process: int = -1
    domain: str = ""
    path: str = ""
    excess_ns: float = 0.0


def collect_findings(groups: Sequence[ProcessGroup], processes: Sequence[Process]) -> list[Finding]:
    """Return all findings: first those about the whole run, then the largest excess."""
    findings = [
        finding
        for group in groups
        for domain in group.lines
        for finding in find_outlier_layers(group.busiest, domain, group.lines[domain])
    ]
    for group in groups:
        findings += find_slow_first_calls(group)
    for domain_group in list_domain_groups(groups):
        findings += find_slow_ranks(domain_group)
    findings.sort(key=lambda finding: -finding.excess_ns)
    runs = describe_successive_runs(process.recording for process in processes)
    if runs:
        findings.insert(0, Finding("runs", runs))
    overhead = estimate_overhead(processes)
    if overhead is not None and overhead > LARGE_OVERHEAD:
        summary = (
            f"recording took an estimated {100 * overhead:.0f} % of the time inside ranges: "
            "leave out small modules (option exclude)"
        )
        findings.append(Finding("overhead", summary))
    return findings


def find_outlier_layers(
    process: Process, domain: str, lines: Sequence[TreeLine]
) -> Iterator[Finding]:
    """Yield a finding for each list of layers with outliers."""
    for outliers in find_layer_outliers(lines):
        (path, excesses), *other_entries = outliers.entries
        largest = excesses[0]
        structure = " (other structure)" if path in outliers.separate else ""
        difference = text.format_duration(largest.mean_ns - largest.usual_ns)
        main_path = f"; mostly in {outliers.main_path}" if outliers.main_path else ""
        names = [other_path for other_path, _ in other_entries]
        summary = (
            f"{path}{structure} takes {largest.ratio:.1f} × the median of {outliers.line.path}"
            f"{_format_phase(largest.phase)} (+{difference} a call, "
            f"{text.format_count(largest.calls, 'call')}){main_path}"
            f"{_format_other_phases(excesses)}{_format_others(names)}"
        )
        excess_ns = sum_excess(outliers.entries)
        yield Finding("outlier", summary, process.index, domain, outliers.line.path, excess_ns)


def find_slow_first_calls(group: ProcessGroup) -> Iterator[Finding]:
    """Yield a finding for each outermost module whose first call takes most of its time, and for
    the backward.

    The first call compiles, loads or warms up. A module that torch.compile made says so. A compiled
    backward is compiled when it first runs."""
    process = group.busiest
    for domain, lines in group.lines.items():
        for line in lines:
            node, first_ns = line.node, line.node.first_call_ns
            is_outermost = not line.depth and (node.cls or line.path == BACKWARD)
            if not is_outermost or first_ns is None or node.calls < MIN_FIRST_CALLS:
                continue
            usual_ns = (node.total_ns - first_ns) / (node.calls - 1)
            is_slow = first_ns >= FIRST_CALL_RATIO * usual_ns and first_ns >= node.total_ns / 2
            if not is_slow or first_ns < FIRST_CALL_SHARE * process.busy_ns:
                continue
            is_compiled = WRAPPER_CLASS in node.classes
            first, total = map(text.format_duration, (first_ns, node.total_ns))
            summary = (
                f"{line.path} {'is compiled; its' if is_compiled else 'takes longest in its'} "
                f"first call{' takes' if is_compiled else ':'} {first} of {total} "
                f"({text.format_count(node.calls, 'call')}, {text.format_duration(usual_ns)} "
                "each after it)"
            )
            yield Finding("first", summary, process.index, domain, line.path, first_ns - usual_ns)


def find_slow_ranks(group: DomainGroup) -> Iterator[Finding]:
    """Yield a finding for each outermost module in which some processes are slow."""
    count = len(group.processes)
    reference = "the other" if count == 2 else f"the median of {count:,} similar processes"
    for slow in find_slow_processes(group):
        (index, excesses), *other_entries = slow.processes
        process, largest = group.processes[index], excesses[0]
        mean, usual = map(text.format_duration, (largest.mean_ns, largest.usual_ns))
        names = [group.processes[other_index].label for other_index, _ in other_entries]
        summary = (
            f"{process.label} takes {largest.ratio:.2f} × {reference} in {slow.line.path}"
            f"{_format_phase(largest.phase)} ({mean} a call against {usual})"
            f"{_format_other_phases(excesses)}{_format_others(names)}"
        )
        excess_ns = sum_excess(slow.processes)
        yield Finding("rank", summary, process.index, group.domain, slow.line.path, excess_ns)


def _format_phase(phase: str | None) -> str:
    return f" in {phase}" if phase else ""


def _format_other_phases(excesses: list[Excess]) -> str:
    """Return the phases after the first, which the summary names already."""
    other_phases = [
        f"{excess.phase or 'no phase'} ({excess.ratio:.1f} ×)" for excess in excesses[1:]
    ]
    return f"; also in {', '.join(other_phases)}" if other_phases else ""


def _format_others(names: list[str]) -> str:
    """Return the other layers or processes that stand out in the same place."""
    if not names:
        return ""
    unnamed = f" and {len(names) - NAMED_OTHERS:,} more" if len(names) > NAMED_OTHERS else ""
    return f"; also slow: {', '.join(names[:NAMED_OTHERS])}{unnamed}"
