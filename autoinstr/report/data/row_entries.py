"""The rows and the open ranges of one recording, as objects of the JSON report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.labels import format_thread_label, get_native_tid
from autoinstr.analysis.module_classes import ModuleClasses
from autoinstr.analysis.phase_names import is_in_phase
from autoinstr.device.profile_recording import FROM_PROFILE
from autoinstr.report.data.device_json import build_row_device_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.analysis.stats import RecordingStats, StatsRow
    from autoinstr.recording.reader import RangeName, Recording


def build_row_entries(
    process: int,
    recording: Recording,
    stats: RecordingStats,
    phase: str | None = None,
    device: ProcessDevice | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one recording (docs/reference/json.md); `phase` selects those of one phase.

    `process` is the index of the recording."""
    classes = ModuleClasses(row.name for row in stats.rows)
    has_paths = FROM_PROFILE not in recording.header
    for row in stats.rows:
        if is_in_phase(row.phase, phase):
            times = device.find_row(row) if device is not None else None
            entry = {
                **build_place_entry(process, recording, row.thread),
                **build_name_entry(row.name),
                "classes": classes.list_classes(row.name),
                "params": row.name.params,
                "param_bytes": row.name.param_bytes,
                **_build_figures_entry(row),
                "device": None,
            }
            if not has_paths:  # the path is made of classes
                entry["root"] = entry["path"] = ""
            if device is not None and times is not None:
                entry["device"] = build_row_device_entry(device, times)
            yield entry


def build_open_entries(
    process: int, recording: Recording, stats: RecordingStats, offset_ns: int
) -> Iterator[dict[str, Any]]:
    """Yield the ranges without an end.

    `start_ns` is wall-clock time since 1970. `at_least_ns` is the time from the start to the last
    time in the recording."""
    open_ranges = stats.read_open_ranges(recording)
    last_start_ns = max((open_range.start_ns for open_range in open_ranges), default=0)
    last_ns = max(stats.last_ns or 0, last_start_ns)
    for open_range in open_ranges:
        yield {
            **build_place_entry(process, recording, open_range.thread),
            **build_name_entry(recording.names[open_range.name]),
            "start_ns": open_range.start_ns + offset_ns,
            "at_least_ns": last_ns - open_range.start_ns,
        }


def build_place_entry(process: int, recording: Recording, thread: int) -> dict[str, Any]:
    """Return the index of the process, and the thread."""
    tid, name = get_native_tid(recording, thread), format_thread_label(recording, thread)
    return {"process": process, "thread": {"tid": tid, "name": name}}


def build_name_entry(name: RangeName) -> dict[str, Any]:
    """Return what the program called a range or a mark."""
    return {
        "domain": name.domain,
        "root": name.root,
        "path": name.path,
        "class": name.cls,
        "message": name.message,
    }


def _build_figures_entry(row: StatsRow) -> dict[str, Any]:
    lowest, p50, p99, highest = row.compute_percentiles()
    return {
        "calls": row.calls,
        "total_ns": row.total_ns,
        "self_ns": row.self_ns,
        "min_ns": lowest,
        "p50_ns": p50,
        "p99_ns": p99,
        "max_ns": highest,
        "phase": row.phase,
        "basis": row.basis,
        "shared_kernels": row.shared_kernels,
    }
