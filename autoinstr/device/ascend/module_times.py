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
    from collections.abc import Callable, Iterator

    from autoinstr.device.profile_store import ProfileStore

_KERNELS = f"""
    SELECT p.scope, p.basis, p.reason, {IS_EARLY}, p.startNs, p.name, p.operator, k.name,
        k.endNs - k.startNs
    FROM {KERNELS} k LEFT JOIN {PLACES} p ON p.correlation = k.correlation
    ORDER BY p.startNs, p.name, k.startNs, k.rowid"""

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
    """The kernels of one launch or operator: their place, its name, and their names."""

    scope: int
    basis: int
    name: int
    kernels: tuple[int, ...]
    is_bare: bool


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
    by_basis = {basis: _Totals() for basis in BASES}
    linked, unknown = _Totals(), dict[str, _Totals]()
    groups: dict[_Group, list[int]] = {}
    no_launch = bases.NO_LAUNCH if store.counts[LAUNCHES] else bases.NO_LAUNCHES
    for scope, code, reason, is_early, is_linked, name, kernels, ns in _iterate_launches(store):
        if scope is None:
            basis = bases.BEFORE if is_early else bases.UNKNOWN
            reason_text = no_launch
        else:
            basis, reason_text = BASES[code], bases.REASONS[reason]
        by_basis[basis].add(len(kernels), ns)
        if basis == bases.UNKNOWN:
            unknown.setdefault(reason_text, _Totals()).add(len(kernels), ns)
        if is_linked:
            linked.add(len(kernels), ns)
        if scope:
            sums = groups.setdefault(_Group(scope, code, name, kernels, not is_linked), [0, 0])
            sums[0] += 1
            sums[1] += ns
        tick(0)
    total = _Totals()
    for part in by_basis.values():
        total.add(part.number, part.total_ns)
    return ModuleTimes(
        _build_tree(store, scopes, groups),
        total.freeze(),
        linked.freeze(),
        {basis: part.freeze() for basis, part in by_basis.items()},
        {text: part.freeze() for text, part in unknown.items()},
        *next(store.query(_LINKS)),
    )


def _iterate_launches(
    store: ProfileStore,
) -> Iterator[tuple[int | None, int, int, bool, bool, int, tuple[int, ...], int]]:
    """Yield the place of each launch, whether its kernels are early or linked to an operator, its
    name, those of its kernels, and their time. A kernel without a launch stands alone."""
    current: tuple[int | None, ...] | None = None
    kernels: list[int] = []
    time_ns = 0
    rows = store.connection.execute(_KERNELS, find_first_launched(store))
    for scope, code, reason, is_early, start, name, operator, kernel, ns in rows:
        launch = (scope, code, reason, is_early, operator == OF_OPERATOR, start, name)
        if launch != current or scope is None:
            if current is not None:
                yield (*current[:5], current[6], tuple(kernels), time_ns)  # type: ignore[misc]
            current, kernels, time_ns = launch, [], 0
        kernels.append(kernel)
        time_ns += ns
    if current is not None:
        yield (*current[:5], current[6], tuple(kernels), time_ns)  # type: ignore[misc]


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
        module = modules[group.scope]
        if not isinstance(scopes.keys[group.scope], int):
            module = root.get_child(module.name)
        elif BASES[group.basis] == bases.BACKWARD:
            parent = modules[scopes.parents[group.scope]]
            module = parent.get_child(f"{BACKWARD}{module.name}")
        names = tuple(texts[kernel] for kernel in group.kernels)
        module.add_operator(Operator(texts[group.name], names, ns, count, group.is_bare))
    sum_totals(root)
    return root
