"""The wrapper that torch.compile puts around a module, and the module: one line of a report.

`OptimizedModule` and the module that it compiles have one path, so that a compiled run has the
paths of the eager one. A call of the wrapper contains the call of the module. The line must not
count both."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from autoinstr.analysis.stats_row import StatsRow
from autoinstr.device.device_times import KernelSum, RowTimes
from autoinstr.device.profile_store import COMPUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WRAPPER_CLASS = "OptimizedModule"


def join_wrapper_rows(rows: Iterable[StatsRow]) -> Iterator[StatsRow]:
    """Yield the rows of one domain, so that the rows of one line can be added up.

    Of a wrapper and its module, the row with more calls keeps calls and times and gets the other's
    self time. The other row has only its class left. The rows given are not changed."""
    groups: dict[tuple[object, ...], list[StatsRow]] = {}
    for row in rows:
        name = row.name
        groups.setdefault((row.thread, row.phase, name.root, name.path), []).append(row)
    for group in groups.values():
        wrappers = [row for row in group if row.name.cls == WRAPPER_CLASS and row.calls]
        modules = [row for row in group if row.name.cls not in ("", WRAPPER_CLASS) and row.calls]
        if len(wrappers) != 1 or len(modules) != 1:
            yield from group
            continue
        wrapper, module = wrappers[0], modules[0]
        is_outer = wrapper.calls >= module.calls
        line, inner = (wrapper, module) if is_outer else (module, wrapper)
        for row in group:
            if row is inner:
                yield StatsRow(row.thread, row.name, row.phase)
            elif row is line:
                yield _join(line, inner, contains_inner=is_outer)
            else:
                yield row


def format_classes(classes: Iterable[str]) -> str:
    """Return the classes of a line: that of the wrapper is a remark beside its module's."""
    listed = list(classes)
    modules = [cls for cls in listed if cls != WRAPPER_CLASS]
    if not modules or len(modules) == len(listed):
        return " | ".join(listed)
    return f"{' | '.join(modules)} (compiled)"


def _join(line: StatsRow, inner: StatsRow, *, contains_inner: bool) -> StatsRow:
    """Return `line` with the self time of `inner`, which its total may contain already."""
    joined = copy(line)  # of its own class
    if contains_inner:
        joined.nested_ns -= inner.self_ns
    else:
        joined.total_ns += inner.self_ns
    if line.device is not None or inner.device is not None:
        joined.device = _join_device(line.device, inner.device, contains_inner=contains_inner)
    return joined


def _join_device(
    line: RowTimes | None, inner: RowTimes | None, *, contains_inner: bool
) -> RowTimes | None:
    """Return the device time of `line` with the own kernels of `inner`."""
    if line is None or inner is None:
        return line if inner is None else inner
    joined = RowTimes()
    joined.merge(line)
    for basis, part in inner.by_basis.items():
        joined.by_basis.setdefault(basis, KernelSum()).add(part.kernels, part.ns)
        if not contains_inner:  # the wrapper's own kernels, which compute
            joined.total.add(part.kernels, part.ns)
            joined.total_by_basis.setdefault(basis, KernelSum()).add(part.kernels, part.ns)
            joined.total_by_kind[COMPUTE].add(part.kernels, part.ns)
    joined.own_work.merge(inner.own_work)
    return joined
