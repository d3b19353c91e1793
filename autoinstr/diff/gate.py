"""Judge a comparison for `--fail-above`: is B slower than A by more than the limit?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.diff.diff_line import ALIKE, INCONCLUSIVE, SLOWER
from autoinstr.report.terminal.differences import format_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.diff_line import DiffLine

MIN_JUDGED_SHARE = 0.5  # of a domain's outermost time


class Verdict(NamedTuple):
    """The result of the gate.

    `failed` are slower by more than the limit, the largest impact first. `unjudged` are
    inconclusive, or have no counterpart, or look slower than the limit with an interval that
    includes no change. `judged_share` is the part (0 to 1) of the outermost time that was judged,
    in the domain where it is largest.
    """

    failed: list[DiffLine]
    unjudged: list[DiffLine]
    judged_share: float

    @property
    def is_conclusive(self) -> bool:
        """Whether enough time was judged for a run without failures to pass."""
        return self.judged_share >= MIN_JUDGED_SHARE


def judge(comparison: Comparison, limit: float, modules: bool = False) -> Verdict:
    """Judge the lines of whole steps, and with `modules` every module and folded entry too.

    `limit` is a fraction: 0.05 for 5 %.
    """
    lines = [
        *comparison.step_lines,
        *(comparison.lines + comparison.entries if modules else ()),
    ]
    slower = [
        line
        for line in lines
        if line.change == SLOWER and line.estimate and line.estimate.ratio > 1 + limit
    ]
    slower.sort(key=lambda line: -line.impact_ns)
    unique = {(line.role, line.domain, line.phase, line.path): line for line in slower}
    unjudged = [line for line in comparison.step_lines if _is_unjudged(line, limit)]
    return Verdict(
        list(unique.values()), unjudged, _compute_judged_share(comparison.step_lines, limit)
    )


def describe_line(line: DiffLine) -> str:
    """Return "MainProcess, layers.3, decode: +12.3% (95 %: +11.0% to +13.1%)"."""
    place = ", ".join(filter(None, (line.role, line.path or f"all of {line.domain}", line.phase)))
    estimate = line.estimate
    if line.only_in or not estimate or estimate.low is None or estimate.high is None:
        return f"{place}: {line.reason or f'only in {line.only_in.upper()}'}"
    ratio = format_ratio(estimate.ratio)
    if line.change == INCONCLUSIVE:
        return f"{place}: {line.reason} ({ratio})"
    low, high = format_ratio(estimate.low), format_ratio(estimate.high)
    return f"{place}: {ratio} (95 %: {low} to {high})"


def _is_unjudged(line: DiffLine, limit: float) -> bool:
    is_doubtful = (
        line.change == ALIKE and line.estimate is not None and line.estimate.ratio > 1 + limit
    )
    return line.change == INCONCLUSIVE or bool(line.only_in) or is_doubtful


def _compute_judged_share(lines: Sequence[DiffLine], limit: float) -> float:
    totals_ns: dict[str, list[int]] = {}  # domain -> [judged, all]
    for line in lines:
        domain_totals = totals_ns.setdefault(line.domain, [0, 0])
        domain_totals[0] += 0 if _is_unjudged(line, limit) else line.larger_total_ns
        domain_totals[1] += line.larger_total_ns
    return max((judged / total for judged, total in totals_ns.values() if total), default=0.0)
