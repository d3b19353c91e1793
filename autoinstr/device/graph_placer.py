"""Find the modules of the kernels of replayed graphs, by order and name.

A replay has one launch for the whole graph. But its kernels run in the order in which they were
captured, so the capture (or an eager pass) says the module of each. All names of a graph must be
equal, else none of its kernels gets a module. CUDA does not name the kernel of a captured launch;
then number and kind must be equal. Ascend's kernels may name their launch in the capture.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device import bases
from autoinstr.device.attribution import PLACES
from autoinstr.device.bases import CODES
from autoinstr.device.capture import KERNELS_BY_LAUNCH, has_captures, read_capture
from autoinstr.device.profile_store import COPY, KERNELS
from autoinstr.device.work.sums import WorkSum

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from typing import Callable

    from autoinstr.device.capture import CapturedGraphs, CapturedLaunch
    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.device.scopes import Scopes

KERNEL_PLACES = "KERNEL_PLACES"  # the places of single kernels of graphs, by rowid
MAX_POSITIONS = 2_000  # of a capture without bounds, that are compared with one graph

_REPLAYED = f"""
    SELECT k.rowid, k.name, k.kind, k.correlation, p.scope
    FROM {KERNELS} k JOIN {PLACES} p ON p.correlation = k.correlation
    WHERE p.graph ORDER BY p.startNs, k.correlation, k.startNs, k.rowid"""
_LINKED = f"SELECT rowid FROM {KERNELS} WHERE correlation = ?"


class _Kernel(NamedTuple):
    row: int
    name: str
    is_copy: bool


class GraphPlacer:
    """Finds the places of the kernels of replayed graphs.

    `own_capture` is the capture in the same profile, once `place` has run. `unplaced` counts the
    kernels of replays that fit no capture. `work` has that of placed kernels by scope."""

    def __init__(
        self,
        captures: Sequence[CapturedGraphs],
        translate: Callable[[Hashable], Hashable] = lambda key: key,
    ) -> None:
        """`translate` returns the key of a captured module in the profile of the replay."""
        self.own_capture: CapturedGraphs | None = None
        self.unplaced = 0
        self.work: dict[int, WorkSum] = {}
        self._captures = list(captures)
        self._translate = translate
        # After the latest match: the number of the next graph, or the next position in the list.
        self._next: list[int | None] = []

    def place(
        self, store: ProfileStore, scopes: Scopes, list_classes: Callable[[object], list[str]]
    ) -> None:
        """Fill KERNEL_PLACES. `list_classes` returns the classes of a key of RANGES."""
        rows: list[tuple[int, int, int, int]] = []
        if has_captures(store):
            rows += self._place_linked(store, scopes, list_classes)
        self._next = [None] * len(self._captures)
        refused: dict[str, int] = {}
        for (_, scope), group in groupby(store.query(_REPLAYED), key=lambda row: row[3:]):
            kernels = [_Kernel(row[0], store.texts[row[1]], row[2] == COPY) for row in group]
            if not self._captures:
                self.unplaced += len(kernels)
                continue
            launches = self._find_launches(kernels)
            if launches is None:
                self.unplaced += len(kernels)
                reason = bases.REASONS.index(bases.NO_CAPTURE)
                place = (0, CODES[bases.UNKNOWN], reason)
                rows += [(kernel.row, *place) for kernel in kernels]
                difference = self._describe_difference(kernels)
                refused[difference] = refused.get(difference, 0) + 1
                continue
            keys = scopes.list_keys(scope)
            around = list_classes(keys[-1]) if keys else []
            for kernel, launch in zip(kernels, launches):
                inner = self._enter(scopes, scope, around, launch)
                basis = CODES[bases.GRAPH if inner else bases.OUTSIDE]
                rows.append((kernel.row, inner, basis, -1))
                self._add_work(inner, launch)
        store.connection.executemany(
            f"INSERT OR REPLACE INTO {KERNEL_PLACES} VALUES (?,?,?,?)", rows
        )
        store.complaints += [
            f"{count:,} replays of a graph fit no capture: {difference}"
            for difference, count in refused.items()
        ]

    def _place_linked(
        self, store: ProfileStore, scopes: Scopes, list_classes: Callable[[object], list[str]]
    ) -> list[tuple[int, int, int, int]]:
        """Read the capture in this profile; return places of the kernels that name its launches."""

        def describe(keys: Sequence[Hashable]) -> tuple[tuple[str, ...], tuple[Hashable, ...]]:
            return tuple(list_classes(keys[-1])) if keys else (), tuple(keys)

        self.own_capture = read_capture(store, scopes, describe)
        self._captures.insert(0, self.own_capture)
        store.connection.execute(KERNELS_BY_LAUNCH)
        rows = []
        for graph in self.own_capture.graphs:
            for launch in graph:
                scope = 0
                for key in launch.keys:
                    scope = scopes.enter(scope, key)
                basis = CODES[bases.GRAPH if scope else bases.OUTSIDE]
                for (row,) in store.query(_LINKED, launch.correlation):
                    rows.append((row, scope, basis, -1))
                    self._add_work(scope, launch)
        return rows

    def _add_work(self, scope: int, launch: CapturedLaunch) -> None:
        if launch.cost is not None:
            if scope not in self.work:
                self.work[scope] = WorkSum()
            self.work[scope].add_operator(*launch.cost)

    def _find_launches(self, kernels: Sequence[_Kernel]) -> list[CapturedLaunch] | None:
        """Return the captured launch of each kernel; None if no capture fits."""
        for index, capture in enumerate(self._captures):
            if capture.is_bounded:
                launches = self._find_graph(index, kernels)
            else:
                launches = self._find_part(index, kernels)
            if launches is not None:
                return launches
        # The next replay need not follow the latest one that fitted.
        self._next = [None] * len(self._captures)
        return None

    def _find_graph(self, index: int, kernels: Sequence[_Kernel]) -> list[CapturedLaunch] | None:
        """Return a graph that fits.

        Pieces are replayed in the order of their capture, so the one after the latest is preferred.
        Of others all must name the same modules."""
        graphs = self._captures[index].graphs
        fitting = [
            number
            for number, graph in enumerate(graphs)
            if len(graph) == len(kernels) and all(map(_fits, kernels, graph))
        ]
        if not fitting:
            return None
        following = self._next[index]
        if following not in fitting:
            modules = {tuple(launch.keys for launch in graphs[number]) for number in fitting}
            if len(modules) > 1:
                return None
            following = next(
                (number for number in fitting if number >= (following or 0)), fitting[0]
            )
        assert following is not None
        self._next[index] = following + 1
        return graphs[following]

    def _find_part(self, index: int, kernels: Sequence[_Kernel]) -> list[CapturedLaunch] | None:
        """Return a part of a list that fits."""
        [captured] = self._captures[index].graphs
        for position in self._list_positions(index, kernels):
            launches = captured[position : position + len(kernels)]
            if len(launches) == len(kernels) and all(map(_fits, kernels, launches)):
                self._next[index] = position + len(kernels)
                return launches
        return None

    def _list_positions(self, index: int, kernels: Sequence[_Kernel]) -> list[int]:
        """Return where in a list the graph may begin: after the latest one first."""
        [launches] = self._captures[index].graphs
        last = len(launches) - len(kernels)
        positions = [
            position
            for position in range(last + 1)
            if _fits(kernels[0], launches[position])
            and _fits(kernels[-1], launches[position + len(kernels) - 1])
        ]
        latest = self._next[index] or 0
        positions.sort(key=lambda position: (position < latest, position))
        return positions[:MAX_POSITIONS]

    def _describe_difference(self, kernels: Sequence[_Kernel]) -> str:
        """Say where the best capture differs from a graph."""
        best = (-1, "")
        for index, capture in enumerate(self._captures):
            starts = [0] * len(capture.graphs)
            graphs = list(capture.graphs)
            if not capture.is_bounded and self._next[index]:
                graphs, starts = graphs * 2, [0, self._next[index] or 0]
            for graph, start in zip(graphs, starts):
                best = max(best, _compare(capture, graph[start : start + len(kernels)], kernels))
        return best[1] or "no kernel was captured"

    def _enter(self, scopes: Scopes, scope: int, around: list[str], launch: CapturedLaunch) -> int:
        """Return the scope of captured modules below that of the replay.

        The module that replays may be the one that was captured: it counts once."""
        is_same = list(launch.classes[: len(around)]) == around
        for key in launch.keys[len(around) if is_same else 0 :]:
            scope = scopes.enter(scope, self._translate(key))
        return scope


def _compare(
    capture: CapturedGraphs, launches: Sequence[CapturedLaunch], kernels: Sequence[_Kernel]
) -> tuple[int, str]:
    """Return how many kernels are equal, and the difference in words."""
    equal = next(
        (number for number, pair in enumerate(zip(kernels, launches)) if not _fits(*pair)),
        min(len(kernels), len(launches)),
    )
    if equal == len(kernels):
        return equal, f"{capture.path} fits only in part, or in several ways"
    name = launches[equal].name if equal < len(launches) else "its end"
    return equal, (
        f"of {len(kernels):,} kernels {equal:,} are those of {capture.path}, "
        f"then {kernels[equal].name[:60]!r} stands against {name[:60]!r}"
    )


def _fits(kernel: _Kernel, launch: CapturedLaunch) -> bool:
    if kernel.is_copy or launch.is_copy:
        return kernel.is_copy == launch.is_copy
    return not launch.name or launch.name == kernel.name
