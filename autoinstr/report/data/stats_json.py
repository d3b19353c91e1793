"""`--format json`: the contract `autoinstr.stats/1`, written one recording at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.attributes import read
from autoinstr.analysis.blocks import Tick, no_tick
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import native_tid, thread_label
from autoinstr.analysis.serving import Serving, request_entry, step_entry
from autoinstr.analysis.stats import NO_PHASE, collect, no_such_phase

if TYPE_CHECKING:
    from autoinstr.analysis.stats import Row, Stats
    from autoinstr.recording.reader import RangeName, Recording, Run

SCHEMA = "autoinstr.stats/1"


def write(run: Run, stream: TextIO, tick: Tick = no_tick, phase: str | None = None) -> list[str]:
    """Write the whole object; with `phase` only the rows of that one. Rows of a recording that
    breaks off are those up to there, with the reason in "problems". Returns what a reader should
    know beside."""
    recordings = run.recordings
    axis = Axis(recordings)
    serving = Serving(run)
    marks: list[dict[str, Any]] = []
    still_open: list[dict[str, Any]] = []
    problems = list(run.problems)
    stream.write(f'{{"schema": "{SCHEMA}", "rows": [')
    separator = "\n"
    seen: dict[str | None, None] = {}
    for at, recording in enumerate(recordings):
        notes = read(recording)
        stats = collect(recording, notes, tick=tick)
        serving.add(at, notes)
        seen.update(dict.fromkeys(row.phase for row in stats.rows))
        for entry in row_entries(at, recording, stats, phase):
            stream.write(separator + json.dumps(entry))
            separator = ",\n"
        for row in stats.marks:
            marks.append({**_who(at, recording, row.thread), **_what(row.name), "count": row.calls})
        still_open.extend(open_entries(at, recording, stats, axis.base_ns + axis.offsets[at]))
        problems.extend(recording.problems)
        del notes, stats  # before the next recording is read
    # After the rows, because reading them is what finds out whether a recording is whole.
    stream.write('\n], "dropped": ' + str(sum(recording.dropped for recording in recordings)))
    stream.write(
        ', "processes": ' + json.dumps([process_entry(recording) for recording in recordings])
    )
    stream.write(f', "clocks": {json.dumps(clock_entries(recordings, axis))}')
    stream.write(
        f', "marks": {json.dumps(marks)}, "open": {json.dumps(still_open)}, "problems": {json.dumps(problems)}'
    )
    _write_list(stream, "requests", map(request_entry, serving.requests()))
    _write_list(stream, "steps", map(step_entry, serving.steps()))
    stream.write("}\n")
    return (
        []
        if phase is None or phase in [one or NO_PHASE for one in seen]
        else [no_such_phase(phase, seen)]
    )


def clock_entries(recordings: Sequence[Recording], axis: Axis) -> list[dict[str, Any]]:
    """The monotonic clocks that the axis joins: which processes each stamped, and how far its pairs
    with the wall clock disagree."""
    hosts = [
        list(dict.fromkeys(recordings[at].host for at in clock.recordings)) for clock in axis.clocks
    ]
    return [
        {"hosts": its, "processes": clock.recordings, "spread_ns": clock.spread_ns}
        for its, clock in zip(hosts, axis.clocks)
    ]


def _write_list(stream: TextIO, key: str, entries: Iterator[dict[str, Any]]) -> None:
    stream.write(f', "{key}": [')
    separator = "\n"
    for entry in entries:
        stream.write(separator + json.dumps(entry))
        separator = ",\n"
    stream.write("]")


def process_entry(recording: Recording) -> dict[str, Any]:
    """What is known of a process before any of its ranges."""
    return {
        "pid": recording.pid,
        "roles": recording.roles,
        "role": recording.role,
        "rank": recording.rank,
        "world_size": recording.world_size,
        "host": recording.host,
        "emitter": recording.emitter,
        "complete": recording.complete,
        "dropped": recording.dropped,
        "file": recording.file,
    }


def row_entries(
    process: int, recording: Recording, stats: Stats, phase: str | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of one recording, as design section 10 has them; with `phase` only those of that one
    ("none": of no phase)."""
    for row in stats.rows:
        if phase is not None and (row.phase or NO_PHASE) != phase:
            continue
        yield {**_who(process, recording, row.thread), **_what(row.name), **_figures(row)}


def open_entries(
    process: int, recording: Recording, stats: Stats, offset_ns: int
) -> Iterator[dict[str, Any]]:
    """Ranges without an end. `start_ns` is wall-clock time since 1970; `at_least_ns` how long they
    lasted up to the last thing recorded."""
    found = stats.open_ranges(recording)
    for one in found:
        last = max(stats.last_ns or 0, max(other.start_ns for other in found))
        entry = {**_who(process, recording, one.thread), **_what(recording.names[one.name])}
        yield {**entry, "start_ns": one.start_ns + offset_ns, "at_least_ns": last - one.start_ns}


def _who(process: int, recording: Recording, thread: int) -> dict[str, Any]:
    return {
        "process": process,
        "thread": {"tid": native_tid(recording, thread), "name": thread_label(recording, thread)},
    }


def _what(name: RangeName) -> dict[str, Any]:
    return {
        "domain": name.domain,
        "root": name.root,
        "path": name.path,
        "class": name.cls,
        "message": name.message,
    }


def _figures(row: Row) -> dict[str, Any]:
    low, p50, p99, high = row.percentiles()
    figures = {"calls": row.calls, "total_ns": row.total_ns, "self_ns": row.self_ns}
    return {
        **figures,
        "min_ns": low,
        "p50_ns": p50,
        "p99_ns": p99,
        "max_ns": high,
        "phase": row.phase,
    }
