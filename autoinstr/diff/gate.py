"""`--fail-above`: whether B is slower than A by more than is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.diff.comparison import ALIKE, SLOWER, UNTOLD
from autoinstr.report.terminal.differences import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.diff.comparison import Comparison, Line

ENOUGH = 0.5  # of a domain's outermost time that has to be judged


class Verdict(NamedTuple):
    """`failed` are slower by more than the bound, the most time first; `unjudged` could not be
    told, have no counterpart, or seem slower than the bound while their interval holds no change as
    well. `judged` is the part (0 to 1) of the outermost time that could be, in the domain where
    most could."""

    failed: list[Line]
    unjudged: list[Line]
    judged: float

    @property
    def enough(self) -> bool:
        """So much could be judged that silence is an answer."""
        return self.judged >= ENOUGH


def judge(found: Comparison, above: float, modules: bool = False) -> Verdict:
    """Judge the outermost ranges, with `modules` every module and entry of a list as well. `above`
    is a part: 0.05 for 5 %."""
    lines = [*found.whole, *(found.lines + found.entries if modules else ())]
    slower = [
        one for one in lines if one.change == SLOWER and one.shift and one.shift.ratio > 1 + above
    ]
    slower.sort(key=lambda one: -one.impact_ns)
    unique = list({(one.role, one.domain, one.phase, one.path): one for one in slower}.values())
    unjudged = [one for one in found.whole if _unjudged(one, above)]
    return Verdict(unique, unjudged, _judged(found.whole, above))


def describe(line: Line) -> str:
    """ "MainProcess, layers.3, decode: +12.3% (95 %: +11.0% to +13.1%)"."""
    where = ", ".join(filter(None, (line.role, line.path or f"all of {line.domain}", line.phase)))
    if line.only_in or not line.shift or line.shift.low is None or line.shift.high is None:
        return f"{where}: {line.why or f'only in {line.only_in.upper()}'}"
    if line.change == UNTOLD:
        return f"{where}: {line.why} ({percent(line.shift.ratio)})"
    return f"{where}: {percent(line.shift.ratio)} (95 %: {percent(line.shift.low)} to {percent(line.shift.high)})"


def _unjudged(line: Line, above: float) -> bool:
    in_doubt = line.change == ALIKE and line.shift is not None and line.shift.ratio > 1 + above
    return line.change == UNTOLD or bool(line.only_in) or in_doubt


def _judged(lines: Sequence[Line], above: float) -> float:
    sums: dict[str, list[int]] = {}
    for line in lines:
        time = max(one.total_ns for one in (line.a, line.b) if one)
        mine = sums.setdefault(line.domain, [0, 0])
        mine[0] += 0 if _unjudged(line, above) else time
        mine[1] += time
    return max((judged / time for judged, time in sums.values() if time), default=0.0)
