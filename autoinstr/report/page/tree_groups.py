"""The module trees of a page by group of processes, and the findings that refer to their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.text import escape_unprintable
from autoinstr.report.page.comparison import MAX_MEANS, compare_processes
from autoinstr.report.page.trees import build_tree, find_row, order_domains

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.alike import DomainGroup, ProcessGroup
    from autoinstr.analysis.findings import Finding

MAX_TREE_ROWS = 150_000  # of all trees of the page together


def build_groups(
    groups: Sequence[ProcessGroup], phases: Sequence[str | None]
) -> Iterator[dict[str, Any]]:
    """Yield an entry for each group, the busiest first, up to the page's limit of rows."""
    row_count, max_means = 0, MAX_MEANS
    compared: list[DomainGroup] = []  # a comparison belongs to the first tree with its processes
    for group in groups:
        row_count += sum(map(len, group.lines.values()))
        if row_count > MAX_TREE_ROWS and group is not groups[0]:
            return
        domains = []
        for domain in order_domains(group):
            lines = group.lines[domain]
            entry = build_tree(group, domain, phases)
            domain_group = group.domain_groups[domain]
            has_ranks = len(domain_group.processes) > 1 and not entry["left_out"]
            if has_ranks and domain_group not in compared:
                compared.append(domain_group)
                entry["ranks"] = compare_processes(domain_group, phases, len(lines), max_means)
                max_means -= sum(
                    len(means)
                    for phase_figures in entry["ranks"]["figures"]
                    for means in phase_figures["means"]
                    if means is not None
                )
            domains.append(entry)
        yield {
            "process": group.busiest.index,
            "members": [process.index for process in group.processes],
            "domains": domains,
        }


def build_finding(finding: Finding, groups: Sequence[ProcessGroup]) -> dict[str, Any]:
    """Return a finding with the position of its row.

    `place` is [group, domain, row], or None. `process` is -1 for a finding about several processes.
    """
    place = None
    for index, group in enumerate(groups):
        is_member = any(process.index == finding.process for process in group.processes)
        if is_member and finding.domain in group.lines:
            row = find_row(group, finding.domain, finding.path)
            domain = order_domains(group).index(finding.domain)
            place = [index, domain, row] if row is not None else None
    return {
        "kind": finding.kind,
        "words": escape_unprintable(finding.summary),
        "place": place,
        "process": finding.process,
    }
