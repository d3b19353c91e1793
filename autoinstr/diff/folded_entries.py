"""Find entries of a folded list that changed unlike the others, such as one slow layer."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from autoinstr.diff.diff_line import add_estimate

if TYPE_CHECKING:
    from autoinstr.diff.diff_line import DiffLine
    from autoinstr.diff.match import BranchPair
    from autoinstr.diff.statistic import RatioEstimate

MIN_ENTRIES = 3  # of a list; with fewer, none is typical
MIN_DEVIATION = 1.1  # factor between an entry's ratio and the typical one


def find_deviating_entries(line: DiffLine, pair: BranchPair, parent: int) -> list[DiffLine]:
    """Return a line for each entry whose interval excludes the typical ratio.

    The typical ratio is the median of all entries. `parent` is the index of the list's own line.
    """
    if not (pair.a and pair.b):
        return []
    entries = []
    for number in pair.a.entries.keys() & pair.b.entries.keys():
        a, b = (branch.entries[number].get(line.phase) for branch in (pair.a, pair.b))
        if not (a and b):
            continue
        paths = _get_entry_path(line.paths[0], number), _get_entry_path(line.paths[1], number)
        entry = add_estimate(
            line._replace(
                path=paths[0], paths=paths, parent=parent, a=a, b=b, share_a=None, share_b=None
            )
        )
        if entry.estimate:
            entries.append(entry)
    if len(entries) < MIN_ENTRIES:
        return []
    typical = median(entry.estimate.ratio for entry in entries if entry.estimate)
    return [
        entry
        for entry in entries
        if entry.estimate and not entry.reason and _is_deviating(entry.estimate, typical)
    ]


def _is_deviating(estimate: RatioEstimate, typical: float) -> bool:
    if estimate.low is None or estimate.high is None or estimate.low <= typical <= estimate.high:
        return False
    return max(estimate.ratio / typical, typical / estimate.ratio) >= MIN_DEVIATION


def _get_entry_path(path: str, number: int) -> str:
    """Return "model.layers.17" for entry 17 of "model.layers.[3-47]"."""
    head, dot, last = path.rpartition(".")
    base = last.rpartition("#")[0]
    return f"{head}{dot}{base}#{number}" if base else f"{head}{dot}{number}"
