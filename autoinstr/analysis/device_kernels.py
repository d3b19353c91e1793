"""The kernels of one profile, one by one, for timelines: their stream, times and modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device import bases
from autoinstr.device.attribution import PLACES
from autoinstr.device.bases import BASES
from autoinstr.device.graph_placer import KERNEL_PLACES
from autoinstr.device.profile_recording import MODULE_DOMAIN
from autoinstr.device.profile_store import KERNELS, KINDS, RANGES
from autoinstr.device.profile_times import IS_EARLY, find_first_launched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.analysis.profile_ranges import RowKeys
    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.device.scopes import Scopes

_ROWS = f"""
    SELECT k.device, k.stream, k.startNs, k.endNs, k.name, k.kind, COALESCE(g.scope, p.scope),
        COALESCE(g.basis, p.basis), {IS_EARLY}
    FROM {KERNELS} k LEFT JOIN {PLACES} p ON p.correlation = k.correlation
    LEFT JOIN {KERNEL_PLACES} g ON g.kernel = k.rowid
    ORDER BY k.device, k.stream, k.startNs, k.rowid"""

_LAUNCHED = f"""
    SELECT p.startNs, COALESCE(g.scope, p.scope), k.endNs - k.startNs
    FROM {KERNELS} k JOIN {PLACES} p ON p.correlation = k.correlation
    LEFT JOIN {KERNEL_PLACES} g ON g.kernel = k.rowid"""
_CALLS = f"SELECT startNs, endNs FROM {RANGES} ORDER BY startNs, endNs DESC"


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
        rows: RowKeys,
        shift_ns: int,
    ) -> None:
        """Add `shift_ns` to the profile's times to get those of the recording."""
        self.names: list[KernelName] = []
        self._calls: dict[tuple[str, str, str, str, str, str | None], int] | None = None
        self._numbers: dict[tuple[int, int, int, str], int] = {}
        self._store = store
        self._scopes = scopes
        self._rows = rows
        self.shift_ns = shift_ns

    def find_span(self) -> tuple[int, int] | None:
        """Return the times of the first and the last kernel of a device; None without any."""
        [(first, last)] = self._store.query(f"SELECT MIN(startNs), MAX(endNs) FROM {KERNELS}")
        return None if first is None else (first + self.shift_ns, last + self.shift_ns)

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
            yield Kernel(device, stream, start + self.shift_ns, end + self.shift_ns, number)

    def iterate_launched(self) -> Iterator[tuple[int, int, int]]:
        """Yield the time of the launch, the scope and the duration of each kernel that was launched
        in the profile."""
        if not self._store.on_cpu:
            rows = self._store.connection.execute(_LAUNCHED)
            for launch, scope, ns in rows:
                yield launch + self.shift_ns, scope, ns

    def list_outermost_starts(self) -> list[int]:
        """Return when the outermost calls of modules began, in order."""
        starts: list[int] = []
        latest_end = 0
        for start, end in self._store.query(_CALLS):
            if not starts or start > latest_end:
                starts.append(start + self.shift_ns)
            latest_end = max(latest_end, end)
        return starts

    def list_name_keys(self, scope: int) -> list[tuple[str, str, str, str, str, str | None]]:
        """Return the domain, message, root, path, class and phase of each call of a scope, the
        outermost first."""
        keys = self._scopes.list_keys(scope)
        return [self._get_name_key(key) for key in keys]

    def count_calls(self, name_key: tuple[str, str, str, str, str, str | None]) -> int:
        """Return how often a module was called in the profile."""
        if self._calls is None:
            self._calls = {}
            for key, calls in zip(self._scopes.keys[1:], self._scopes.calls[1:]):
                known_key = self._get_name_key(key)
                self._calls[known_key] = self._calls.get(known_key, 0) + calls
        return self._calls.get(name_key, 0)

    def _get_name_key(self, key: object) -> tuple[str, str, str, str, str, str | None]:
        if isinstance(key, int):
            name = self._rows.names[key]
            return (*name[2:7], self._rows.keys[key][1])
        classes = key if isinstance(key, tuple) else (str(key),)
        cls = "" if isinstance(key, str) else classes[-1]
        return (MODULE_DOMAIN, classes[-1], classes[0], ".".join(classes[1:]), cls, None)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _name_module(self, scope: int) -> str:
        if not scope:
            return ""
        key = self._scopes.keys[scope]
        if isinstance(key, int):
            name = self._rows.names[key]
            return f"{name.path}:{name.cls}" if name.path else name.cls
        return ".".join(key) if isinstance(key, tuple) else str(key)
