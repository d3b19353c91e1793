"""Write the ranges and marks of a recording to MSTX_EVENTS, as mstx would have written them.

msprof-analyze's module_statistic reads the domain `Module` and ignores threads. So only one thread
at a time uses this domain, for one outermost call, as with the mstx emitter. Another thread that
makes such a call in the meantime uses `thread-<n>:Module`, with the smallest free n.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.blocks import NO_END_NS, ProgressTick, format_title, read_batches
from autoinstr.analysis.labels import get_native_tid
from autoinstr.base.module_name import ModuleName, make_message_format
from autoinstr.device.ascend.module_rows import MODULE
from autoinstr.emitters.domains import make_thread_domain
from autoinstr.report.ascend_db.schema import MARK, NO_VALUE, START_END

if TYPE_CHECKING:
    from autoinstr.recording.reader import RangeName, Recording
    from autoinstr.report.ascend_db.writer import DatabaseWriter

EVENTS = "MSTX_EVENTS"
MOVED_RANGES = "temp.MOVED_RANGES"
NAMES = ("class", "path", "path:class")  # values of `--name`; the first is the default


class ExportWindow(NamedTuple):
    """The time that is exported, in nanoseconds since 1970.

    If `is_strict`, only ranges that begin and end in it are kept, as CANN does. Otherwise all
    ranges that overlap it are kept.
    """

    begin_ns: int
    end_ns: int
    is_strict: bool


class RangeCounts(NamedTuple):
    """What MSTX_EVENTS holds.

    `modules` are ranges of modules, `other_ranges` are the rest. `module_domains` has the domain
    that module_statistic reads, then one for each further thread that called modules at the same
    time.
    """

    modules: int
    other_ranges: int
    marks: int
    first_ns: int
    last_ns: int
    module_domains: list[int]


def write_ranges(
    recording: Recording,
    offset_ns: int,
    naming: str,
    window: ExportWindow | None,
    database: DatabaseWriter,
    tick: ProgressTick,
) -> int:
    """Write the closed ranges and the marks that overlap a window (None: all of them).

    Add `offset_ns` to the recording's times to get nanoseconds since 1970. Return how many ranges
    in the window have no end; these are not written.
    """
    begin, end = 0, NO_END_NS
    if window is not None:
        begin, end = window.begin_ns - offset_ns, window.end_ns - offset_ns
    text_ids: dict[int, tuple[int, int]] = {}  # name -> (message, domain)
    range_numbers = itertools.count(1)
    for batch in read_batches(recording, tick):
        tid = recording.pid << 32 | get_native_tid(recording, batch.thread)
        kind = MARK if batch.is_mark else START_END
        for name in set(batch.name_numbers).difference(text_ids):
            text_ids[name] = _intern_name(recording.names[name], naming, database)
        rows = []
        for name, start, stop in zip(batch.name_numbers, batch.starts, batch.ends):
            if stop < begin or start > end:
                continue
            message, domain = text_ids[name]
            number = NO_VALUE if batch.is_mark else next(range_numbers)
            times = start + offset_ns, stop + offset_ns
            rows.append(
                (*times, kind, number, NO_VALUE, message, tid, tid, domain, NO_VALUE),
            )
        database.add_rows(EVENTS, rows)
    database.flush()
    open_ranges = recording.find_open_ranges()
    return sum(begin <= open_range.start_ns <= end for open_range in open_ranges)


def format_message(name: RangeName, naming: str) -> str:
    """Return the message of a range in MSTX_EVENTS."""
    if name.cls and name.kind == "range":
        return make_message_format(naming)(ModuleName(0, name.root, name.path, name.cls, 0))
    return format_title(name)


def finish_ranges(database: DatabaseWriter, window: ExportWindow | None) -> RangeCounts:
    """Remove the ranges outside the final window, separate the threads, and count."""
    connection, module = database.connection, database.intern_text(MODULE)
    if EVENTS not in database.counts:
        return RangeCounts(0, 0, 0, 0, 0, [module])
    if window is not None:
        condition = "startNs < ? OR endNs > ?" if window.is_strict else "endNs < ? OR startNs > ?"
        connection.execute(f"DELETE FROM {EVENTS} WHERE {condition}", window[:2])
    module_domains = _separate_threads(database, module)
    groups = connection.execute(
        f"""SELECT eventType, domainId, COUNT(*), MIN(startNs), MAX(endNs)
        FROM {EVENTS} GROUP BY 1, 2"""
    ).fetchall()
    ranges = modules = marks = 0
    for kind, domain, count, _, _ in groups:
        marks += count if kind == MARK else 0
        if kind == START_END:
            ranges += count
            modules += count if domain in module_domains else 0
    return RangeCounts(
        modules=modules,
        other_ranges=ranges - modules,
        marks=marks,
        first_ns=min((first for *_, first, _ in groups), default=0),
        last_ns=max((last for *_, last in groups), default=0),
        module_domains=module_domains,
    )


def _intern_name(name: RangeName, naming: str, database: DatabaseWriter) -> tuple[int, int]:
    """Return the ids of message and domain."""
    # Modules get the only domain that is read for them, whatever the option `domain` was.
    domain = MODULE if name.cls and name.kind == "range" else name.domain
    return database.intern_text(format_message(name, naming)), database.intern_text(domain)


def _separate_threads(database: DatabaseWriter, module: int) -> list[int]:
    """Give further domains to threads that call modules at the same time.

    Return all domains of modules.
    """
    connection = database.connection
    # thread -> (end of its outermost call, number of its domain)
    outermost_calls: dict[int, tuple[int, int]] = {}
    free_times: dict[int, int] = {}  # number of a domain -> time at which it is free
    database.create_temporary_table(MOVED_RANGES, "row INTEGER PRIMARY KEY, domain INTEGER")
    module_ranges = connection.execute(
        f"""SELECT rowid, startNs, endNs, globalTid FROM {EVENTS}
        WHERE eventType = 2 AND domainId = ? ORDER BY startNs, endNs DESC""",
        (module,),
    )
    for row, start, end, thread in module_ranges:
        call_end, number = outermost_calls.get(thread, (0, 0))
        if start >= call_end:
            number = next(free for free in itertools.count() if free_times.get(free, 0) <= start)
            outermost_calls[thread], free_times[number] = (end, number), end
        if number:
            domain = database.intern_text(make_thread_domain(MODULE, number))
            database.add_rows(MOVED_RANGES, [(row, domain)])
    database.flush()
    connection.execute(
        f"""UPDATE {EVENTS}
        SET domainId = (SELECT domain FROM {MOVED_RANGES} WHERE row = {EVENTS}.rowid)
        WHERE rowid IN (SELECT row FROM {MOVED_RANGES})"""
    )
    names = [make_thread_domain(MODULE, number) for number in sorted(free_times) if number]
    return [module, *map(database.intern_text, names)]
