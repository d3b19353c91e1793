"""Attribute the kernels of one profile to the ranges in its table RANGES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.device import bases
from autoinstr.device.attribution import PLACES, place_launches
from autoinstr.device.bases import BASES, CODES
from autoinstr.device.capture import list_capture_windows
from autoinstr.device.collectives.matching import Collective
from autoinstr.device.cpu_sweep import add_operators
from autoinstr.device.device_times import DeviceTimes, KernelSum
from autoinstr.device.graph_placer import KERNEL_PLACES, GraphPlacer
from autoinstr.device.profile_store import COLLECTIVES, KERNELS, LAUNCHES
from autoinstr.device.scopes import ROOT, Place, Scopes
from autoinstr.device.utilisation import measure_utilisation
from autoinstr.device.work.captured import set_captured_work_apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.profile_store import ProfileStore

# A kernel without a launch in the profile was launched earlier if its number is smaller than all
# of them, or if it began before the first kernel that has one.
IS_EARLY = "p.scope IS NULL AND (k.correlation < :first_number OR k.startNs < :first_start)"
_GROUPS = f"""
    SELECT COALESCE(g.scope, p.scope), COALESCE(g.basis, p.basis), COALESCE(g.reason, p.reason),
        k.kind, k.name,
        {IS_EARLY},
        COUNT(*), SUM(k.endNs - k.startNs)
    FROM {KERNELS} k LEFT JOIN {PLACES} p ON p.correlation = k.correlation
    LEFT JOIN {KERNEL_PLACES} g ON g.kernel = k.rowid
    GROUP BY 1, 2, 3, 4, 5, 6"""
# Kernels of replays whose capture is not known, and so their operators.
_UNPLACED = f"""
    SELECT p.scope, COUNT(*) FROM {KERNELS} k JOIN {PLACES} p ON p.correlation = k.correlation
    LEFT JOIN {KERNEL_PLACES} g ON g.kernel = k.rowid
    WHERE p.graph AND (g.kernel IS NULL OR g.basis = {CODES[bases.UNKNOWN]}) GROUP BY 1"""
_COLLECTIVES = f"""
    SELECT c.groupName, c.sequence, c.size, c.ns, c.transitNs, p.scope
    FROM {COLLECTIVES} c LEFT JOIN {PLACES} p ON p.correlation = c.correlation ORDER BY c.rowid"""
_FIRST_LINKED = f"""
    SELECT MIN(k.startNs) FROM {KERNELS} k JOIN {PLACES} p ON p.correlation = k.correlation"""


def compute_device_times(
    store: ProfileStore,
    tick: Callable[[int], None],
    graphs: GraphPlacer,
    list_classes: Callable[[object], list[str]],
) -> DeviceTimes:
    """Attribute all kernels of a profile to the ranges in its table RANGES.

    `list_classes` returns the classes of a key of RANGES, from the outside in."""
    store.flush()
    set_captured_work_apart(store, list_capture_windows(store))
    scopes = Scopes()
    if store.on_cpu:
        times = add_operators(store, scopes, tick)
    else:
        times = _sum_kernels(store, scopes, tick, graphs, list_classes)
        times.utilisation = measure_utilisation(store)
    times.scopes, times.has_shapes = scopes, store.has_shapes
    times.has_frees = store.has_frees
    times.device_names = tuple(sorted(set(store.devices.values())))
    times.check_conservation(store.path)
    return times


def find_first_launched(store: ProfileStore) -> dict[str, int | None]:
    """Return the parameters of IS_EARLY, after place_launches."""
    [(first_start,)] = store.query(_FIRST_LINKED)
    [(first_number,)] = store.query(f"SELECT MIN(correlation) FROM {LAUNCHES}")
    return {"first_number": first_number, "first_start": first_start}


def _sum_kernels(
    store: ProfileStore,
    scopes: Scopes,
    tick: Callable[[int], None],
    graphs: GraphPlacer,
    list_classes: Callable[[object], list[str]],
) -> DeviceTimes:
    sweep = place_launches(store, scopes, tick)
    connection = store.connection
    connection.execute(f"DROP TABLE IF EXISTS {KERNEL_PLACES}")
    connection.execute(
        f"""CREATE TABLE {KERNEL_PLACES} (kernel INTEGER PRIMARY KEY, scope INTEGER,
        basis INTEGER, reason INTEGER)"""
    )
    graphs.place(store, scopes, list_classes)
    [(kernels, ns)] = store.query(f"SELECT COUNT(*), SUM(endNs - startNs) FROM {KERNELS}")
    times = DeviceTimes(False, KernelSum(kernels, ns))
    has_launches = bool(store.counts[LAUNCHES])
    for row in connection.execute(_GROUPS, find_first_launched(store)):
        scope, code, reason, kind, name, is_early, count, time_ns = row
        if scope is not None:
            basis = BASES[code]
        elif is_early:
            scope, basis = ROOT, bases.BEFORE
        else:
            scope, basis = ROOT, bases.UNKNOWN
            reason_text = bases.NO_LAUNCH if has_launches else bases.NO_LAUNCHES
            reason = bases.REASONS.index(reason_text)
        times.add(scopes, scope, basis, kind, name, count, time_ns, reason)
    for scope, count in connection.execute(_UNPLACED):
        sweep.usage.work.get_sum(Place(scope, CODES[bases.GRAPH])).add_unknown(count)
    for scope, work in graphs.work.items():
        sweep.usage.work.get_sum(Place(scope, CODES[bases.GRAPH])).merge(work)
    times.add_usage(scopes, sweep.usage)
    times.collectives = [
        Collective(store.texts[group], sequence, size, ns, transit_ns, scope or ROOT)
        for group, sequence, size, ns, transit_ns, scope in store.query(_COLLECTIVES)
    ]
    return times
