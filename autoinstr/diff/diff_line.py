"""Define one line of a comparison, and decide what can be said of its times."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.diff.statistic import RatioEstimate, compare_batches, select_differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.diff.match import BranchPair
    from autoinstr.diff.side_figures import SideFigures

# Values of `DiffLine.change`, which the JSON has too.
SLOWER, FASTER, ALIKE, INCONCLUSIVE = "slower", "faster", "alike", "inconclusive"
# Values of `DiffLine.reason`.
TOO_FEW_STEPS, TOO_MUCH_NOISE = "too few steps", "too much noise"
IN_NO_STEP, DIFFERENT_STEPS = "in no step", "steps differ"
MAX_INTERVAL = 4.0  # the upper end of an interval in ratios; a wider one is too much noise


class DiffLine(NamedTuple):
    """One module, or folded list of modules, of one role and domain in one phase.

    `path` covers both sides, `paths` are those of A and B; a root's path is its class. `parent` is
    the index of the parent in `Comparison.lines`, or -1. `a` and `b` are None where a side does not
    have the module. Shares (0 to 1) are of the side's role in this domain and phase. `estimate` is
    the ratio of a step of B to one of A. `change` is one of the values above, or "" for a module of
    one side; `reason` says why a change is inconclusive.
    """

    role: str
    domain: str
    phase: str | None
    path: str
    parent: int
    classes: tuple[str, str]
    paths: tuple[str, str]
    a: SideFigures | None
    b: SideFigures | None
    share_a: float | None = None
    share_b: float | None = None
    estimate: RatioEstimate | None = None
    change: str = ""
    reason: str = ""

    @property
    def only_in(self) -> str:
        """The side that alone has the module, "a" or "b"; "" if both have it."""
        return "" if self.a and self.b else "a" if self.a else "b"

    @property
    def call_ratio(self) -> float | None:
        """Ratio of the median calls, B to A."""
        if not (self.a and self.b and self.a.p50_ns and self.b.p50_ns is not None):
            return None
        return self.b.p50_ns / self.a.p50_ns

    @property
    def larger_total_ns(self) -> int:
        """The total time of the side that has more of it."""
        return max(figures.total_ns for figures in (self.a, self.b) if figures)

    @property
    def impact_ns(self) -> float:
        """The difference of the median steps, times the steps of the side that has more steps.

        A module that ran in no step, for example at start-up, has an impact of 0.
        """
        a, b = self.a, self.b
        if a and b and self.reason == DIFFERENT_STEPS:
            return float((b.p50_ns or 0) - (a.p50_ns or 0)) * max(a.calls, b.calls)
        a_ns, b_ns = ((figures.step_ns if figures else None) or 0.0 for figures in (a, b))
        return (b_ns - a_ns) * max(figures.steps for figures in (a, b) if figures)


def build_line(
    role: str,
    domain: str,
    phase: str | None,
    pair: BranchPair,
    figures: tuple[SideFigures | None, SideFigures | None],
    totals_ns: tuple[int, ...],
) -> DiffLine:
    """Return a line and estimate its ratio; `totals_ns` are what shares refer to on each side."""
    a, b = figures
    classes = pair.a.cls if pair.a else "", pair.b.cls if pair.b else ""
    share_a, share_b = (
        side.total_ns / total if side and total else None for side, total in zip(figures, totals_ns)
    )
    line = DiffLine(role, domain, phase, pair.path, -1, classes, pair.paths, a, b, share_a, share_b)
    return add_estimate(line)


def add_estimate(line: DiffLine) -> DiffLine:
    """Return the line with its estimate, or with the reason why there is none."""
    a, b = line.a, line.b
    if not (a and b):
        return line
    if not a.steps or not b.steps:
        return line._replace(change=INCONCLUSIVE, reason=IN_NO_STEP)
    if not a.step_kind or a.step_kind != b.step_kind:
        return line._replace(change=INCONCLUSIVE, reason=DIFFERENT_STEPS)
    estimate = compare_batches(a.batch_medians, b.batch_medians)
    if estimate is None or estimate.high is None:
        return line._replace(estimate=estimate, change=INCONCLUSIVE, reason=TOO_FEW_STEPS)
    if estimate.high > MAX_INTERVAL * estimate.ratio:
        return line._replace(estimate=estimate, change=INCONCLUSIVE, reason=TOO_MUCH_NOISE)
    return line._replace(estimate=estimate)


def add_changes(lines: Sequence[DiffLine]) -> list[DiffLine]:
    """Return the lines with `change` set; the test corrects for the number of lines."""
    estimates = {
        index: line.estimate
        for index, line in enumerate(lines)
        if line.estimate is not None and not line.reason
    }
    differences = select_differences([estimate.p_value for estimate in estimates.values()])
    changed_lines = list(lines)
    for (index, estimate), is_different in zip(estimates.items(), differences):
        direction = SLOWER if estimate.ratio > 1 else FASTER
        changed_lines[index] = lines[index]._replace(change=direction if is_different else ALIKE)
    return changed_lines
