"""Export a run: one folder with a database for each process."""

from __future__ import annotations

import json
import os
import sqlite3
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.blocks import NO_END_NS, read_intact_blocks
from autoinstr.analysis.clock import Axis
from autoinstr.base.errors import AutoinstrError
from autoinstr.base.text import format_duration
from autoinstr.device.ascend.module_rows import MODULE
from autoinstr.report.ascend_db import alignment, kineto, own_ranges, ranges
from autoinstr.report.ascend_db.folders import (
    MADE_BY,
    TRACE_SETTINGS,
    ExportFolder,
    ExportFolders,
    write_metadata_files,
)
from autoinstr.report.ascend_db.links import LinkCounts, write_links
from autoinstr.report.ascend_db.matching import assign_ranks, match_traces
from autoinstr.report.ascend_db.ranges import ExportWindow, RangeCounts
from autoinstr.report.ascend_db.schema import NO_DEVICE
from autoinstr.report.ascend_db.writer import DatabaseWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run
    from autoinstr.report.ascend_db.alignment import Alignment
    from autoinstr.report.ascend_db.kineto import KinetoTrace
    from autoinstr.report.ascend_db.matching import ProcessTrace

# Overlaps for each range at the best offset. With more, trace and recording are not of one time.
MAX_OVERLAP_SHARE = 0.05
# Until the offset of the trace is known, ranges this far outside the profile are kept.
MARGIN_NS = 1_000_000


class TraceExport(NamedTuple):
    """What a trace added to a database. `own_events` of its operators are ranges of ours."""

    trace: KinetoTrace
    alignment: Alignment
    own_events: int
    links: LinkCounts


class ExportedProcess(NamedTuple):
    """One process, its folder, and the content of its database.

    `unended` ranges never ended and were left out.
    """

    recording: Recording
    folder: ExportFolder
    ranges: RangeCounts
    unended: int
    traced: TraceExport | None


def export(
    run: Run, traces: Sequence[str], directory: str, naming: str, tick: ProgressTick
) -> list[ExportedProcess]:
    """Write the databases of all processes that recorded anything.

    `traces` are paths of torch.profiler traces, `naming` is the option `name`. Raise AutoinstrError
    if nothing was recorded or a trace cannot be used. Memory: the names and texts of one process;
    what must be sorted lies in temporary files.
    """
    axis = Axis(run.recordings)
    trace_of_recording = match_traces(run.recordings, traces)
    indices = [
        index
        for index, recording in enumerate(run.recordings)
        if index in trace_of_recording or any(words for _, words in read_intact_blocks(recording))
    ]
    if not indices:
        raise AutoinstrError(f"{run.path}: holds no ranges")
    ranks = assign_ranks(
        [run.recordings[index] for index in indices],
        {
            position: trace_of_recording[index]
            for position, index in enumerate(indices)
            if index in trace_of_recording
        },
    )
    exporter = _ProcessExporter(run.path, naming, tick)
    processes = []
    with ExportFolders(directory) as folders:
        process_folders = [
            folders.add(run.recordings[index], rank) for index, rank in zip(indices, ranks)
        ]
        for index, folder in zip(indices, process_folders):
            recording = run.recordings[index]
            offset_ns = axis.offsets[index] + axis.base_ns
            trace = trace_of_recording.get(index)
            try:
                processes.append(exporter.export(recording, offset_ns, folder, trace))
            except sqlite3.Error as error:
                raise AutoinstrError(
                    f"{directory}: cannot be written: {error} (give another folder with -o, "
                    "and another one for temporary files in SQLITE_TMPDIR)"
                ) from error
            except OverflowError as error:
                raise AutoinstrError(
                    f"{recording.file}: is damaged: a time in it is beyond what a database holds"
                ) from error
    return processes


