"""A torch.profiler trace as rows of temporary tables: what of it the database needs. Times are
nanoseconds from the trace's own base.

Kinds of events are told by Kineto's categories, which are the same for every vendor: `cpu_op` and
`user_annotation` ran on the host, `kernel`, `gpu_memcpy` and `gpu_memset` on a device, `*_runtime`
and `*_driver` are the calls that launched them. Python functions, memory and what else there is are
passed over."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.report.ascend_db.trace_file import EVENTS, BadTrace, members

if TYPE_CHECKING:
    from autoinstr.analysis.blocks import Tick
    from autoinstr.report.ascend_db.writer import Database

OPERATORS, LAUNCHES, DEVICE, FLOWS = "temp.OPERATORS", "temp.LAUNCHES", "temp.DEVICE", "temp.FLOWS"
COLUMNS = {
    OPERATORS: """startNs INTEGER, endNs INTEGER, tid INTEGER, name INTEGER, external INTEGER, sequence INTEGER, forward INTEGER,
        types INTEGER, shapes INTEGER, role INTEGER, cut INTEGER""",
    LAUNCHES: "startNs INTEGER, endNs INTEGER, tid INTEGER, name INTEGER, correlation INTEGER, external INTEGER",
    DEVICE: """startNs INTEGER, endNs INTEGER, device INTEGER, stream INTEGER, context INTEGER, correlation INTEGER, name INTEGER,
        kind INTEGER, collective INTEGER, grp INTEGER, type INTEGER, elements INTEGER""",
    FLOWS: "tid INTEGER, startNs INTEGER, flow INTEGER",
}
# What an operator is to the sweep (links.py).
ANNOTATION, PLAIN, ENGINE, OWN = 0, 1, 2, 3  # OWN: a range of our own (own.py)
_ENGINE = "autograd::engine::evaluate_function: "  # around each node of the backward pass
_HOST = ("cpu_op", "user_annotation")
_ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
_LAUNCH = re.compile(r"\w+_(runtime|driver)")
_STEP = re.compile(r"ProfilerStep#(\d+)")
_FAR = 1 << 62


class Owner(NamedTuple):
    """Whose trace it is: the process's number, and its rank where the trace tells it."""

    pid: int
    rank: int | None


class Trace(NamedTuple):
    """What was put into the tables. `begin_ns` and `end_ns` are the part of the run that was
    profiled, since 1970 by the trace's clock: as it says itself, if it is `bounded`, else from the
    first operator to the last. `base_ns` is what to add to a time in the tables; `steps` are
    (number, start, end); `odd` events could not be understood."""

    path: str
    owner: Owner
    begin_ns: int
    end_ns: int
    bounded: bool
    base_ns: int
    operators: int
    device_events: int
    devices: list[int]
    steps: list[tuple[int, int, int]]
    odd: int
    info: dict[str, Any]


def owner(path: str) -> Owner:
    """Read a trace until its first host event. BadTrace where there is none."""
    rank = None
    with closing(members(path)) as found:
        for key, value in found:
            if (
                key == "distributedInfo"
                and isinstance(value, dict)
                and _is_whole(value.get("rank"))
            ):
                rank = value["rank"]
            elif (
                key == EVENTS
                and isinstance(value, dict)
                and _is_host(value.get("cat"))
                and _is_whole(value.get("pid"))
            ):
                return Owner(value["pid"], rank)
    raise BadTrace(
        f"{path}: has no operators: profile with torch.profiler.ProfilerActivity.CPU among the activities"
    )


def load(path: str, whose: Owner, database: Database, tick: Tick) -> Trace:
    """Fill the tables. BadTrace where the file is not whole, or is of several processes."""
    for table, columns in COLUMNS.items():
        database.temporary(table, columns)
    loading = _Loading(path, whose, database)
    for key, value in members(path):
        if key == EVENTS:
            loading.event(value)
            tick(1)
        elif isinstance(value, (int, str, float)):
            loading.info[key] = value
    database.flush()
    return loading.trace()


