"""Compare the table of a profile with module_statistic's, operator by operator.

msprof-analyze has known faults (docs/limits.md). A difference that one of them can make is
explained; the others are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device import bases
from autoinstr.device.ascend.modules import BACKWARD, walk_modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoinstr.device.ascend.module_statistic import StatisticRow
    from autoinstr.device.ascend.module_times import ModuleTimes

MAX_DEPTH = 20  # levels of modules that module_statistic goes down
_VARIANT = re.compile(r"_\d+$")
_LINES = (bases.ACCUMULATION_LINE, bases.GRADIENT_SUM_LINE)

TOO_DEEP = f"it goes down {MAX_DEPTH} levels of modules"
BY_TIME = "it goes by time alone, and operators of several threads overlap"
BACKWARD_BY_TIME = "its backward modules are spans of time, with all that ran meanwhile"
RECOMPUTED = "it files recomputation under the backward pass"
NOT_LINKED = "it leaves out launches without an operator of torch"
COUNTED_TWICE = "it counts a kernel once for each operator that is linked to it"
NO_RANGES = "it reads ranges of start and end in the domain Module alone"


class OperatorFigures(NamedTuple):
    """How often an operator of a module launched the same kernels, and their time."""

    times: int
    total_ns: int


class Difference(NamedTuple):
    """An operator of a module for which the two tables differ. None stands for no row.

    `fault` is the fault of msprof-analyze that can make this difference, "" if none is known."""

    path: str
    operator: str
    kernels: tuple[str, ...]
    ours: OperatorFigures | None
    theirs: OperatorFigures | None
    fault: str


class CheckResult(NamedTuple):
    """The comparison of one profile."""

    equal: int
    differences: list[Difference]

    @property
    def unexplained(self) -> list[Difference]:
        """The differences that no known fault of msprof-analyze makes."""
        return [difference for difference in self.differences if not difference.fault]


_Key = tuple[str, str, tuple[str, ...]]  # path, operator, names of kernels


def compare_tables(
    times: ModuleTimes, rows: Sequence[StatisticRow], has_ranges: bool
) -> CheckResult:
    """Compare. `has_ranges` says whether the database has ranges that module_statistic reads."""
    ours: dict[_Key, OperatorFigures] = {}
    bare: set[_Key] = set()
    for module in walk_modules(times.tree):
        for operator in module.operators:
            key = (module.path, operator.name, tuple(sorted(operator.kernels)))
            _add(ours, key, operator.times, operator.total_ns)
            if operator.is_bare:
                bare.add(key)
    paths = {module.path for module in walk_modules(times.tree)}
    theirs: dict[_Key, OperatorFigures] = {}
    for row in rows:
        path = _strip_variant(f"{row.parent}/{row.module}" if row.parent else row.module, paths)
        kernels = tuple(sorted(split_kernels(row.kernels)))
        _add(theirs, (path, row.name, kernels), row.times, row.total_ns)
    differences = [
        Difference(
            *key,
            ours.get(key),
            theirs.get(key),
            NOT_LINKED if key in bare else _find_fault(key[0], times, has_ranges),
        )
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]
    return CheckResult(len({*ours, *theirs}) - len(differences), differences)


def _add(figures: dict[_Key, OperatorFigures], key: _Key, times: int, ns: int) -> None:
    known = figures.get(key, OperatorFigures(0, 0))
    figures[key] = OperatorFigures(known.times + times, known.total_ns + ns)


def _strip_variant(path: str, paths: Iterable[str]) -> str:
    """Return the path of a module: calls that launched other operators have a number there."""
    base = _VARIANT.sub("", path)
    return base if path not in paths and base in paths else path


def _find_fault(path: str, times: ModuleTimes, has_ranges: bool) -> str:
    """Return the fault that can make a difference at a path; "" if there is none."""
    if not has_ranges:
        return NO_RANGES
    if path.count("/") >= MAX_DEPTH:
        return TOO_DEEP
    if times.by_basis[bases.RECOMPUTE].number:
        return RECOMPUTED
    if BACKWARD in path or path.startswith(_LINES) or times.by_basis[bases.BACKWARD].number:
        return BACKWARD_BY_TIME
    if times.threads > 1:
        return BY_TIME
    return COUNTED_TWICE if times.double_links else ""


def split_kernels(text: str) -> list[str]:
    """Return the names of a list of kernels. Names of CUDA and HIP hold ", " in brackets."""
    names: list[str] = []
    depth = begin = 0
    for index, character in enumerate(text):
        if character in "<([{":
            depth += 1
        elif character in ">)]}" and depth:
            depth -= 1
        elif not depth and text.startswith(", ", index):
            names.append(text[begin:index])
            begin = index + 2
    return [*names, text[begin:]] if text else []
