"""Format the comparison of two analyses for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import text
from autoinstr.device.ascend.modules import DeviceModule
from autoinstr.report.ascend_modules.columns import (
    MIN_NAME_WIDTH,
    describe_hidden_rows,
    format_wide_table,
)
from autoinstr.report.ascend_modules.module_pairs import ModulePair, match_modules, select_pairs
from autoinstr.report.ascend_modules.tables import list_remarks
from autoinstr.report.terminal.cells import format_number, format_share, format_time
from autoinstr.report.terminal.differences import (
    describe_one_sided,
    format_difference,
    format_ratio,
)
from autoinstr.report.terminal.layout import Column
from autoinstr.report.terminal.style import choose_weight_style, format_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from autoinstr.report.ascend_modules.module_pairs import FolderSide
    from autoinstr.report.options import TableOptions

    FormatFigure = Callable[[DeviceModule, FolderSide], str]

ALL_KERNELS = "(all kernels)"


def format_comparison(a: FolderSide, b: FolderSide, options: TableOptions) -> Iterator[str]:
    """Yield all lines of `--compare` with `--format table`."""
    for name, side in (("A", a), ("B", b)):
        profiles = text.format_count(len(side.analysis.with_tree), "profile")
        device_time = text.format_duration(side.device_ns)
        yield f"{name}: {side.analysis.path}: {profiles}, {device_time} on the device"
    yield ""
    pairs = match_modules(a, b)
    shown_pairs = select_pairs(pairs, options.limit, options.sort)
    columns = _build_columns(a, b, options.sort)
    yield from format_wide_table(columns, [*shown_pairs, _sum_sides(a, b)], options.width)
    if len(shown_pairs) < len(pairs):
        yield describe_hidden_rows(len(pairs) - len(shown_pairs))
    yield from map(format_warning, _list_remarks(pairs, a, b))


def _sum_sides(a: FolderSide, b: FolderSide) -> ModulePair:
    """Return the last row: the time of all kernels, also of those outside modules."""
    a_total, b_total = DeviceModule("", ""), DeviceModule("", "")
    a_total.total_ns, b_total.total_ns = a.device_ns, b.device_ns
    return ModulePair(ALL_KERNELS, 0, ALL_KERNELS, a_total, b_total)


def _list_remarks(pairs: Sequence[ModulePair], a: FolderSide, b: FolderSide) -> Iterator[str]:
    for name, key in (("A", "a"), ("B", "b")):
        paths = [pair.path for pair in pairs if pair.only_in == key]
        if paths:
            yield describe_one_sided(name, paths)
    a_count, b_count = len(a.analysis.with_tree), len(b.analysis.with_tree)
    if a_count != b_count:
        yield f"figures are sums over all profiles, and A has {a_count}, B {b_count}"
    if any(pair.a and pair.b and pair.a.calls != pair.b.calls for pair in pairs):
        yield "modules were not called equally often: compare means rather than times"
    for name, side in (("A", a), ("B", b)):
        yield from (f"{name}: {remark}" for remark in list_remarks(side.analysis))


def _build_columns(a: FolderSide, b: FolderSide, sort: str) -> list[Column]:
    def format_name(pair: ModulePair) -> str:
        name = "  " * pair.depth + pair.name if sort == "tree" else pair.path
        return text.escape_unprintable(name)

    def build_columns(heading: str, drop_rank: int, format_figure: FormatFigure) -> list[Column]:
        return [
            _build_side_column(heading, drop_rank, format_figure, name, side)
            for name, side in (("A", a), ("B", b))
        ]

    device_a, device_b = build_columns(
        "device", 0, lambda module, side: format_time(module.total_ns)
    )
    return [
        Column("module", format_name, min_width=MIN_NAME_WIDTH, keep_end=sort != "tree"),
        device_a._replace(choose_style=_build_style("a", a)),
        device_b._replace(choose_style=_build_style("b", b)),
        Column("B - A", lambda pair: format_difference(pair.difference_ns)),
        Column("change", _format_change, 1),
        *build_columns("calls", 3, lambda module, side: format_number(module.calls)),
        *build_columns("mean", 4, lambda module, side: format_time(module.mean_ns)),
        *build_columns(
            "share", 5, lambda module, side: format_share(module.total_ns, side.device_ns)
        ),
    ]


def _build_side_column(
    heading: str, drop_rank: int, format_figure: FormatFigure, name: str, side: FolderSide
) -> Column:
    """Return the column of one figure for side `name`; it is empty for a module of the other."""

    def format_cell(pair: ModulePair) -> str:
        module = pair.a if name == "A" else pair.b
        return format_figure(module, side) if module else ""

    return Column(f"{heading} {name}", format_cell, drop_rank)


def _build_style(key: str, side: FolderSide) -> Callable[[ModulePair], str]:
    """Return the function that colours a device time by its share of the side's time."""

    def choose_style(pair: ModulePair) -> str:
        module = pair.a if key == "a" else pair.b
        share = module.total_ns / side.device_ns if module and side.device_ns else 0.0
        return choose_weight_style(share) if pair.name != ALL_KERNELS else ""

    return choose_style


def _format_change(pair: ModulePair) -> str:
    if pair.only_in:
        return f"only {pair.only_in.upper()}"
    if pair.a and pair.b and pair.a.total_ns:
        return format_ratio(pair.b.total_ns / pair.a.total_ns)
    return ""
