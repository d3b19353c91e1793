"""Load a torch.profiler trace into temporary tables (`kineto_tables.py`).

Kineto's categories tell the kinds of events apart. They are the same for every vendor: `cpu_op` and
`user_annotation` ran on the host, `kernel`, `gpu_memcpy` and `gpu_memset` on a device. `*_runtime`
and `*_driver` are the calls that launched the latter. Python functions, memory events and all other
categories are skipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.device.kineto.owner import NO_OPERATORS, TraceOwner
from autoinstr.device.kineto.trace_file import EVENTS, BadTrace, read_members
from autoinstr.device.kineto.values import (
    DEVICE_CATEGORIES,
    HOST_CATEGORIES,
    LAUNCH,
    LIMIT_NS,
    format_shapes,
    is_integer,
    normalize_category,
    read_external_id,
    read_integer,
    read_interval,
    read_optional_integer,
    read_time,
)
from autoinstr.report.ascend_db.kineto_tables import (
    ANNOTATION,
    COLUMNS,
    DEVICE,
    ENGINE,
    FLOWS,
    LAUNCHES,
    OPERATORS,
    PLAIN,
)

if TYPE_CHECKING:
    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.report.ascend_db.writer import DatabaseWriter

_ENGINE_PREFIX = "autograd::engine::evaluate_function: "
_STEP = re.compile(r"ProfilerStep#(\d+)")


class KinetoTrace(NamedTuple):
    """What the temporary tables hold.

    `begin_ns` and `end_ns` are the profiled time, in nanoseconds since 1970 by the trace's clock.
    If `has_bounds`, the trace has them itself; else they are those of the first and the last
    operator. Add `base_ns` to a time in the tables to get nanoseconds since 1970. `steps` are
    (number, start, end). `unreadable_events` counts the events with invalid values.
    """

    path: str
    owner: TraceOwner
    begin_ns: int
    end_ns: int
    has_bounds: bool
    base_ns: int
    operators: int
    device_events: int
    devices: list[int]
    steps: list[tuple[int, int, int]]
    unreadable_events: int
    info: dict[str, Any]


def load_trace(
    path: str, owner: TraceOwner, database: DatabaseWriter, tick: ProgressTick
) -> KinetoTrace:
    """Fill the temporary tables.

    Raise BadTrace if the file is not complete or has operators of several processes.
    """
    for table, columns in COLUMNS.items():
        database.create_temporary_table(table, columns)
    loader = _TraceLoader(path, owner, database)
    for key, value in read_members(path, exact_numbers=True):
        if key == EVENTS:
            loader.add_event(value)
            tick(1)
        elif isinstance(value, (int, str, float)):
            loader.info[key] = value
    database.flush()
    return loader.make_trace()


class _TraceLoader:
    """Writes the events of one trace to the tables."""

    def __init__(self, path: str, owner: TraceOwner, database: DatabaseWriter) -> None:
        self.info: dict[str, Any] = {}
        self._path = path
        self._owner = owner
        self._database = database
        self._unreadable_events = 0
        self._devices: set[int] = set()
        self._steps: list[tuple[int, int, int]] = []
        self._first, self._last = LIMIT_NS, -LIMIT_NS  # of the operators
        self._bounds: tuple[int, int] | None = None

    def add_event(self, event: Any) -> None:
        """Add a row for an event. Count an event with invalid values."""
        try:
            category = normalize_category(event.get("cat"))
            if category in HOST_CATEGORIES:
                self._add_operator(event, category)
            elif category in DEVICE_CATEGORIES:
                self._add_device_event(event, category)
            elif category == "fwdbwd":
                flow = read_integer(event["tid"]), read_time(event["ts"]), read_integer(event["id"])
                self._database.add_rows(FLOWS, [flow])
            elif category == "Trace":
                self._bounds = read_interval(event)
            elif category == LAUNCH and "correlation" in event.get("args", ()):
                self._add_launch(event)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self._unreadable_events += 1

    def make_trace(self) -> KinetoTrace:
        """Return what was loaded. Raise BadTrace if there are no operators."""
        counts = self._database.counts
        if not counts[OPERATORS]:
            raise BadTrace(f"{self._path}: {NO_OPERATORS}")
        base = self.info.get("baseTimeNanoseconds", 0)
        base = base if is_integer(base) else 0
        begin, end = self._bounds or (self._first, self._last)
        return KinetoTrace(
            path=self._path,
            owner=self._owner,
            begin_ns=min(begin, self._first) + base,
            end_ns=max(end, self._last) + base,
            has_bounds=self._bounds is not None,
            base_ns=base,
            operators=counts[OPERATORS],
            device_events=counts[DEVICE],
            devices=sorted(self._devices),
            steps=sorted((number, start + base, end + base) for number, start, end in self._steps),
            unreadable_events=self._unreadable_events,
            info=self.info,
        )

    def _add_operator(self, event: dict[str, Any], category: str) -> None:
        start, end = self._read_host_interval(event)
        name, args, intern = event["name"], event.get("args", {}), self._database.intern_text
        is_annotation = category == "user_annotation"
        step = _STEP.fullmatch(name) if is_annotation else None
        if step:
            self._steps.append((int(step[1]), start, end))
        role = ENGINE if name.startswith(_ENGINE_PREFIX) else PLAIN
        types, shapes = args.get("Input type"), args.get("Input Dims")
        row = (
            start,
            end,
            read_integer(event["tid"]),
            intern(name),
            read_external_id(args),
            read_optional_integer(args.get("Sequence number")),
            read_optional_integer(args.get("Fwd thread id")),
            intern(";".join(map(str, types))) if types else None,
            intern(format_shapes(shapes)) if shapes else None,
            ANNOTATION if is_annotation else role,
            args.get("finished") is False,  # still running at the end of the profile
        )
        self._database.add_rows(OPERATORS, [row])

    def _add_launch(self, event: dict[str, Any]) -> None:
        args = event["args"]
        row = (
            *self._read_host_interval(event),
            read_integer(event["tid"]),
            self._database.intern_text(event["name"]),
            read_integer(args["correlation"]),
            read_external_id(args),
        )
        self._database.add_rows(LAUNCHES, [row])

    def _add_device_event(self, event: dict[str, Any], category: str) -> None:
        args, intern = event.get("args", {}), self._database.intern_text
        device = read_integer(args.get("device", event["pid"]))
        stream = read_integer(args.get("stream", event["tid"]))
        collective = args.get("Collective name")
        collective_columns: list[int | None] = [None] * 4
        if collective:
            collective_columns = [
                intern(collective),
                intern(args.get("Process Group Name") or "N/A"),
                intern(args.get("dtype") or "N/A"),
                read_optional_integer(args.get("In msg nelems")),
            ]
        row = (
            *read_interval(event),
            device,
            stream,
            read_optional_integer(args.get("context")),
            read_optional_integer(args.get("correlation")),
            intern(event["name"]),
            intern(category),
            *collective_columns,
        )
        self._database.add_rows(DEVICE, [row])
        self._devices.add(device)

    def _read_host_interval(self, event: dict[str, Any]) -> tuple[int, int]:
        if read_integer(event["pid"]) != self._owner.pid:
            raise BadTrace(
                f"{self._path}: has operators of several processes "
                f"({self._owner.pid} and {event['pid']}): give one trace for each process"
            )
        start, end = read_interval(event)
        self._first, self._last = min(self._first, start), max(self._last, end)
        return start, end