class _ProcessExporter:
    """Exports the processes of one run, one after the other."""

    def __init__(self, run_path: str, naming: str, tick: ProgressTick) -> None:
        self._run_path = run_path
        self._naming = naming
        self._tick = tick

    def export(
        self,
        recording: Recording,
        offset_ns: int,
        folder: ExportFolder,
        trace: ProcessTrace | None,
    ) -> ExportedProcess:
        """Write the database of one process and the files next to it."""
        database = DatabaseWriter(folder.database)
        is_complete = False
        try:
            if trace is None:
                unended = ranges.write_ranges(
                    recording, offset_ns, self._naming, None, database, self._tick
                )
                counts = ranges.finish_ranges(database, None)
                process = ExportedProcess(recording, folder, counts, unended, None)
            else:
                process = self._export_with_trace(recording, offset_ns, folder, trace, database)
            trace_facts = _collect_trace_facts(process.traced)
            facts = write_metadata_files(folder, recording, trace_facts, self._run_path)
            _write_fact_tables(database, process, facts)
            is_complete = True
        finally:
            database.close(is_complete)
        return process

    def _export_with_trace(
        self,
        recording: Recording,
        offset_ns: int,
        folder: ExportFolder,
        process_trace: ProcessTrace,
        database: DatabaseWriter,
    ) -> ExportedProcess:
        path = process_trace.path
        trace = kineto.load_trace(path, process_trace.owner, database, self._tick)
        wide_window = ExportWindow(trace.begin_ns - MARGIN_NS, trace.end_ns + MARGIN_NS, False)
        unended = ranges.write_ranges(
            recording, offset_ns, self._naming, wide_window, database, self._tick
        )
        if ranges.EVENTS not in database.counts:
            raise AutoinstrError(f"{path}: {_explain_no_overlap(recording, offset_ns, trace)}")
        fit = alignment.measure(database.connection, trace.base_ns, database.intern_text(MODULE))
        if fit.remaining > MAX_OVERLAP_SHARE * fit.ranges:
            raise AutoinstrError(
                f"{path}: its operators do not fit the ranges of process {recording.pid}: "
                f"at the best offset up to {format_duration(alignment.FARTHEST_NS)} they have "
                f"{fit.remaining:,} overlaps without nesting with {fit.ranges:,} compared ranges; "
                "was the wall clock changed during the run?"
            )
        trace_offset_ns = trace.base_ns + fit.offset_ns
        own_events = own_ranges.mark_own_events(database, recording, trace_offset_ns, self._naming)
        window = ExportWindow(
            trace.begin_ns + fit.offset_ns, trace.end_ns + fit.offset_ns, trace.has_bounds
        )
        counts = ranges.finish_ranges(database, window)
        links = write_links(
            database, recording.pid, trace_offset_ns, counts.module_domains, self._tick
        )
        traced = TraceExport(trace, fit, own_events, links)
        return ExportedProcess(recording, folder, counts, unended, traced)


def _explain_no_overlap(recording: Recording, offset_ns: int, trace: KinetoTrace) -> str:
    """Say how far the recording's ranges are from the profile."""
    first, last = NO_END_NS, 0
    for _, words in read_intact_blocks(recording):
        first, last = min(first, words[1]), max(last, *words[2::3])
    message = f"process {recording.pid} recorded nothing while this trace was made"
    if first > last:
        return message
    if last + offset_ns < trace.begin_ns:
        distance = format_duration(trace.begin_ns - last - offset_ns)
        return f"{message}: its last range ended {distance} before the trace"
    if first + offset_ns > trace.end_ns:
        distance = format_duration(first + offset_ns - trace.end_ns)
        return f"{message}: its first range began {distance} after the trace"
    return message


def _collect_trace_facts(traced: TraceExport | None) -> dict[str, Any] | None:
    """Return the facts of a trace for the files next to the database."""
    if traced is None:
        return None
    trace = traced.trace
    settings = {
        key: value for key, value in trace.info.items() if key in ("trace_id", *TRACE_SETTINGS)
    }
    activities = ["CPU", *(["DEVICE"] if trace.device_events else [])]
    return {
        "file": os.path.basename(trace.path),
        "activities": activities,
        "offset_ns": traced.alignment.offset_ns,
        **settings,
    }


def _write_fact_tables(
    database: DatabaseWriter, process: ExportedProcess, facts: dict[str, Any]
) -> None:
    """Write the tables that describe the process, its device and its times."""
    recording, traced = process.recording, process.traced
    boot = f"{recording.host} {recording.header.get('boot', '')}"
    digest = blake2b(boot.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    database.add_rows("HOST_INFO", [(str(int.from_bytes(digest, "big")), recording.host)])
    database.add_rows("META_DATA", [(MADE_BY, json.dumps(facts))])
    devices = (traced.trace.devices if traced else []) or [NO_DEVICE]
    database.add_rows("RANK_DEVICE_MAP", [(process.folder.rank, device) for device in devices])
    first, last = process.ranges.first_ns, process.ranges.last_ns
    if traced is not None:
        offset = traced.alignment.offset_ns
        first, last = traced.trace.begin_ns + offset, traced.trace.end_ns + offset
        steps = [
            (number, start + offset, end + offset) for number, start, end in traced.trace.steps
        ]
        database.add_rows("STEP_TIME", steps)
    database.add_rows("SESSION_TIME_INFO", [(first, last)])
