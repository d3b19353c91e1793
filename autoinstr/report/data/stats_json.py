"""`--format json`: the contract `autoinstr.stats/1`, written one recording at a time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import format_thread_label, get_native_tid
from autoinstr.analysis.module_classes import ModuleClasses
from autoinstr.analysis.phase_names import is_in_phase, list_missing_phase
from autoinstr.analysis.processes import describe_lazy_classes
from autoinstr.analysis.serving import ServingCollector, build_request_entry, build_step_entry
from autoinstr.analysis.stats import collect_stats
from autoinstr.analysis.training_steps import build_training_step_entries
from autoinstr.device.profile_recording import FROM_PROFILE
from autoinstr.report.data.device_json import (
    build_device_entry,
    build_line_entries,
    build_row_device_entry,
)

if TYPE_CHECKING:
    from autoinstr.analysis.device_rows import ProcessDevice, RunDevice
    from autoinstr.analysis.stats import RecordingStats, StatsRow
    from autoinstr.recording.reader import RangeName, Recording
    from autoinstr.recording.run import Run

SCHEMA = "autoinstr.stats/1"
# Facts of a process that its entry has only where they are known.
OPTIONAL_FACTS = ("dp_rank", "dp_size", "restart", "fork")


def write(
    run: Run,
    stream: TextIO,
    tick: ProgressTick = ignore_tick,
    phase: str | None = None,
    device: RunDevice | None = None,
) -> list[str]:
    """Write the object; return remarks for stderr.

    `phase` selects the rows of one phase ("none": those without a phase). `device` has the device
    time of the rows. If a recording becomes
    unreadable, its rows are those up to there, and the reason is in "problems"."""
    recordings = run.recordings
    axis = Axis(recordings)
    serving = ServingCollector(run)
    marks: list[dict[str, Any]] = []
    still_open: list[dict[str, Any]] = []
    problems = list(run.problems)
    stream.write(f'{{"schema": "{SCHEMA}", "rows": [')
    separator = "\n"
    phases: dict[str | None, None] = {}
    for index, recording in enumerate(recordings):
        attributes = collect_attributes(recording)
        stats = collect_stats(recording, attributes, tick=tick)
        serving.add(index, attributes)
        phases.update(dict.fromkeys(row.phase for row in stats.rows))
        process_device = device.find_process(index) if device is not None else None
        entries = build_row_entries(index, recording, stats, phase, process_device)
        lines = build_line_entries(index, process_device) if process_device is not None else []
        for entry in itertools.chain(entries, lines):
            stream.write(separator + json.dumps(entry))
            separator = ",\n"
        for row in stats.marks:
            place = _build_place_entry(index, recording, row.thread)
            marks.append({**place, **_build_name_entry(row.name), "count": row.calls})
        offset_ns = axis.base_ns + axis.offsets[index]
        still_open.extend(build_open_entries(index, recording, stats, offset_ns))
        problems.extend(recording.problems)
        problems.extend(describe_lazy_classes(recording))
        del attributes, stats  # free the memory before the next recording is read
    # These come after the rows: reading the rows finds out whether a recording is damaged.
    dropped_count = sum(recording.dropped_count for recording in recordings)
    processes = [build_process_entry(recording) for recording in recordings]
    stream.write(f'\n], "dropped": {dropped_count}, "processes": {json.dumps(processes)}')
    stream.write(f', "clocks": {json.dumps(build_clock_entries(recordings, axis))}')
    stream.write(f', "marks": {json.dumps(marks)}, "open": {json.dumps(still_open)}')
    stream.write(f', "problems": {json.dumps(problems)}')
    stream.write(f', "device": {json.dumps(build_device_entry(device))}')
    _write_list(stream, "requests", map(build_request_entry, serving.list_requests()))
    _write_list(stream, "steps", map(build_step_entry, serving.list_steps()))
    _write_list(stream, "training_steps", build_training_step_entries(run))
    stream.write("}\n")
    return list_missing_phase(phase, phases)


def build_clock_entries(recordings: Sequence[Recording], axis: Axis) -> list[dict[str, Any]]:
    """Return an entry for each monotonic clock: its hosts, its processes, and by how much its pairs
    with the wall clock differ."""
    return [
        {
            "hosts": list(dict.fromkeys(recordings[index].host for index in clock.recordings)),
            "processes": clock.recordings,
            "spread_ns": clock.spread_ns,
        }
        for clock in axis.clocks
    ]


def _write_list(stream: TextIO, key: str, entries: Iterator[dict[str, Any]]) -> None:
    stream.write(f', "{key}": [')
    separator = "\n"
    for entry in entries:
        stream.write(separator + json.dumps(entry))
        separator = ",\n"
    stream.write("]")


def build_process_entry(recording: Recording) -> dict[str, Any]:
    """Return the facts of a process."""
    return {
        "pid": recording.pid,
        "roles": recording.roles,
        "role": recording.role,
        "rank": recording.rank,
        "world_size": recording.world_size,
        "host": recording.host,
        **{key: recording.header[key] for key in OPTIONAL_FACTS if key in recording.header},
        "emitter": recording.emitter,
        "complete": recording.is_complete,
        "dropped": recording.dropped_count,
        "file": recording.file,
    }


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
                **_build_place_entry(process, recording, row.thread),
                **_build_name_entry(row.name),
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
            **_build_place_entry(process, recording, open_range.thread),
            **_build_name_entry(recording.names[open_range.name]),
            "start_ns": open_range.start_ns + offset_ns,
            "at_least_ns": last_ns - open_range.start_ns,
        }


def _build_place_entry(process: int, recording: Recording, thread: int) -> dict[str, Any]:
    tid, name = get_native_tid(recording, thread), format_thread_label(recording, thread)
    return {"process": process, "thread": {"tid": tid, "name": name}}


def _build_name_entry(name: RangeName) -> dict[str, Any]:
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