class _Loading:
    """One trace on its way into the tables."""

    def __init__(self, path: str, whose: Owner, database: Database) -> None:
        self.info: dict[str, Any] = {}
        self._path = path
        self._whose = whose
        self._database = database
        self._odd = 0
        self._devices: set[int] = set()
        self._steps: list[tuple[int, int, int]] = []
        self._first, self._last = _FAR, -_FAR
        self._profiled: tuple[int, int] | None = None

    def event(self, event: Any) -> None:
        try:
            category = event.get("cat")
            if category in _HOST:
                self._operator(event, category)
            elif category in _ON_DEVICE:
                self._device_event(event, category)
            elif category == "fwdbwd":
                row = (_whole(event["tid"]), _ns(event["ts"]), _whole(event["id"]))
                self._database.add(FLOWS, [row])
            elif category == "Trace":
                self._profiled = _times(event)
            elif _is_host(category) and "correlation" in event.get("args", ()):
                self._launch(event)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self._odd += 1

    def trace(self) -> Trace:
        if not self._database.counts[OPERATORS]:
            raise BadTrace(
                f"{self._path}: has no operators: profile with torch.profiler.ProfilerActivity.CPU among the activities"
            )
        base = self.info.get("baseTimeNanoseconds", 0)
        base = base if _is_whole(base) else 0
        begin, end = self._profiled or (self._first, self._last)
        begin, end = min(begin, self._first) + base, max(end, self._last) + base
        counts = self._database.counts
        steps = sorted((number, start + base, end + base) for number, start, end in self._steps)
        return Trace(
            self._path, self._whose, begin, end, self._profiled is not None, base, counts[OPERATORS], counts[DEVICE], sorted(self._devices),
            steps, self._odd, self.info,
        )  # fmt: skip

    def _operator(self, event: dict[str, Any], category: str) -> None:
        start, end = self._on_host(event)
        name, args, text = event["name"], event.get("args", {}), self._database.text
        step = _STEP.fullmatch(name) if category == "user_annotation" else None
        if step:
            self._steps.append((int(step[1]), start, end))
        role = (
            ANNOTATION
            if category == "user_annotation"
            else ENGINE
            if name.startswith(_ENGINE)
            else PLAIN
        )
        types, shapes = args.get("Input type"), args.get("Input Dims")
        cut = args.get("finished") is False  # it ran on after the profile, whose end it has
        facts = (
            _maybe(args.get("External id")),
            _maybe(args.get("Sequence number")),
            _maybe(args.get("Fwd thread id")),
        )
        inputs = (
            text(";".join(map(str, types))) if types else None,
            text(_shapes(shapes)) if shapes else None,
        )
        self._database.add(
            OPERATORS, [(start, end, _whole(event["tid"]), text(name), *facts, *inputs, role, cut)]
        )

    def _launch(self, event: dict[str, Any]) -> None:
        args = event["args"]
        row = (
            *self._on_host(event),
            _whole(event["tid"]),
            self._database.text(event["name"]),
            _whole(args["correlation"]),
        )
        self._database.add(LAUNCHES, [(*row, _maybe(args.get("External id")))])

    def _device_event(self, event: dict[str, Any], category: str) -> None:
        args, text = event.get("args", {}), self._database.text
        device, stream = (
            _whole(args.get("device", event["pid"])),
            _whole(args.get("stream", event["tid"])),
        )
        collective = args.get("Collective name")
        told: list[int | None] = [None] * 4
        if collective:
            group, kind = args.get("Process Group Name") or "N/A", args.get("dtype") or "N/A"
            told = [text(collective), text(group), text(kind), _maybe(args.get("In msg nelems"))]
        where = (device, stream, _maybe(args.get("context")), _maybe(args.get("correlation")))
        self._database.add(
            DEVICE, [(*_times(event), *where, text(event["name"]), text(category), *told)]
        )
        self._devices.add(device)

    def _on_host(self, event: dict[str, Any]) -> tuple[int, int]:
        if event["pid"] != self._whose.pid:
            raise BadTrace(
                f"{self._path}: has operators of several processes ({self._whose.pid} and {event['pid']}): give one for each"
            )
        start, end = _times(event)
        self._first, self._last = min(self._first, start), max(self._last, end)
        return start, end


def _is_host(category: Any) -> bool:
    return isinstance(category, str) and (
        category in _HOST or _LAUNCH.fullmatch(category) is not None
    )


def _times(event: dict[str, Any]) -> tuple[int, int]:
    start, length = _ns(event["ts"]), _ns(event["dur"])
    if length < 0:
        raise ValueError(length)
    return start, start + length


def _ns(microseconds: float) -> int:
    """Kineto's numbers have three decimals, and are small enough for a double to hold them."""
    value = round(microseconds * 1000)
    if abs(value) >= _FAR:
        raise OverflowError(value)
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_FAR < value < _FAR


def _whole(value: Any) -> int:
    if not _is_whole(value):
        raise ValueError(value)
    return int(value)


def _maybe(value: Any) -> int | None:
    return value if _is_whole(value) else None


def _shapes(shapes: list[Any]) -> str:
    """As torch_npu writes them: dimensions parted by commas, inputs by semicolons; lists of tensors
    are left as they are."""
    return ";".join(
        ",".join(map(str, shape)) if isinstance(shape, list) else str(shape) for shape in shapes
    )
