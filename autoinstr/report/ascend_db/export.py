"""`--format ascend-db`: a folder with a database for each process of a run, and what to know of
them in words."""

from __future__ import annotations

import json
import os
import sqlite3
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.blocks import FOREVER, readable_blocks
from autoinstr.analysis.clock import Axis
from autoinstr.base.errors import AutoinstrError
from autoinstr.base.text import duration
from autoinstr.device.ascend.database import MODULE
from autoinstr.report.ascend_db import alignment, kineto, own_ranges, ranges
from autoinstr.report.ascend_db.folders import MADE_BY, Folder, Folders, describe
from autoinstr.report.ascend_db.links import Links, link
from autoinstr.report.ascend_db.matching import ranks_of, traces_of
from autoinstr.report.ascend_db.ranges import Window, Written
from autoinstr.report.ascend_db.schema import NO_DEVICE
from autoinstr.report.ascend_db.writer import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.blocks import Tick
    from autoinstr.recording.reader import Recording, Run
    from autoinstr.report.ascend_db.alignment import Alignment
    from autoinstr.report.ascend_db.kineto import Trace
    from autoinstr.report.ascend_db.matching import Given

# overlaps for each range at the best offset; where there are more, the two are not of one time
MOST_LEFT = 0.05
MARGIN_NS = 1_000_000  # ranges so far outside the profile are looked at, until the offset is known


class Exported(NamedTuple):
    """One process: its folder, and what went into the database. `unended` ranges were left out."""

    recording: Recording
    folder: Folder
    ranges: Written
    unended: int
    traced: Traced | None


class Traced(NamedTuple):
    """What a trace gave to it. `own` of its operators are ranges of ours."""

    trace: Trace
    fit: Alignment
    own: int
    links: Links


def export(run: Run, traces: Sequence[str], out: str, naming: str, tick: Tick) -> list[Exported]:
    """Write the databases of all processes that recorded anything. Memory: the names and texts of
    one process; what must be sorted lies in temporary files. AutoinstrError where nothing was
    recorded, and for traces that cannot be used."""
    axis = Axis(run.recordings)
    given = traces_of(run.recordings, traces)
    wanted = [
        at
        for at, one in enumerate(run.recordings)
        if at in given or any(words for _, words in readable_blocks(one))
    ]
    if not wanted:
        raise AutoinstrError(f"{run.path}: holds no ranges")
    ranks = ranks_of(
        [run.recordings[at] for at in wanted],
        {place: given[at] for place, at in enumerate(wanted) if at in given},
    )
    done = []
    with Folders(out) as folders:
        places = [folders.add(run.recordings[at], rank) for at, rank in zip(wanted, ranks)]
        for at, folder in zip(wanted, places):
            try:
                done.append(
                    _process(
                        run,
                        at,
                        axis.offsets[at] + axis.base_ns,
                        folder,
                        given.get(at),
                        naming,
                        tick,
                    )
                )
            except sqlite3.Error as error:
                hint = "-o names another folder, SQLITE_TMPDIR one for what is temporary"
                raise AutoinstrError(f"{out}: cannot be written: {error} ({hint})") from error
            except OverflowError as error:
                raise AutoinstrError(
                    f"{run.recordings[at].file}: is damaged: a time in it is beyond what a database holds"
                ) from error
    return done


def _process(
    run: Run, at: int, offset_ns: int, folder: Folder, given: Given | None, naming: str, tick: Tick
) -> Exported:
    recording = run.recordings[at]
    database = Database(folder.database)
    whole = False
    try:
        if given is None:
            unended = ranges.write(recording, offset_ns, naming, None, database, tick)
            one = Exported(recording, folder, ranges.finish(database, None), unended, None)
        else:
            one = _with_trace(recording, offset_ns, folder, given, naming, database, tick)
        _add_facts(database, one, describe(folder, recording, _told(one.traced), run.path))
        whole = True
    finally:
        database.close(whole)
    return one


def _with_trace(
    recording: Recording,
    offset_ns: int,
    folder: Folder,
    given: Given,
    naming: str,
    database: Database,
    tick: Tick,
) -> Exported:
    trace = kineto.load(given.path, given.owner, database, tick)
    near = Window(trace.begin_ns - MARGIN_NS, trace.end_ns + MARGIN_NS, False)
    unended = ranges.write(recording, offset_ns, naming, near, database, tick)
    if ranges.EVENTS not in database.counts:
        raise AutoinstrError(f"{given.path}: {_apart(recording, offset_ns, trace)}")
    fit = alignment.measure(database.connection, trace.base_ns, database.text(MODULE))
    if fit.left > MOST_LEFT * fit.ranges:
        raise AutoinstrError(
            f"{given.path}: its operators do not fit the ranges of process {recording.pid}: {fit.left:,} times one pokes out of one of "
            f"{fit.ranges:,} looked at, wherever within {duration(alignment.FARTHEST_NS)} they are moved to (was the wall clock set?)"
        )
    ours = own_ranges.mark(database, recording, trace.base_ns + fit.offset_ns, naming)
    written = ranges.finish(
        database,
        Window(trace.begin_ns + fit.offset_ns, trace.end_ns + fit.offset_ns, trace.bounded),
    )
    links = link(database, recording.pid, trace.base_ns + fit.offset_ns, written.domains, tick)
    return Exported(recording, folder, written, unended, Traced(trace, fit, ours, links))


def _apart(recording: Recording, offset_ns: int, trace: Trace) -> str:
    """How far from the profile the recording's ranges are."""
    first, last = FOREVER, 0
    for _, words in readable_blocks(recording):
        first, last = min(first, words[1]), max(last, *words[2::3])
    who = f"process {recording.pid} recorded nothing while this trace was made"
    if first > last:
        return who
    if last + offset_ns < trace.begin_ns:
        return (
            f"{who}: its last range ended {duration(trace.begin_ns - last - offset_ns)} before it"
        )
    if first + offset_ns > trace.end_ns:
        return f"{who}: its first range began {duration(first + offset_ns - trace.end_ns)} after it"
    return who


def _told(traced: Traced | None) -> dict[str, Any] | None:
    """What the trace says of itself, for the files beside the database."""
    if traced is None:
        return None
    trace = traced.trace
    said = {
        key: value
        for key, value in trace.info.items()
        if key in ("trace_id", "with_stack", "record_shapes", "profile_memory")
    }
    activities = ["CPU", *(["DEVICE"] if trace.device_events else [])]
    return {
        "file": os.path.basename(trace.path),
        "activities": activities,
        "offset_ns": traced.fit.offset_ns,
        **said,
    }


def _add_facts(database: Database, one: Exported, made_by: dict[str, Any]) -> None:
    """The tables of a row or two."""
    recording, traced = one.recording, one.traced
    boot = f"{recording.host} {recording.header.get('boot', '')}"
    uid = int.from_bytes(
        blake2b(boot.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
    database.add("HOST_INFO", [(str(uid), recording.host)])
    database.add("META_DATA", [(MADE_BY, json.dumps(made_by))])
    devices = (traced.trace.devices if traced else []) or [NO_DEVICE]
    database.add("RANK_DEVICE_MAP", [(one.folder.rank, device) for device in devices])
    first, last = one.ranges.first_ns, one.ranges.last_ns
    if traced is not None:
        offset = traced.fit.offset_ns
        first, last = traced.trace.begin_ns + offset, traced.trace.end_ns + offset
        database.add(
            "STEP_TIME",
            [(number, start + offset, end + offset) for number, start, end in traced.trace.steps],
        )
    database.add("SESSION_TIME_INFO", [(first, last)])
