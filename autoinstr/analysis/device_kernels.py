"""The kernels of one profile, one by one, for timelines: their stream, times and modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device import bases
from autoinstr.device.attribution import PLACES
from autoinstr.device.bases import BASES
from autoinstr.device.capture import KERNEL_PLACES
from autoinstr.device.profile_store import KERNELS, KINDS
from autoinstr.device.profile_times import IS_EARLY, find_first_launched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.device.scopes import Scopes
    from autoinstr.recording.reader import RangeName

_ROWS = f"""
    SELECT k.device, k.stream, k.startNs, k.endNs, k.name, k.kind, COALESCE(g.scope, p.scope),
        COALESCE(g.basis, p.basis), {IS_EARLY}
    FROM {KERNELS} k LEFT JOIN {PLACES} p ON p.correlation = k.correlation
    LEFT JOIN {KERNEL_PLACES} g ON g.kernel = k.rowid
    ORDER BY k.device, k.stream, k.startNs, k.rowid"""


class KernelName(NamedTuple):
    """What equal kernels of one module have in common. `module` is "" for none."""

    kernel: str
    kind: str
    module: str
    basis: str


class Kernel(NamedTuple):
    """One kernel, in the times of its process's recording. `name` is an index of `names`."""

    device: int
    stream: int
    start_ns: int
    end_ns: int
    name: int


class DeviceKernels:
    """The kernels of a profile whose store stays open. Close it in the end.

    `names` grows while the kernels are read."""

    def __init__(
        self,
        store: ProfileStore,
        scopes: Scopes,
        row_names: Sequence[RangeName],
        shift_ns: int,
    ) -> None:
        """Add `shift_ns` to the profile's times to get those of the recording."""
        self.names: list[KernelName] = []
        self._numbers: dict[tuple[int, int, int, str], int] = {}
        self._store = store
        self._scopes = scopes
        self._row_names = row_names
        self._shift_ns = shift_ns

    def __iter__(self) -> Iterator[Kernel]:
        """Yield the kernels by device and stream, in order of start."""
        if self._store.on_cpu:
            return
        rows = self._store.connection.execute(_ROWS, find_first_launched(self._store))
        for device, stream, start, end, text, kind, scope, code, is_early in rows:
            if scope is None:
                scope, basis = 0, bases.BEFORE if is_early else bases.UNKNOWN
            else:
                basis = BASES[code]
            key = (text, kind, scope, basis)
            number = self._numbers.get(key)
            if number is None:
                number = self._numbers[key] = len(self.names)
                module = self._name_module(scope)
                self.names.append(KernelName(self._store.texts[text], KINDS[kind], module, basis))
            yield Kernel(device, stream, start + self._shift_ns, end + self._shift_ns, number)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _name_module(self, scope: int) -> str:
        if not scope:
            return ""
        key = self._scopes.keys[scope]
        if isinstance(key, int):
            name = self._row_names[key]
            return f"{name.path}:{name.cls}" if name.path else name.cls
        return ".".join(key) if isinstance(key, tuple) else str(key)
