"""Find the events of our own emitter `torch` in a trace.

Kineto lists them among the operators (`cpu_op`). They must count as annotations: as operators they
would be the work of their own modules.

No argument of such an event shows its origin. But the emitter begins an event just before the
recorder stamps the start of the same range, and ends it just after the recorder's end. In their
thread nothing lies between the two. So an event is ours under three conditions: it is next to a
recorded range, it has a name that the emitter may have given to this range, and it does not end
before the range. A program's operator with the same name lies inside both or around both, and each
range has at most one event.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from autoinstr.base.module_name import ModuleName, make_message_format
from autoinstr.emitters.torch_events import REPLACEMENTS
from autoinstr.report.ascend_db.kineto_tables import OPERATORS, OWN_EVENT, PLAIN
from autoinstr.report.ascend_db.ranges import EVENTS, NAMES, format_message
from autoinstr.report.ascend_db.schema import MARK

if TYPE_CHECKING:
    from autoinstr.recording.reader import RangeName, Recording
    from autoinstr.report.ascend_db.writer import DatabaseWriter

EMITTER = "torch"
# Precision of the alignment: an event may lie this far on the wrong side of its range.
TOLERANCE_NS = 20_000
_EVENT, _RANGE = 0, 1  # of two that begin at the same time, the event is the outer one

_EVENTS = f"""SELECT startNs + :offset, {_EVENT}, endNs + :offset, tid, name, rowid,
    role = {PLAIN} AND sequence IS NULL, cut
    FROM {OPERATORS} ORDER BY startNs, endNs DESC, rowid"""
_RANGES = f"""SELECT startNs, {_RANGE}, endNs, globalTid & 4294967295, message, eventType
    FROM {EVENTS} ORDER BY startNs, endNs DESC"""


class _Interval:
    """An event or a range. `is_matched` is set once it has its counterpart."""

    __slots__ = ("end", "is_matched", "kind", "name", "row", "start")

    def __init__(self, row: tuple[int, ...]) -> None:
        self.start, self.kind, self.end, _, self.name, *_ = self.row = row
        self.is_matched = False


def mark_own_events(
    database: DatabaseWriter, recording: Recording, offset_ns: int, naming: str
) -> int:
    """Give the emitter's events the role OWN_EVENT. Return how many there are.

    MSTX_EVENTS must still hold all ranges near the trace. Add `offset_ns` to the trace's times to
    get nanoseconds since 1970. Memory: the numbers of the events.
    """
    if EMITTER not in list_emitters(recording):
        return 0
    event_names = _list_event_names(database, recording, naming)
    connection = database.connection
    own_events: list[tuple[int]] = []
    latest: dict[int, _Interval] = {}  # thread -> what began there last
    cursors = [
        connection.execute(_EVENTS, {"offset": offset_ns}),
        connection.execute(_RANGES),
    ]
    for row in heapq.merge(*cursors, key=lambda row: row[:2]):
        current, previous = _Interval(row), latest.get(row[3])
        latest[row[3]] = current
        if previous is None or previous.is_matched or previous.kind == current.kind:
            continue
        event, range_ = (previous, current) if current.kind == _RANGE else (current, previous)
        if event.name in event_names.get(range_.name, ()) and _is_event_of(event, range_):
            own_events.append((event.row[5],))
            previous.is_matched = current.is_matched = True
    connection.executemany(f"UPDATE {OPERATORS} SET role = {OWN_EVENT} WHERE rowid = ?", own_events)
    return len(own_events)


def list_emitters(recording: Recording) -> set[str]:
    """Return the emitters that wrote during a recording, and those that the options name.

    The two differ, because a recording may begin before torch is imported.
    """
    options = recording.header.get("options")
    requested = str(options.get("emitter", "")) if isinstance(options, dict) else ""
    return {word.strip() for word in f"{recording.emitter},{requested}".split(",")}


def _list_event_names(
    database: DatabaseWriter, recording: Recording, naming: str
) -> dict[int, set[int]]:
    """Return message of a range -> names of events that the emitter may have written for it."""
    names: dict[int, set[str]] = {}
    for name in recording.names.values():
        message = database.intern_text(format_message(name, naming))
        names.setdefault(message, set()).update(_list_emitted_names(name))
    return {
        message: {number for text in texts if (number := database.find_text(text))}
        for message, texts in names.items()
    }


def _is_event_of(event: _Interval, range_: _Interval) -> bool:
    *_, is_candidate, is_cut = event.row
    if not is_candidate:
        return False
    if range_.row[5] == MARK:  # a recorded mark has no length and begins before its event
        return event.start >= range_.start - TOLERANCE_NS
    is_near = event.start - range_.start <= TOLERANCE_NS and range_.start <= event.end
    return is_near and (bool(is_cut) or range_.end <= event.end + TOLERANCE_NS)


def _list_emitted_names(name: RangeName) -> set[str]:
    """Return the names that the emitter may have given to a range.

    The emitter may have had its own value of the option `name`. It writes the domain of a user's
    range in front of the message.
    """
    if name.cls and name.kind == "range":
        module = ModuleName(0, name.root, name.path, name.cls, 0)
        texts = {make_message_format(naming)(module) for naming in NAMES}
    else:
        texts = {name.message, f"{name.domain}: {name.message}"}
    return {text.translate(REPLACEMENTS) for text in texts}
