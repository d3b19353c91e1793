"""The columns of a table of modules or functions: the figures of a line in total and by phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.inside_time import ASYNCHRONOUS, BUSY, WAITING, classify_functions
from autoinstr.analysis.phase_names import NO_PHASE
from autoinstr.analysis.serving_summary import PHASE_ORDER
from autoinstr.base import text
from autoinstr.report.terminal.cells import format_amount, format_share, format_time
from autoinstr.report.terminal.layout import Column
from autoinstr.report.terminal.style import FOLDED, choose_weight_style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from autoinstr.analysis.figures import Figures
    from autoinstr.analysis.processes import Process
    from autoinstr.analysis.tree import Node
    from autoinstr.analysis.tree_lines import TreeLine

MIN_LABEL_WIDTH, MIN_PATH_WIDTH, MIN_CLASS_WIDTH = 28, 44, 16
BAR_WIDTH = 10
WIDTH_FOR_BAR = 110  # a narrower terminal has no column of bars
PHASE_LIMIT = 4  # phases with columns of their own
MIN_PHASE_SHARE = 0.02  # a phase with a smaller share of the time has no columns
NO_PHASE_HEADING = "no phase"
UNSHARED = {WAITING: "waits", ASYNCHRONOUS: "async"}  # instead of a share of the busy time


def choose_phases(lines: Iterable[TreeLine]) -> list[str]:
    """Return the phases with the most time, in the order of a request's life.

    None are returned if no line has several phases: its total then says all."""
    times: dict[str | None, int] = {}
    has_several = False
    for line in lines:
        has_several = has_several or len(line.node.phases) > 1
        for phase, figures in line.node.phases.items():
            times[phase] = times.get(phase, 0) + figures.self_ns
    if not has_several:
        return []
    times.pop(None, None)
    total = sum(times.values())
    phases = sorted(
        (phase for phase in times if phase is not None), key=lambda phase: -times[phase]
    )
    order = {phase: index for index, phase in enumerate(PHASE_ORDER)}
    return sorted(
        (phase for phase in phases[:PHASE_LIMIT] if times[phase] >= MIN_PHASE_SHARE * total),
        key=lambda phase: order.get(phase, len(order)),
    )


def compute_busy_ns(figures: Figures | Node) -> int:
    """Return the time in the calls in which nothing waited."""
    return max(0, figures.total_ns - figures.waiting_ns)


def compute_weights(lines: Sequence[TreeLine]) -> list[float]:
    """Return the weight (0 to 1) of each line.

    It is the line's time divided by the heaviest line's, in total or in the phase where this is
    largest."""
    columns = [[compute_busy_ns(line.node) for line in lines]]
    for phase in choose_phases(lines):
        columns.append(
            [
                compute_busy_ns(line.node.phases[phase]) if phase in line.node.phases else 0
                for line in lines
            ]
        )
    heaviest = [max(column, default=0) or 1 for column in columns]
    return [
        max(time / largest for time, largest in zip(times, heaviest)) for times in zip(*columns)
    ]


def build_columns(
    heading: str,
    lines: Sequence[TreeLine],
    process: Process,
    *,
    sort: str,
    width: int,
    by_phase: bool,
    domain: str,
) -> list[Column]:
    """Return the columns of a table with these lines, which may show only some of them.

    Shares are of the process's busy time: of a line, its time without waiting. A function that
    waits, or runs asynchronously, has none. In any `sort` but
    "tree", names are full paths, and the column of that name is never dropped. With `by_phase` each
    phase has two columns: the mean of a call, and the share of the phase's busy time."""
    is_flat = sort != "tree"
    total_ns = process.busy_ns
    kinds = classify_functions()
    phases = choose_phases(lines) if by_phase else []
    columns = [
        Column(
            heading,
            _make_label_formatter(is_flat),
            min_width=MIN_PATH_WIDTH if is_flat else MIN_LABEL_WIDTH,
            keep_end=is_flat,
            choose_style=lambda line: FOLDED if line.node.folded else "",
        ),
        Column("class", _format_class, 16 if phases else 1, MIN_CLASS_WIDTH),
        Column("total", _skip_uncalled(lambda line: text.format_duration(line.node.total_ns))),
        Column(
            "share",
            _skip_uncalled(
                lambda line: (
                    UNSHARED.get(kinds.get((domain, line.path), BUSY))
                    or format_share(compute_busy_ns(line.node), total_ns, unknown="-")
                )
            ),
            3,
            choose_style=_make_weight_style(total_ns),
        ),
        Column("calls", _skip_uncalled(lambda line: f"{line.node.calls:,}"), 15 if phases else 2),
        Column(
            "mean",
            _skip_uncalled(lambda line: text.format_duration(line.node.total_ns / line.node.calls)),
            19 if phases else 4,
        ),
        Column(
            "self",
            _skip_uncalled(lambda line: text.format_duration(line.node.self_ns)),
            14 if phases else 0,
        ),
        Column("p50", lambda line: format_time(_get_median_ns(line)), 20 if phases else 6),
        Column("params", lambda line: format_amount(line.node.params), 22),
        Column("first call", lambda line: format_time(line.node.first_call_ns), 21),
    ]
    columns = [
        column._replace(drop_rank=0) if column.heading == sort else column for column in columns
    ]
    columns += _build_phase_columns(lines, phases, process)
    if not phases and width >= WIDTH_FOR_BAR and total_ns:
        bar = Column(
            "",
            lambda line: (
                ""
                if kinds.get((domain, line.path), BUSY) in UNSHARED
                else "█" * min(BAR_WIDTH, round(BAR_WIDTH * compute_busy_ns(line.node) / total_ns))
            ),
            5,
            BAR_WIDTH,
            choose_style=_make_weight_style(total_ns),
        )
        columns.append(bar)
    return columns


