"""Our own ranges in a trace: events of the emitter `torch`, which Kineto has among the operators
(`cpu_op`). They are annotations; taken for operators they would be what their modules ran.

No argument of such an event says whose it is. But the emitter begins its range just before the
recorder stamps the start of the same one, and ends it just after: in their thread nothing lies
between. So an event is ours if it is next to a recorded range, has a name that the emitter may have
given that range, and does not end before it. An operator of the program's with the same name lies
inside of the two, or around them, and each range has one event.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from autoinstr.base.module_name import ModuleName, wording
from autoinstr.emitters.torch_events import SPOILS
from autoinstr.report.ascend_db.kineto import OPERATORS, OWN, PLAIN
from autoinstr.report.ascend_db.ranges import EVENTS, NAMES, message_of
from autoinstr.report.ascend_db.schema import MARK

if TYPE_CHECKING:
    from autoinstr.recording.reader import RangeName, Recording
    from autoinstr.report.ascend_db.writer import Database

EMITTER = "torch"
# the two clocks are that well aligned at least: so far an event may lie on the wrong side of its
# range
NEAR_NS = 20_000
_EVENT, _RANGE = 0, 1  # at the same time, the outer one first

_EVENTS = f"""SELECT startNs + :by, {_EVENT}, endNs + :by, tid, name, rowid, role = {PLAIN} AND sequence IS NULL, cut
    FROM {OPERATORS} ORDER BY startNs, endNs DESC, rowid"""
_RANGES = f"SELECT startNs, {_RANGE}, endNs, globalTid & 4294967295, message, eventType FROM {EVENTS} ORDER BY startNs, endNs DESC"


class _Seen:
    """What began in a thread; `joined` once it has its partner."""

    __slots__ = ("end", "joined", "kind", "name", "row", "start")

    def __init__(self, row: tuple[int, ...]) -> None:
        self.start, self.kind, self.end, _, self.name, *_ = self.row = row
        self.joined = False


def mark(database: Database, recording: Recording, offset_ns: int, naming: str) -> int:
    """Give the emitter's events the role OWN; returns how many there are. All ranges near the trace
    must still be there, and `offset_ns` makes nanoseconds since 1970 of its times. Memory: the
    numbers of the events found."""
    if EMITTER not in emitters_of(recording):
        return 0
    names: dict[int, set[str]] = {}
    for name in recording.names.values():
        names.setdefault(database.text(message_of(name, naming)), set()).update(_said(name))
    known = {
        message: {number for text in texts if (number := database.known(text))}
        for message, texts in names.items()
    }
    connection = database.connection
    found: list[tuple[int]] = []
    last: dict[int, _Seen] = {}
    rows = [connection.execute(_EVENTS, {"by": offset_ns}), connection.execute(_RANGES)]
    for row in heapq.merge(*rows, key=lambda row: row[:2]):
        seen, before = _Seen(row), last.get(row[3])
        last[row[3]] = seen
        if before is None or before.joined or before.kind == seen.kind:
            continue
        event, range_ = (before, seen) if seen.kind == _RANGE else (seen, before)
        if event.name in known.get(range_.name, ()) and _are_one(event, range_):
            found.append((event.row[5],))
            before.joined = seen.joined = True
    connection.executemany(f"UPDATE {OPERATORS} SET role = {OWN} WHERE rowid = ?", found)
    return len(found)


def emitters_of(recording: Recording) -> set[str]:
    """Those that wrote while it was made, and those that were asked for: a recording may begin
    before torch has been imported."""
    options = recording.header.get("options")
    asked = str(options.get("emitter", "")) if isinstance(options, dict) else ""
    return {word.strip() for word in f"{recording.emitter},{asked}".split(",")}


def _are_one(event: _Seen, range_: _Seen) -> bool:
    *_, may_be, cut = event.row
    if not may_be:
        return False
    if range_.row[5] == MARK:  # the recorder's has no length, and comes first
        return event.start >= range_.start - NEAR_NS
    in_place = event.start - range_.start <= NEAR_NS and range_.start <= event.end
    return in_place and (bool(cut) or range_.end <= event.end + NEAR_NS)


def _said(name: RangeName) -> set[str]:
    """What the emitter may have called it: the option `name` may be its own, and a domain of the
    program's is said in the message."""
    if name.cls and name.kind == "range":
        texts = {wording(how)(ModuleName(0, name.root, name.path, name.cls, 0)) for how in NAMES}
    else:
        texts = {name.message, f"{name.domain}: {name.message}"}
    return {text.translate(SPOILS) for text in texts}
