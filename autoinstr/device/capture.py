"""Read which launches were captured into graphs, and the modules that they belong to.

While a graph is captured, its modules run on the host once, and their launches run nothing. A trace
that has the calls which begin and end a capture tells its graphs apart. Without these calls the
launches are one list, in which graphs are searched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.attribution import PLACES
from autoinstr.device.profile_store import COPY, KERNELS, LAUNCHES
from autoinstr.device.work.captured import LaunchCosts
from autoinstr.device.work.shapes import UNKNOWN_COST, CallCost

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from typing import Callable

    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.device.scopes import Scopes

_BEGIN = re.compile(r"(cuda|hip)StreamBeginCapture|cuStreamBeginCapture|aclmdlRICaptureBegin")
_END = re.compile(r"(cuda|hip)StreamEndCapture|cuStreamEndCapture|aclmdlRICaptureEnd")
_LAUNCHES = f"""
    SELECT l.name, l.kernel, l.startNs, l.correlation, p.scope,
        MIN(k.startNs), MIN(k.name), MIN(k.kind)
    FROM {LAUNCHES} l LEFT JOIN {PLACES} p ON p.correlation = l.correlation
    LEFT JOIN {KERNELS} k ON k.correlation = l.correlation
    WHERE NOT l.graph GROUP BY l.rowid ORDER BY l.startNs"""
_STARTS = f"SELECT name, startNs FROM {LAUNCHES} ORDER BY startNs"
_NAMES = f"SELECT DISTINCT name FROM {LAUNCHES}"
KERNELS_BY_LAUNCH = f"CREATE INDEX IF NOT EXISTS KERNELS_BY_LAUNCH ON {KERNELS} (correlation)"


class CapturedLaunch(NamedTuple):
    """One launch of a capture: its kernel's name ("" if unknown), and the modules around it.

    `classes` are those of the modules, from the outside in. `keys` are what their times are filed
    under. `correlation` links the launch with kernels of the same trace. `cost` is that of the
    operator whose first launch this is."""

    name: str
    is_copy: bool
    classes: tuple[str, ...]
    keys: tuple[Hashable, ...]
    correlation: int
    cost: CallCost | None = None


class CapturedGraphs(NamedTuple):
    """The graphs of a trace, in the order of their capture.

    If not `is_bounded`, the one list may hold several graphs, and launches of no graph."""

    path: str
    graphs: list[list[CapturedLaunch]]
    is_bounded: bool


class _Row(NamedTuple):
    call: str
    kernel: int | None
    start_ns: int
    correlation: int
    scope: int | None
    ran_at_ns: int | None
    ran_name: int | None
    ran_kind: int | None


def has_captures(store: ProfileStore) -> bool:
    """Return whether the profile has the calls that begin a capture."""
    return any(_BEGIN.match(store.texts[name]) for (name,) in store.query(_NAMES))


def list_capture_windows(store: ProfileStore) -> list[tuple[int, int]]:
    """Return when each capture of a graph began and ended."""
    if not has_captures(store):
        return []
    windows: list[tuple[int, int]] = []
    begin: int | None = None
    for name, start in store.query(_STARTS):
        if _BEGIN.match(store.texts[name]):
            begin = start
        elif begin is not None and _END.match(store.texts[name]):
            windows.append((begin, start))
            begin = None
    return windows


def read_capture(
    store: ProfileStore,
    scopes: Scopes,
    describe: Callable[[Sequence[Hashable]], tuple[tuple[str, ...], tuple[Hashable, ...]]],
) -> CapturedGraphs:
    """Return the captured launches of a profile, whose launches have places.

    `describe` returns the classes and the keys of a path of calls. Without captured launches, the
    trace is of an eager pass."""
    store.connection.execute(KERNELS_BY_LAUNCH)
    is_bounded = has_captures(store)
    graphs: list[list[CapturedLaunch]] = [] if is_bounded else [[]]
    eager: list[CapturedLaunch] = []
    end_ns = 0
    is_open = not is_bounded
    ends = [
        start
        for name, start in store.query(_STARTS)
        if is_bounded and _END.match(store.texts[name])
    ]

    costs = LaunchCosts(store)

    def make_launch(name: str, is_copy: bool, row: _Row) -> CapturedLaunch:
        classes, keys = describe(scopes.list_keys(row.scope or 0))
        cost = costs.take_cost(row.correlation) if costs.has_operators else UNKNOWN_COST
        return CapturedLaunch(name, is_copy, classes, keys, row.correlation, cost)

    for row in _read_rows(store):
        if _BEGIN.match(row.call):
            graphs.append([])
            end_ns = next((end for end in ends if end > row.start_ns), 1 << 62)
            is_open = True
        elif _END.match(row.call):
            is_open = not is_bounded
        elif row.ran_name is not None:
            is_copy = row.ran_kind == COPY
            # A kernel that ran after the capture belongs to a replay that names this launch.
            if not is_bounded:
                eager.append(make_launch(store.texts[row.ran_name], is_copy, row))
            elif is_open and row.ran_at_ns is not None and row.ran_at_ns > end_ns:
                graphs[-1].append(make_launch(store.texts[row.ran_name], is_copy, row))
        elif is_open and _is_launch(row):
            name = store.texts[row.kernel] if row.kernel is not None else ""
            graphs[-1].append(make_launch(name, _is_copy(row.call), row))
    if not is_bounded and not graphs[0]:
        return CapturedGraphs(store.path, [eager], False)
    return CapturedGraphs(store.path, [graph for graph in graphs if graph], is_bounded)


def _read_rows(store: ProfileStore) -> Iterator[_Row]:
    for call, *values in store.query(_LAUNCHES):
        yield _Row(store.texts[call], *values)


def _is_copy(call: str) -> bool:
    return "Memcpy" in call or "Memset" in call


def _is_launch(row: _Row) -> bool:
    if _is_copy(row.call):
        return "Async" in row.call
    return row.kernel is not None or "Launch" in row.call