def _format_class(line: TreeLine) -> str:
    """Return the class; for a module without time of its own, also the kernel that it stands in."""
    kernels = list(line.node.shared_kernels)
    if line.node.calls or not kernels:
        return line.node.cls
    more = f" and {len(kernels) - 1} more" if len(kernels) > 1 else ""
    return f"{line.node.cls} in {text.escape_unprintable(kernels[0])}{more}"


def _build_phase_columns(
    lines: Sequence[TreeLine], phases: Sequence[str], process: Process
) -> list[Column]:
    """Return two columns for each phase, and for ranges without a phase. The phase with the least
    time is dropped first."""
    column_phases: list[str | None] = [*phases]
    if phases and any(None in line.node.phases for line in lines):
        column_phases.append(None)
    times = {phase: process.phases.get(phase or NO_PHASE, (0, 0))[1] for phase in column_phases}
    lightest_first = sorted(phases, key=lambda phase: times[phase])
    columns = []
    for phase in column_phases:
        if phase is None:
            heading, drop_rank = NO_PHASE_HEADING, 18
        else:
            heading = text.escape_unprintable(phase)
            drop_rank = 13 - lightest_first.index(phase)
        columns.append(Column(heading, _make_mean_formatter(phase), drop_rank))
        columns.append(
            Column(
                "%",
                _make_percent_formatter(phase, times[phase]),
                max(17, drop_rank),
                choose_style=_make_phase_weight_style(phase, times[phase]),
            )
        )
    return columns


def _make_label_formatter(is_flat: bool) -> Callable[[TreeLine], str]:
    return lambda line: line.label if is_flat else "  " * line.depth + line.label


def _skip_uncalled(format_cell: Callable[[TreeLine], str]) -> Callable[[TreeLine], str]:
    return lambda line: format_cell(line) if line.node.calls else ""


def _make_weight_style(total_ns: int) -> Callable[[TreeLine], str]:
    return lambda line: (
        choose_weight_style(compute_busy_ns(line.node) / total_ns) if total_ns else ""
    )


def _get_median_ns(line: TreeLine) -> int | None:
    return None if line.node.percentiles is None else line.node.percentiles[1]


def _get_called_figures(line: TreeLine, phase: str | None) -> Figures | None:
    figures = line.node.phases.get(phase)
    return figures if figures is not None and figures.calls else None


def _make_mean_formatter(phase: str | None) -> Callable[[TreeLine], str]:
    def format_mean(line: TreeLine) -> str:
        figures = _get_called_figures(line, phase)
        return text.format_duration(figures.mean_ns) if figures is not None else ""

    return format_mean


def _make_percent_formatter(phase: str | None, phase_ns: int) -> Callable[[TreeLine], str]:
    def format_percent(line: TreeLine) -> str:
        figures = _get_called_figures(line, phase)
        if figures is None or not phase_ns:
            return ""
        busy_ns = compute_busy_ns(figures)
        if not busy_ns:
            return ""
        percent = 100 * busy_ns / phase_ns
        return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}"

    return format_percent


def _make_phase_weight_style(phase: str | None, phase_ns: int) -> Callable[[TreeLine], str]:
    def choose_style(line: TreeLine) -> str:
        figures = _get_called_figures(line, phase)
        if not figures or not phase_ns:
            return ""
        return choose_weight_style(compute_busy_ns(figures) / phase_ns)

    return choose_style
