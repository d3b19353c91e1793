"""Captured graphs, by the rows of a recording or by classes, for profiles with their replays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.module_classes import ModuleClasses
from autoinstr.analysis.profile_ranges import align_ranges, fill_ranges
from autoinstr.base.errors import AutoinstrError
from autoinstr.device.attribution import place_launches
from autoinstr.device.capture import has_captures, read_capture
from autoinstr.device.profile_kinds import KINETO, FoundProfile, find_profiles, load_profile
from autoinstr.device.profile_store import MODULES, RANGES
from autoinstr.device.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.analysis.profile_ranges import RowKey, RowKeys
    from autoinstr.device.capture import CapturedGraphs
    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.recording.reader import RangeName, Recording

# Traces of vLLM's capture, which lie beside the others, begin with this word.
BESIDE = "capture"
MAX_BESIDE = 16


class CapturedRow(NamedTuple):
    """A row of a recording, as the key of a captured module in any profile of its process."""

    key: RowKey
    name: RangeName


def read_captures(paths: Sequence[str], tick: ProgressTick) -> list[CapturedGraphs]:
    """Return the captures of traces, by the classes of their modules."""
    captures = []
    for path in paths:
        store = load_profile(FoundProfile(KINETO, path), tick)
        try:
            captures.append(read_profile_capture(store, tick))
        finally:
            store.close()
    return captures


def read_captures_beside(
    path: str, pid: int, rank: int | None, tick: ProgressTick
) -> list[CapturedGraphs]:
    """Return the captures of a process from the traces of captures beside one of its traces."""
    folder = os.path.dirname(path) or "."
    names = [name for name in sorted(os.listdir(folder)) if name.startswith(BESIDE)]
    captures = []
    for found in [found for name in names for found in find_profiles(f"{folder}/{name}")]:
        if found.kind != KINETO or os.path.samefile(found.path, path):
            continue
        try:
            store = load_profile(found, tick)
        except AutoinstrError:
            continue  # nobody named it
        try:
            if (store.pid, store.rank) == (pid, rank) and has_captures(store):
                captures.append(read_profile_capture(store, tick))
        finally:
            store.close()
        if len(captures) == MAX_BESIDE:
            break
    return captures


def read_profile_capture(store: ProfileStore, tick: ProgressTick) -> CapturedGraphs:
    """Return the capture of a profile by the profile's own modules."""
    store.connection.execute(
        f"INSERT INTO {RANGES} SELECT startNs, endNs, tid, name FROM {MODULES}"
    )  # the key of a range is its class
    scopes = Scopes()
    place_launches(store, scopes, tick)

    def describe(keys: Sequence[Hashable]) -> tuple[tuple[str, ...], tuple[Hashable, ...]]:
        classes = tuple(store.texts[key] for key in keys if isinstance(key, int))
        return classes, list_class_keys(classes)

    return read_capture(store, scopes, describe)


def read_run_capture(
    store: ProfileStore, recording: Recording, shift_ns: int, tick: ProgressTick
) -> CapturedGraphs:
    """Return the capture of a profile by the rows of the recording of its process.

    Add `shift_ns` to the recording's times to get those of the profile."""
    rows = fill_ranges(store, recording, shift_ns, tick)
    align_ranges(store, recording)
    return read_joined_capture(store, rows, tick)


def read_joined_capture(store: ProfileStore, rows: RowKeys, tick: ProgressTick) -> CapturedGraphs:
    """Return the capture of a profile that has the ranges of a recording, by its rows."""
    classes = ModuleClasses(rows.names)
    scopes = Scopes()
    place_launches(store, scopes, tick)

    def describe(keys: Sequence[Hashable]) -> tuple[tuple[str, ...], tuple[Hashable, ...]]:
        numbers = [key for key in keys if isinstance(key, int)]
        names = classes.list_classes(rows.names[numbers[-1]]) if numbers else []
        return tuple(names), tuple(keys)

    return name_rows(read_capture(store, scopes, describe), rows)


def name_rows(capture: CapturedGraphs, rows: RowKeys) -> CapturedGraphs:
    """Return a capture whose keys are CapturedRow, for the numbers of rows."""
    known: dict[Hashable, Hashable] = {}

    def name_row(number: Hashable) -> Hashable:
        if number not in known:
            known[number] = (
                CapturedRow(rows.keys[number], rows.names[number])
                if isinstance(number, int)
                else number
            )
        return known[number]

    graphs = [
        [launch._replace(keys=tuple(map(name_row, launch.keys))) for launch in graph]
        for graph in capture.graphs
    ]
    return capture._replace(graphs=graphs)


def name_classes(capture: CapturedGraphs) -> CapturedGraphs:
    """Return a capture whose keys are paths of classes."""
    graphs = [
        [launch._replace(keys=list_class_keys(launch.classes)) for launch in graph]
        for graph in capture.graphs
    ]
    return capture._replace(graphs=graphs)


def list_class_keys(classes: tuple[str, ...]) -> tuple[Hashable, ...]:
    """Return a key for each class: those from the outermost to it."""
    return tuple(classes[: count + 1] for count in range(len(classes)))
