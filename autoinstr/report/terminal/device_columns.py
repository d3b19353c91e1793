"""The columns of device time in a table of modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.analysis.device_figures import (
    BYTES,
    FLOPS,
    RANK,
    RATE,
    SHARE,
    TIME,
    list_known_figures,
)
from autoinstr.base import text
from autoinstr.device.bases import BACKWARD, RECOMPUTE
from autoinstr.device.profile_store import COMMUNICATION, KINDS
from autoinstr.report.terminal.cells import format_amount, format_giga, format_time
from autoinstr.report.terminal.layout import Column
from autoinstr.report.terminal.style import FOLDED, choose_weight_style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.device_figures import DeviceFigure
    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.analysis.tree_lines import TreeLine
    from autoinstr.device.device_times import RowTimes

MIN_LABEL_WIDTH, MIN_PATH_WIDTH, MIN_CLASS_WIDTH, MIN_KERNEL_WIDTH = 28, 44, 12, 16
# Bases with a column of their own, where a line has kernels of them.
_SEPARATE_BASES = (BACKWARD, RECOMPUTE)
_FORMATS: dict[str, Callable[[Any], str]] = {
    FLOPS: format_giga,
    BYTES: text.format_bytes,
    SHARE: lambda share: f"{100 * share:.1f}",
    RATE: text.format_digits,
    TIME: text.format_duration,
    RANK: lambda rank: f"rank {rank}",
}


def has_device(lines: Sequence[TreeLine]) -> bool:
    """Return whether any line has device time."""
    return any(line.node.device is not None for line in lines)


def compute_device_weights(lines: Sequence[TreeLine]) -> list[float]:
    """Return the device time of each line."""
    return [line.node.device.total.ns if line.node.device else 0 for line in lines]


def build_device_columns(
    heading: str, lines: Sequence[TreeLine], device: ProcessDevice, *, sort: str
) -> list[Column]:
    """Return the columns of a table with device time.

    Shares are of compute and copies. In any `sort` but "tree", names are full paths."""
    is_flat = sort != "tree"
    base_ns = device.times.base_ns
    columns = [
        Column(
            heading,
            lambda line: line.label if is_flat else "  " * line.depth + line.label,
            min_width=MIN_PATH_WIDTH if is_flat else MIN_LABEL_WIDTH,
            keep_end=is_flat,
            choose_style=lambda line: FOLDED if line.node.folded else "",
        )
    ]
    if any(line.node.cls and line.node.cls not in line.label for line in lines):
        columns.append(Column("class", lambda line: line.node.cls, 9, MIN_CLASS_WIDTH))
    columns += [
        Column("device", _make_formatter(lambda times: format_time(times.total.ns))),
        Column(
            "%",
            _make_formatter(lambda times: _format_percent(_get_share_ns(times), base_ns)),
            1,
            choose_style=lambda line: (
                choose_weight_style(_get_share_ns(line.node.device) / base_ns)
                if base_ns and line.node.device
                else ""
            ),
        ),
        Column("self", _make_formatter(lambda times: format_time(times.own.ns or None)), 4),
        *(
            Column(basis, _make_basis_formatter(basis), 5)
            for basis in _SEPARATE_BASES
            if device.times.by_basis[basis].kernels
        ),
        Column(
            KINDS[COMMUNICATION],
            _make_formatter(
                lambda times: format_time(times.total_by_kind[COMMUNICATION].ns or None)
            ),
            6,
        ),
        *_build_figure_columns(lines, device),
        Column("params", lambda line: format_amount(line.node.params), 10),
        Column("kernels", _make_formatter(lambda times: f"{times.total.kernels:,}"), 7),
        Column("calls", lambda line: f"{line.node.calls:,}" if line.node.calls else "", 8),
        Column(
            "host",
            lambda line: text.format_duration(line.node.total_ns) if line.node.calls else "",
            10,
        ),
        Column(
            "top kernel",
            _make_formatter(lambda times: shorten_kernel(device.name_top_kernel(times))),
            11,
            MIN_KERNEL_WIDTH,
        ),
    ]
    return [
        column._replace(drop_rank=0) if column.heading == sort else column for column in columns
    ]


def _build_figure_columns(lines: Sequence[TreeLine], device: ProcessDevice) -> Iterator[Column]:
    """Yield the columns of what limits a module, where any line has it."""
    for figure in list_known_figures((line.node.device for line in lines), device):
        if figure.drop_rank is not None:
            yield Column(figure.heading, _make_figure_formatter(figure, device), figure.drop_rank)


def _make_figure_formatter(
    figure: DeviceFigure, device: ProcessDevice
) -> Callable[[TreeLine], str]:
    format_value = _FORMATS[figure.unit]

    def format_figure(times: RowTimes) -> str:
        value = figure.compute(times, device)
        least = figure.compute_least(times, device) if value is None else None
        if least is not None:
            return f">{format_value(least)}"
        return "-" if value is None else format_value(value)

    return _make_formatter(format_figure)


def shorten_kernel(name: str) -> str:
    """Return a kernel's name without return type and arguments, which fill a line."""
    name = name.removeprefix("void ").replace("(anonymous namespace)::", "")
    for namespace in ("at::native::", "at::cuda::", "at_cuda_detail::", "cudnn::"):
        name = name.removeprefix(namespace)
    if name.endswith(")"):
        depth = 0
        for index in range(len(name) - 1, 0, -1):  # the last bracket has the arguments
            depth += {")": 1, "(": -1}.get(name[index], 0)
            if not depth:
                return name[:index]
    return name


def _get_share_ns(times: RowTimes) -> int:
    return times.total.ns - times.total_by_kind[COMMUNICATION].ns


def _format_percent(part: int, total: int) -> str:
    return f"{100 * part / total:.1f}" if total else ""


def _make_formatter(format_cell: Callable[[RowTimes], str]) -> Callable[[TreeLine], str]:
    return lambda line: format_cell(line.node.device) if line.node.device is not None else ""


def _make_basis_formatter(basis: str) -> Callable[[TreeLine], str]:
    def format_basis(times: RowTimes) -> str:
        part = times.total_by_basis.get(basis)
        return text.format_duration(part.ns) if part is not None else ""

    return _make_formatter(format_basis)
