"""The columns of a table of modules or functions: what a line costs altogether, and in each
phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.serving_summary import PHASES
from autoinstr.base import text
from autoinstr.report.terminal.layout import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from autoinstr.analysis.tree_lines import Line

NAME_LEAST, PATH_LEAST, CLASS_LEAST = 28, 44, 16
BAR, BAR_FROM = 10, 110  # columns of the bar, and of the terminal that has one
MOST_PHASES = 4  # with columns of their own
NOTABLE = 0.02  # of the time in phases: one with less has no column
UNKNOWN = "no phase"


def phases_shown(lines: Iterable[Line]) -> list[str]:
    """The phases that most of the time is in, in the order of a request's life; none where all is
    in one, or nothing is in any."""
    times: dict[str | None, int] = {}
    for line in lines:
        for phase, figures in line.node.phases.items():
            times[phase] = times.get(phase, 0) + figures.self_ns
    if len(times) < 2:
        return []
    times.pop(None, None)
    total = sum(times.values())
    most = sorted((phase for phase in times if phase is not None), key=lambda phase: -times[phase])[
        :MOST_PHASES
    ]
    order = {phase: at for at, phase in enumerate(PHASES)}
    return sorted(
        (phase for phase in most if times[phase] >= NOTABLE * total),
        key=lambda phase: order.get(phase, len(order)),
    )


def weights_of(lines: Sequence[Line]) -> list[float]:
    """How much each line matters (0 to 1): its time as a part of the heaviest line's, altogether or
    in the phase where it is largest."""
    columns = [[line.node.total_ns for line in lines]]
    for phase in phases_shown(lines):
        columns.append(
            [line.node.phases[phase].total_ns if phase in line.node.phases else 0 for line in lines]
        )
    heaviest = [max(column, default=0) or 1 for column in columns]
    return [max(total / most for total, most in zip(totals, heaviest)) for totals in zip(*columns)]


def columns_of(
    heading: str, whole: Sequence[Line], *, sort: str, width: int, by_phase: bool
) -> list[Column]:
    """The columns for lines of a table; shares are of all its lines. `sort` is the order: in any
    but "tree" names are whole paths, and the column of that name stays. `by_phase`: columns for
    each phase."""
    flat = sort != "tree"
    everything = sum(line.node.self_ns for line in whole)
    phases = phases_shown(whole) if by_phase else []
    columns = [
        Column(heading, _label(flat), least=PATH_LEAST if flat else NAME_LEAST, keep_end=flat),
        Column("class", lambda line: line.node.cls, 16 if phases else 1, CLASS_LEAST),
        Column("total", _figure(lambda line: text.duration(line.node.total_ns))),
        Column("share", _figure(lambda line: share(line.node.total_ns, everything)), 3),
        Column("calls", _figure(lambda line: f"{line.node.calls:,}"), 15 if phases else 2),
        Column(
            "mean",
            _figure(lambda line: text.duration(line.node.total_ns / line.node.calls)),
            19 if phases else 4,
        ),
        Column("self", _figure(lambda line: text.duration(line.node.self_ns)), 14 if phases else 0),
    ]
    columns = [column._replace(drop=0) if column.heading == sort else column for column in columns]
    shown: list[str | None] = [*phases]
    if phases and any(None in line.node.phases for line in whole):
        shown.append(None)
    times = {
        phase: sum(line.node.phases[phase].self_ns for line in whole if phase in line.node.phases)
        for phase in shown
    }
    least_first = sorted(phases, key=lambda phase: times[phase])
    for phase in shown:
        drop = 18 if phase is None else 13 - least_first.index(phase)
        columns.append(
            Column(UNKNOWN if phase is None else text.printable(phase), _mean(phase), drop)
        )
        columns.append(Column("%", _part(phase, times[phase]), max(17, drop)))
    if not phases and width >= BAR_FROM and everything:
        columns.append(
            Column(
                "",
                lambda line: "█" * min(BAR, round(BAR * line.node.total_ns / everything)),
                5,
                BAR,
            )
        )
    return columns


def share(part: int, everything: int) -> str:
    """Per cent with one decimal."""
    return f"{100 * part / everything:.1f}%" if everything else "-"


def _label(flat: bool) -> Callable[[Line], str]:
    return lambda line: line.label if flat else "  " * line.depth + line.label


def _figure(cell: Callable[[Line], str]) -> Callable[[Line], str]:
    return lambda line: cell(line) if line.node.calls else ""


def _mean(phase: str | None) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        figures = line.node.phases.get(phase)
        return text.duration(figures.mean_ns) if figures is not None and figures.calls else ""

    return cell


def _part(phase: str | None, everything: int) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        figures = line.node.phases.get(phase)
        if figures is None or not figures.calls or not everything:
            return ""
        per_cent = 100 * figures.total_ns / everything
        return f"{per_cent:.0f}" if per_cent >= 10 else f"{per_cent:.1f}"

    return cell
