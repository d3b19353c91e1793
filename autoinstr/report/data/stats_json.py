"""`--format json`: the contract `autoinstr.stats/1`, written one recording at a time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.device_rows import list_process_devices
from autoinstr.analysis.phase_names import list_missing_phase
from autoinstr.analysis.process_notes import describe_lazy_classes
from autoinstr.analysis.serving import ServingCollector, build_request_entry, build_step_entry
from autoinstr.analysis.stats import collect_stats
from autoinstr.analysis.training_steps import build_training_step_entries
from autoinstr.report.data.device_json import build_device_entry, build_line_entries
from autoinstr.report.data.row_entries import (
    build_name_entry,
    build_open_entries,
    build_place_entry,
    build_row_entries,
)

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.analysis.device_rows import ProcessDevice, RunDevice
    from autoinstr.recording.reader import Recording
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
    time of the rows. If a recording becomes unreadable, its rows are those up to there, and the
    reason is in "problems"."""
    recordings = run.recordings
    axis = Axis(recordings)
    serving = ServingCollector(run)
    marks: list[dict[str, Any]] = []
    still_open: list[dict[str, Any]] = []
    problems = list(run.problems)
    stream.write(f'{{"schema": "{SCHEMA}", "rows": [')
    separator = "\n"
    phases: dict[str | None, None] = {}
    devices = list_process_devices(device, len(recordings))
    tasks = (
        partial(
            read_part,
            index=index,
            offset_ns=axis.base_ns + offset_ns,
            phase=phase,
            device=devices[index],
        )
        for index, offset_ns in enumerate(axis.offsets)
    )
    for part in run.read(tasks, tick):
        for row in part.rows:
            stream.write(separator + row)
            separator = ",\n"
        serving.add(part.process, part.attributes)
        phases.update(part.phases)
        marks.extend(part.marks)
        still_open.extend(part.still_open)
        problems.extend(recordings[part.process].problems)
        problems.extend(describe_lazy_classes(recordings[part.process]))
        del part  # free the memory before the next recording is read
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


class JsonPart(NamedTuple):
    """What one recording adds to the report. `process` is its index. `rows` are JSON texts."""

    process: int
    rows: list[str]
    marks: list[dict[str, Any]]
    still_open: list[dict[str, Any]]
    phases: dict[str | None, None]
    attributes: RecordingAttributes


def read_part(
    recording: Recording,
    tick: ProgressTick,
    *,
    index: int,
    offset_ns: int,
    phase: str | None,
    device: ProcessDevice | None,
) -> JsonPart:
    """Read one recording. `offset_ns` moves its times to the run's axis."""
    attributes = collect_attributes(recording)
    stats = collect_stats(recording, attributes, tick=tick)
    attributes.ranges.clear()
    entries = build_row_entries(index, recording, stats, phase, device)
    lines = build_line_entries(index, device) if device is not None else []
    return JsonPart(
        index,
        [json.dumps(entry) for entry in itertools.chain(entries, lines)],
        [
            {
                **build_place_entry(index, recording, row.thread),
                **build_name_entry(row.name),
                "count": row.calls,
            }
            for row in stats.marks
        ],
        list(build_open_entries(index, recording, stats, offset_ns)),
        dict.fromkeys(row.phase for row in stats.rows),
        attributes,
    )


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
