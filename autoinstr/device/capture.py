"""Find the modules of the kernels of a replayed graph, by order and name.

A replay has one launch for the whole graph. But its kernels run in the order in which they were
captured, so the trace of the capture (or of an eager pass) says the module of each. All names of a
graph must be equal, else none of its kernels gets a module. CUDA does not name the kernel of a
captured launch; then number and kind must be equal.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device import bases
from autoinstr.device.attribution import PLACES, place_launches
from autoinstr.device.bases import CODES
from autoinstr.device.profile_store import COPY, KERNELS, LAUNCHES, MODULES, RANGES
from autoinstr.device.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoinstr.device.profile_store import ProfileStore

KERNEL_PLACES = "KERNEL_PLACES"  # the places of single kernels of graphs, by rowid
MAX_POSITIONS = 2_000  # of a capture, that are compared with one graph

_LAUNCHES = f"""
    SELECT l.name, l.kernel, MIN(k.name), MIN(k.kind), p.scope
    FROM {LAUNCHES} l JOIN {PLACES} p ON p.correlation = l.correlation
    LEFT JOIN {KERNELS} k ON k.correlation = l.correlation
    WHERE NOT l.graph GROUP BY l.rowid ORDER BY l.startNs"""
_REPLAYED = f"""
    SELECT k.rowid, k.name, k.kind, k.correlation, p.scope
    FROM {KERNELS} k JOIN {PLACES} p ON p.correlation = k.correlation
    WHERE p.graph ORDER BY p.startNs, k.correlation, k.startNs, k.rowid"""


class CapturedLaunch(NamedTuple):
    """One launch of a capture: its kernel's name ("" if unknown), and the classes around it."""

    name: str
    is_copy: bool
    classes: tuple[str, ...]


class CapturedLaunches(NamedTuple):
    """The launches of a trace, in order."""

    path: str
    launches: list[CapturedLaunch]


class _Kernel(NamedTuple):
    row: int
    name: str
    is_copy: bool


def read_capture(store: ProfileStore, tick: Callable[[int], None]) -> CapturedLaunches:
    """Return the launches of a capture's trace, which the store holds.

    Launches that ran nothing were captured. Without those, the trace is of an eager pass.
    """
    connection = store.connection
    connection.execute(
        f"INSERT INTO {RANGES} SELECT startNs, endNs, tid, name FROM {MODULES}"
    )  # the key of a range is its class
    scopes = Scopes()
    place_launches(store, scopes, tick)
    captured: list[CapturedLaunch] = []
    eager: list[CapturedLaunch] = []
    connection.execute(f"CREATE INDEX KERNELS_BY_LAUNCH ON {KERNELS} (correlation)")
    for call, kernel, ran_name, ran_kind, scope in store.query(_LAUNCHES):
        classes = tuple(store.texts[key] for key in scopes.list_keys(scope) if isinstance(key, int))
        if ran_name is not None:
            is_copy = ran_kind == COPY
            eager.append(CapturedLaunch(store.texts[ran_name], is_copy, classes))
            continue
        call_name = store.texts[call]
        is_copy = "Memcpy" in call_name or "Memset" in call_name
        if (is_copy and "Async" in call_name) or kernel is not None or "Launch" in call_name:
            name = store.texts[kernel] if kernel is not None else ""
            captured.append(CapturedLaunch(name, is_copy, classes))
    return CapturedLaunches(store.path, captured or eager)


class GraphPlacer:
    """Finds the places of the kernels of replayed graphs."""

    def __init__(self, captures: Sequence[CapturedLaunches]) -> None:
        self._captures = captures
        self._next: list[int] = [0] * len(captures)  # the position after the latest match

    def place(
        self, store: ProfileStore, scopes: Scopes, list_classes: Callable[[object], list[str]]
    ) -> None:
        """Fill KERNEL_PLACES. `list_classes` returns the classes of a key of RANGES."""
        if not self._captures:
            return
        refused: dict[str, int] = {}
        rows = []
        for (_, scope), group in groupby(store.query(_REPLAYED), key=lambda row: row[3:]):
            kernels = [_Kernel(row[0], store.texts[row[1]], row[2] == COPY) for row in group]
            launches = self._find_launches(kernels)
            if launches is None:
                reason = bases.REASONS.index(bases.NO_CAPTURE)
                place = (0, CODES[bases.UNKNOWN], reason)
                rows += [(kernel.row, *place) for kernel in kernels]
                difference = self._describe_difference(kernels)
                refused[difference] = refused.get(difference, 0) + 1
                continue
            keys = scopes.list_keys(scope)
            around = list_classes(keys[-1]) if keys else []
            for kernel, launch in zip(kernels, launches):
                inner = _enter(scopes, scope, around, launch.classes)
                basis = CODES[bases.GRAPH if inner else bases.OUTSIDE]
                rows.append((kernel.row, inner, basis, -1))
        store.connection.executemany(f"INSERT INTO {KERNEL_PLACES} VALUES (?,?,?,?)", rows)
        store.complaints += [
            f"{count:,} replays of a graph fit no capture: {difference}"
            for difference, count in refused.items()
        ]

    def _find_launches(self, kernels: Sequence[_Kernel]) -> list[CapturedLaunch] | None:
        """Return the captured launch of each kernel; None if no capture fits."""
        for index, capture in enumerate(self._captures):
            for position in self._list_positions(index, kernels):
                launches = capture.launches[position : position + len(kernels)]
                if len(launches) == len(kernels) and all(map(_fits, kernels, launches)):
                    self._next[index] = position + len(kernels)
                    return launches
        return None

    def _list_positions(self, index: int, kernels: Sequence[_Kernel]) -> list[int]:
        """Return where in a capture the graph may begin: after the latest one first."""
        launches = self._captures[index].launches
        last = len(launches) - len(kernels)
        positions = [
            position
            for position in range(last + 1)
            if _fits(kernels[0], launches[position])
            and _fits(kernels[-1], launches[position + len(kernels) - 1])
        ]
        latest = self._next[index]
        positions.sort(key=lambda position: (position < latest, position))
        return positions[:MAX_POSITIONS]

    def _describe_difference(self, kernels: Sequence[_Kernel]) -> str:
        """Say where the best capture differs from a graph."""
        best = (-1, "")
        for index, capture in enumerate(self._captures):
            for position in (self._next[index], 0):
                launches = capture.launches[position : position + len(kernels)]
                equal = next(
                    (at for at, pair in enumerate(zip(kernels, launches)) if not _fits(*pair)),
                    min(len(kernels), len(launches)),
                )
                captured = launches[equal].name if equal < len(launches) else "its end"
                text = (
                    f"of {len(kernels):,} kernels {equal:,} are those of {capture.path}, "
                    f"then {kernels[equal].name[:60]!r} stands against {captured[:60]!r}"
                    if equal < len(kernels)
                    else f"{capture.path} fits only in part"
                )
                best = max(best, (equal, text))
        return best[1]


def _fits(kernel: _Kernel, launch: CapturedLaunch) -> bool:
    if kernel.is_copy or launch.is_copy:
        return kernel.is_copy == launch.is_copy
    return not launch.name or launch.name == kernel.name


def _enter(scopes: Scopes, scope: int, around: list[str], classes: tuple[str, ...]) -> int:
    """Return the scope of captured modules below that of the replay.

    The module that replays may be the one that was captured: it counts once."""
    is_same = list(classes[: len(around)]) == around
    path = list(around)
    for cls in classes[len(around) :] if is_same else classes:
        path.append(cls)
        scope = scopes.enter(scope, tuple(path))
    return scope
