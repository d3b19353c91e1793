"""Host ranges and marks of a recording as MSTX_EVENTS: what mstx would have written, had it been
there.

msprof-analyze's module_statistic reads the domain `Module` without regard to threads. So, as with
the mstx emitter, one thread at a time has it, for one outermost call; a thread that makes such a
call meanwhile gets `Module:thread-<n>`, with the least n that is free."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.blocks import FOREVER, Tick, pieces, title
from autoinstr.analysis.labels import native_tid
from autoinstr.base.module_name import ModuleName, wording
from autoinstr.device.ascend.database import MODULE
from autoinstr.report.ascend_db.schema import MARK, NONE, START_END

if TYPE_CHECKING:
    from autoinstr.recording.reader import RangeName, Recording
    from autoinstr.report.ascend_db.writer import Database

EVENTS = "MSTX_EVENTS"
MOVED = "temp.MOVED"
NAMES = ("class", "path", "path:class")  # of `--name`; the first is the default


class Window(NamedTuple):
    """Only what begins and ends in it is kept, as CANN keeps it, or, where it is not `strict`, what
    overlaps it; nanoseconds since 1970."""

    begin_ns: int
    end_ns: int
    strict: bool


class Written(NamedTuple):
    """What MSTX_EVENTS holds: ranges of modules, other ranges and marks, from when to when, and the
    domains of modules: first the one that is read, then one for each thread more that called
    modules at the same time."""

    modules: int
    others: int
    marks: int
    first_ns: int
    last_ns: int
    domains: list[int]


def write(
    recording: Recording,
    offset_ns: int,
    naming: str,
    window: Window | None,
    database: Database,
    tick: Tick,
) -> int:
    """Write all closed ranges and marks, or those that overlap the window; returns how many ranges
    there have no end. `offset_ns` makes nanoseconds since 1970 of the recording's times."""
    begin, end = (
        (window.begin_ns - offset_ns, window.end_ns - offset_ns) if window else (0, FOREVER)
    )
    words: dict[int, tuple[int, int]] = {}
    numbers = itertools.count(1)
    for piece in pieces(recording, tick):
        tid = recording.pid << 32 | native_tid(recording, piece.thread)
        kind = MARK if piece.mark else START_END
        for name in set(piece.names).difference(words):
            words[name] = _words(recording.names[name], naming, database)
        rows = []
        for name, start, stop in zip(piece.names, piece.starts, piece.ends):
            if stop >= begin and start <= end:
                message, domain = words[name]
                number = NONE if piece.mark else next(numbers)
                rows.append(
                    (
                        start + offset_ns,
                        stop + offset_ns,
                        kind,
                        number,
                        NONE,
                        message,
                        tid,
                        tid,
                        domain,
                        NONE,
                    )
                )
        database.add(EVENTS, rows)
    database.flush()
    return sum(begin <= one.start_ns <= end for one in recording.open_ranges())


def message_of(name: RangeName, naming: str) -> str:
    """What a range is called in MSTX_EVENTS."""
    if name.cls and name.kind == "range":
        return wording(naming)(ModuleName(0, name.root, name.path, name.cls, 0))
    return title(name)


def finish(database: Database, window: Window | None) -> Written:
    """Leave out what does not lie in the window after all, part the threads, and count."""
    connection, module = database.connection, database.text(MODULE)
    if EVENTS not in database.counts:
        return Written(0, 0, 0, 0, 0, [module])
    if window is not None:
        outside = "startNs < ? OR endNs > ?" if window.strict else "endNs < ? OR startNs > ?"
        connection.execute(f"DELETE FROM {EVENTS} WHERE {outside}", window[:2])
    domains = _part(database, module)
    query = f"SELECT eventType, domainId, COUNT(*), MIN(startNs), MAX(endNs) FROM {EVENTS} GROUP BY 1, 2"
    found = connection.execute(query).fetchall()
    modules = sum(
        number for kind, domain, number, _, _ in found if kind == START_END and domain in domains
    )
    ranges, marks = (
        sum(number for kind, _, number, _, _ in found if kind == wanted)
        for wanted in (START_END, MARK)
    )
    first, last = (
        min((row[3] for row in found), default=0),
        max((row[4] for row in found), default=0),
    )
    return Written(modules, ranges - modules, marks, first, last, domains)


def _words(name: RangeName, naming: str, database: Database) -> tuple[int, int]:
    """(message, domain)."""
    # The only domain that is read for modules, whatever the program's was called (option `domain`).
    domain = MODULE if name.cls and name.kind == "range" else name.domain
    return database.text(message_of(name, naming)), database.text(domain)


def _part(database: Database, module: int) -> list[int]:
    """Give threads that call modules at the same time domains of their own; returns all domains of
    modules."""
    connection = database.connection
    outermost: dict[
        int, tuple[int, int]
    ] = {}  # thread -> when its outermost call ends, the number of its domain
    taken: dict[int, int] = {}  # number -> when it is free again
    database.temporary(MOVED, "row INTEGER PRIMARY KEY, domain INTEGER")
    query = f"SELECT rowid, startNs, endNs, globalTid FROM {EVENTS} WHERE eventType = 2 AND domainId = ? ORDER BY startNs, endNs DESC"
    for row, start, end, thread in connection.execute(query, (module,)):
        until, number = outermost.get(thread, (0, 0))
        if start >= until:
            number = next(number for number in itertools.count() if taken.get(number, 0) <= start)
            outermost[thread], taken[number] = (end, number), end
        if number:
            database.add(MOVED, [(row, database.text(f"{MODULE}:thread-{number}"))])
    database.flush()
    chosen = f"SELECT domain FROM {MOVED} WHERE row = {EVENTS}.rowid"
    connection.execute(
        f"UPDATE {EVENTS} SET domainId = ({chosen}) WHERE rowid IN (SELECT row FROM {MOVED})"
    )
    return [
        module,
        *(database.text(f"{MODULE}:thread-{number}") for number in sorted(taken) if number),
    ]
