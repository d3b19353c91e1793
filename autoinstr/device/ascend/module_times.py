"""Build the module tree of a torch_npu profile: its calls, operators, kernels and device time.

The places of the launches are those of every report (attribution.py). Here the kernels of one
operator stay together, as module_statistic lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device import bases
from autoinstr.device.ascend.database import KernelTotals
from autoinstr.device.ascend.modules import BACKWARD, DeviceModule, Operator, sum_totals
from autoinstr.device.attribution import KNOWN_THREADS, PLACES, place_launches
from autoinstr.device.bases import BASES
from autoinstr.device.profile_store import KERNELS, LAUNCHES, MODULES, OF_OPERATOR, RANGES
from autoinstr.device.profile_times import IS_EARLY, find_first_launched
from autoinstr.device.scopes import ROOT, Scopes

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.profile_store import ProfileStore

_PLACED = f"""
    SELECT p.scope, p.basis, p.reason, p.startNs, p.name, p.operator, k.name, k.endNs - k.startNs
    FROM {KERNELS} k JOIN {PLACES} p ON p.correlation = k.correlation
    ORDER BY p.startNs, p.name, k.startNs, k.rowid"""
_WITHOUT_PLACE = f"""
    SELECT {IS_EARLY}, COUNT(*), SUM(k.endNs - k.startNs)
    FROM {KERNELS} k LEFT JOIN {PLACES} p ON p.correlation = k.correlation
    WHERE p.scope IS NULL GROUP BY 1"""
_LINKS = f"""
    SELECT (SELECT COUNT(*) FROM ({KNOWN_THREADS})), COUNT(*) - COUNT(DISTINCT correlation)
    FROM {LAUNCHES} WHERE operator = {OF_OPERATOR}"""


class ModuleTimes(NamedTuple):
    """The module tree of one profile, and where the kernels that are not in it belong.

    `linked` are the kernels that have an operator. `unknown` has the unknown ones by reason.
    `threads` called modules or operators; `double_links` counts kernels with several operators.
    """

    tree: DeviceModule
    kernels: KernelTotals
    linked: KernelTotals
    by_basis: dict[str, KernelTotals]
    unknown: dict[str, KernelTotals]
    threads: int = 1
    double_links: int = 0

    @property
    def in_modules_ns(self) -> int:
        """The time of the kernels of modules, without the lines that stand for no module."""
        lines = (bases.ACCUMULATION_LINE, bases.GRADIENT_SUM_LINE)
        return self.tree.total_ns - sum(
            module.total_ns for name, module in self.tree.children.items() if name in lines
        )

    @property
    def shared_ns(self) -> int:
        """What a share is of: the time of the kernels that were launched in the profile."""
        return self.kernels.total_ns - self.by_basis[bases.BEFORE].total_ns


class _Group(NamedTuple):
    """Equal launches or operators: their place, their name, and the names of their kernels.

    `operator` is that of the table LAUNCHES."""

    scope: int
    basis: int
    reason: int
    name: int
    operator: int
    kernels: tuple[int, ...]


class _Totals:
    """Sums of kernels that can still grow."""

    def __init__(self) -> None:
        self.number = self.total_ns = 0

    def add(self, number: int, ns: int) -> None:
        self.number += number
        self.total_ns += ns

    def freeze(self) -> KernelTotals:
        return KernelTotals(self.number, self.total_ns)


def compute_module_times(store: ProfileStore, tick: Callable[[int], None]) -> ModuleTimes:
    """Attribute the kernels of a store to its own modules."""
    store.flush()
    store.connection.execute(
        f"INSERT INTO {RANGES} SELECT startNs, endNs, tid, name FROM {MODULES}"
    )
    scopes = Scopes()
    place_launches(store, scopes, tick)
    groups = _group_launches(store, tick)
    by_basis = {basis: _Totals() for basis in BASES}
    linked, unknown, total = _Totals(), dict[str, _Totals](), _Totals()

    def add(basis: str, reason: str, number: int, ns: int) -> None:
        total.add(number, ns)
        by_basis[basis].add(number, ns)
        if basis == bases.UNKNOWN:
            unknown.setdefault(reason, _Totals()).add(number, ns)

    for group, (count, ns) in groups.items():
        number = count * len(group.kernels)
        add(BASES[group.basis], bases.REASONS[group.reason], number, ns)
        if group.operator == OF_OPERATOR:
            linked.add(number, ns)
    no_launch = bases.NO_LAUNCH if store.counts[LAUNCHES] else bases.NO_LAUNCHES
    for is_early, number, ns in store.connection.execute(
        _WITHOUT_PLACE, find_first_launched(store)
    ):
        add(bases.BEFORE if is_early else bases.UNKNOWN, no_launch, number, ns)
    return ModuleTimes(
        _build_tree(store, scopes, groups),
        total.freeze(),
        linked.freeze(),
        {basis: part.freeze() for basis, part in by_basis.items()},
        {text: part.freeze() for text, part in unknown.items()},
        *next(store.query(_LINKS)),
    )


def _group_launches(store: ProfileStore, tick: Callable[[int], None]) -> dict[_Group, list[int]]:
    """Return the number of equal launches and the time of their kernels.

    Kernels of one operator follow each other: they have its time and name."""
    groups: dict[_Group, list[int]] = {}
    launch: tuple[int, ...] = ()
    kernels: tuple[int, ...] = ()
    last_start = last_name = None
    time_ns = 0

    def add_launch() -> None:
        scope, code, reason, name, operator = launch
        key = (scope, code, reason, name, operator, kernels)
        sums = groups.get(key)  # type: ignore[call-overload]
        if sums is None:
            sums = groups[_Group(*key)] = [0, 0]
        sums[0] += 1
        sums[1] += time_ns

    for rows in store.query_batches(_PLACED):
        for scope, code, reason, start, name, operator, kernel, ns in rows:
            if start == last_start and name == last_name:
                kernels += (kernel,)
                time_ns += ns
                continue
            if launch:
                add_launch()
            launch = (scope, code, reason, name, operator)
            last_start, last_name, kernels, time_ns = start, name, (kernel,), ns
        tick(0)
    if launch:
        add_launch()
    return groups


def _build_tree(
    store: ProfileStore, scopes: Scopes, groups: dict[_Group, list[int]]
) -> DeviceModule:
    texts = store.texts
    modules = [DeviceModule("", "")]
    for scope in range(1, len(scopes.keys)):
        key = scopes.keys[scope]
        parent = modules[scopes.parents[scope]]
        name = texts[key] if isinstance(key, int) else str(key)
        # the lines of no module (AccumulateGrad) are made when they have kernels
        module = parent.get_child(name) if isinstance(key, int) else DeviceModule(name, name)
        modules.append(module)
        if scopes.calls[scope]:
            module.calls = (module.calls or 0) + scopes.calls[scope]
            module.host_ns += scopes.host_ns[scope]
    root = modules[ROOT]
    for group, (count, ns) in groups.items():
        if group.scope == ROOT:
            continue
        module = modules[group.scope]
        if not isinstance(scopes.keys[group.scope], int):
            module = root.get_child(module.name)
        elif BASES[group.basis] == bases.BACKWARD:
            parent = modules[scopes.parents[group.scope]]
            module = parent.get_child(f"{BACKWARD}{module.name}")
        is_bare = group.operator != OF_OPERATOR
        names = tuple(texts[kernel] for kernel in group.kernels)
        module.add_operator(Operator(texts[group.name], names, ns, count, is_bare))
    sum_totals(root)
    return root
