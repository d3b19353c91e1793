"""Device time by module of one profile, and the check that no kernel is lost or counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.device import bases
from autoinstr.device.bases import BASES
from autoinstr.device.collectives.sums import CommunicationSum
from autoinstr.device.profile_store import COMMUNICATION, KINDS
from autoinstr.device.scopes import ROOT
from autoinstr.device.work.memory_sums import MemorySum
from autoinstr.device.work.sums import WorkSum

if TYPE_CHECKING:
    from collections.abc import Hashable

    from autoinstr.device.collectives.matching import Collective
    from autoinstr.device.scopes import Place, Scopes
    from autoinstr.device.utilisation import Utilisation
    from autoinstr.device.work.usage import Usage


class KernelSum:
    """A number of kernels, and their time."""

    __slots__ = ("kernels", "ns")

    def __init__(self, kernels: int = 0, ns: int = 0) -> None:
        self.kernels, self.ns = kernels, ns

    def add(self, kernels: int, ns: int) -> None:
        """Add kernels."""
        self.kernels += kernels
        self.ns += ns

    def __repr__(self) -> str:
        return f"{self.kernels} kernels, {self.ns} ns"


class RowTimes:
    """The kernels of one row: its own by basis, and all with those of the modules that it called.

    `total_by_kind` has an entry for each of KINDS. `own_work` and `work` are those of operators,
    and `memory` the allocations meanwhile. `communication` has the collectives that all ranks know.
    """

    __slots__ = (
        "by_basis",
        "communication",
        "memory",
        "names",
        "own_work",
        "total",
        "total_by_basis",
        "total_by_kind",
        "work",
    )

    def __init__(self) -> None:
        self.by_basis: dict[str, KernelSum] = {}
        self.total = KernelSum()
        self.total_by_basis: dict[str, KernelSum] = {}
        self.total_by_kind = [KernelSum() for _ in KINDS]
        self.names: dict[int, KernelSum] = {}
        self.own_work = WorkSum()
        self.work = WorkSum()
        self.memory = MemorySum()
        self.communication = CommunicationSum()

    @property
    def own(self) -> KernelSum:
        """The kernels of the row itself."""
        return KernelSum(
            sum(part.kernels for part in self.by_basis.values()),
            sum(part.ns for part in self.by_basis.values()),
        )

    def add_to_total(self, basis: str, kind: int, name: int, kernels: int, ns: int) -> None:
        """Add kernels of this row or of one below it."""
        self.total.add(kernels, ns)
        self.total_by_basis.setdefault(basis, KernelSum()).add(kernels, ns)
        self.total_by_kind[kind].add(kernels, ns)
        self.names.setdefault(name, KernelSum()).add(kernels, ns)

    def merge(self, addend: RowTimes) -> None:
        """Add the kernels of another row of the same profile."""
        for basis, part in addend.by_basis.items():
            self.by_basis.setdefault(basis, KernelSum()).add(part.kernels, part.ns)
        for basis, part in addend.total_by_basis.items():
            self.total_by_basis.setdefault(basis, KernelSum()).add(part.kernels, part.ns)
        for name, part in addend.names.items():
            self.names.setdefault(name, KernelSum()).add(part.kernels, part.ns)
        for own, part in zip(self.total_by_kind, addend.total_by_kind):
            own.add(part.kernels, part.ns)
        self.total.add(addend.total.kernels, addend.total.ns)
        self.own_work.merge(addend.own_work)
        self.work.merge(addend.work)
        self.memory.merge(addend.memory)
        self.communication.merge(addend.communication)

    def find_top_kernel(self, texts: list[str]) -> str:
        """Return the name of the kernels that take the most time; "" without kernels."""
        if not self.names:
            return ""
        heaviest = max(self.names.items(), key=lambda entry: (entry[1].ns, entry[1].kernels))
        return texts[heaviest[0]]


class DeviceTimes:
    """The device time of one profile.

    `rows` has the times of each key of RANGES, and of the lines that stand for no module. `total`
    is the sum of all kernels of the profile, counted apart from `by_basis`. `scopes` are those that
    the table PLACES of the profile's store names. `work` is that of all operators.
    """

    def __init__(self, on_cpu: bool, total: KernelSum) -> None:
        self.on_cpu = on_cpu
        self.total = total
        self.by_basis = {basis: KernelSum() for basis in BASES}
        self.by_kind = [KernelSum() for _ in KINDS]
        self.reasons: dict[str, KernelSum] = {}
        self.utilisation: Utilisation | None = None
        self.base_ns = 0  # what a share is of: compute and copies that the profile saw launched
        self.rows: dict[Hashable, RowTimes] = {}
        self.scopes: Scopes | None = None
        self.work = WorkSum()
        self.memory = MemorySum()
        self.has_shapes = False  # whether operators have the shapes of their inputs
        self.has_frees = True  # whether it is known where memory was freed
        self.collectives: list[Collective] = []
        self.communication = CommunicationSum()
        self.device_names: tuple[str, ...] = ()  # as the drivers report them

    def add(
        self,
        scopes: Scopes,
        scope: int,
        basis: str,
        kind: int,
        name: int,
        kernels: int,
        ns: int,
        reason: int = -1,
    ) -> None:
        """Add kernels of one scope, basis, kind and name."""
        self.by_basis[basis].add(kernels, ns)
        self.by_kind[kind].add(kernels, ns)
        if basis != bases.BEFORE and kind != COMMUNICATION:
            self.base_ns += ns
        if basis == bases.UNKNOWN:
            self.reasons.setdefault(bases.REASONS[reason], KernelSum()).add(kernels, ns)
        if scope == ROOT:
            return
        keys = scopes.list_keys(scope)
        own_row = self._get_row(keys[-1])
        own_row.by_basis.setdefault(basis, KernelSum()).add(kernels, ns)
        for key in dict.fromkeys(keys):  # a module that calls itself counts once
            self._get_row(key).add_to_total(basis, kind, name, kernels, ns)

    def add_usage(self, scopes: Scopes, usage: Usage[Place]) -> None:
        """Add the work of operators and the allocations."""
        for place, work in usage.work.sums.items():
            self.work.merge(work)
            keys = scopes.list_keys(place.scope)
            if keys:
                self._get_row(keys[-1]).own_work.merge(work)
            for key in dict.fromkeys(keys):
                self._get_row(key).work.merge(work)
        for place, memory in usage.memory.sums.items():
            self.memory.merge(memory)
            for key in dict.fromkeys(scopes.list_keys(place.scope)):
                self._get_row(key).memory.merge(memory)

    def add_communication(self, communication: dict[int, CommunicationSum]) -> None:
        """Add the collectives of each scope that are known on all ranks."""
        assert self.scopes is not None
        for scope, part in communication.items():
            self.communication.merge(part)
            for key in dict.fromkeys(self.scopes.list_keys(scope)):
                self._get_row(key).communication.merge(part)

    def check_conservation(self, path: str) -> None:
        """Raise AutoinstrError if the bases do not sum up to all kernels of the profile."""
        kernels = sum(part.kernels for part in self.by_basis.values())
        ns = sum(part.ns for part in self.by_basis.values())
        if (kernels, ns) != (self.total.kernels, self.total.ns):
            raise AutoinstrError(
                f"{path}: internal error: {kernels:,} kernels ({ns:,} ns) were attributed, but the "
                f"profile has {self.total.kernels:,} ({self.total.ns:,} ns)"
            )

    def _get_row(self, key: Hashable) -> RowTimes:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = RowTimes()
        return row
