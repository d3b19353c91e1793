"""Traces of torch.profiler, read and made.

A real trace shows which operators belong to which module by torch's own `nn.Module: X_0` events
(with_stack), without our ranges. That is the expected result for tests of the export. A trace made
by hand has the shape of Kineto's.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

ENGINE = "autograd::engine::evaluate_function: "


class Truth(NamedTuple):
    """By path of classes (Model/Layer/Linear): calls of the module, its operators that no other
    operator called, and their time in ns.
    """

    calls: Counter[str]
    operators: dict[str, Counter[str]]
    ns: Counter[str]


class _Event(NamedTuple):
    start: int
    end: int
    name: str
    module: bool


def read(trace: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(trace.read_text())
    return found


def truth(trace: Path) -> Truth:
    threads: dict[int, list[_Event]] = defaultdict(list)
    for event in read(trace)["traceEvents"]:
        module = event.get("cat") == "python_function" and event["name"].startswith("nn.Module: ")
        if module or (event.get("cat") == "cpu_op" and not event["name"].startswith(ENGINE)):
            start = round(event["ts"] * 1000)
            threads[event["tid"]].append(
                _Event(start, start + round(event["dur"] * 1000), event["name"], module)
            )
    found = Truth(Counter(), defaultdict(Counter), Counter())
    for events in threads.values():
        _nest(sorted(events, key=lambda one: (one.start, -one.end)), found)
    return found


def own_operators(trace: Path) -> tuple[int, int]:
    """Return the number and the time of all operators that no other operator called.

    What a module or a node of autograd does inside one is not its own."""
    count = ns = 0
    threads: dict[int, list[_Event]] = defaultdict(list)
    for event in read(trace)["traceEvents"]:
        name = event.get("name", "")
        hides = name.startswith((ENGINE, "nn.Module: "))
        if event.get("cat") == "cpu_op" or (hides and event.get("cat") == "python_function"):
            start = round(event["ts"] * 1000)
            end = start + round(event["dur"] * 1000)
            threads[event["tid"]].append(_Event(start, end, name, hides))
    for events in threads.values():
        running: list[_Event] = []
        for one in sorted(events, key=lambda one: (one.start, -one.end)):
            running = [other for other in running if other.end >= one.end]
            is_inner = bool(running) and not running[-1].module
            if one.module and is_inner:
                ns -= one.end - one.start
            elif not one.module and not is_inner:
                count, ns = count + 1, ns + one.end - one.start
            if one.module or not is_inner:
                running.append(one)
    return count, ns


def backward(trace: Path) -> dict[str, Counter[str]]:
    """Return the backward nodes by the path of the module whose forward operator they belong to.

    torch's own arrows from forward to backward (`fwdbwd`) connect the two.
    """
    events = read(trace)["traceEvents"]
    ends: dict[tuple[str, int], tuple[int, int]] = {}
    for event in events:
        if event.get("cat") == "fwdbwd":
            ends[event["ph"], event["id"]] = (event["tid"], round(event["ts"] * 1000))
    modules = [
        event
        for event in events
        if event.get("cat") == "python_function" and event["name"].startswith("nn.Module: ")
    ]
    spans = sorted(
        _Event(round(one["ts"] * 1000), round((one["ts"] + one["dur"]) * 1000), one["name"], True)
        for one in modules
    )
    names = {
        (one["tid"], round(one["ts"] * 1000)): one["name"]
        for one in events
        if one.get("cat") == "cpu_op"
    }
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for (phase, number), (_, start) in ends.items():
        if phase == "s" and ("f", number) in ends:
            path = _path([one for one in spans if one.start <= start < one.end])
            found[path][names[ends["f", number]]] += 1
    return found


def _nest(events: list[_Event], found: Truth) -> None:
    running: list[_Event] = []
    for event in events:
        running = [one for one in running if one.end >= event.end]
        if event.module:
            running.append(event)
            found.calls[_path(running)] += 1
        else:
            path = _path(running)
            if path and running[-1].module:
                found.operators[path][event.name] += 1
                found.ns[path] += event.end - event.start
            running.append(event)


def _path(running: list[_Event]) -> str:
    return "/".join(
        re.sub(r"^nn\.Module: (.*)_\d+$", r"\1", one.name) for one in running if one.module
    )


class Trace:
    """A trace made by hand. Times are ns since `base`; ids of operators and correlations count up.

    Shaped after what Kineto writes of a CUDA run (names of categories, of arguments, which event
    carries which): no GPU was there to take a real one from.
    """

    def __init__(self, pid: int = 1000, base: int = 1_795_000_000_000_000_000, **head: Any) -> None:
        self.pid, self.base = pid, base
        self.head = {"schemaVersion": 1, "baseTimeNanoseconds": base, **head}
        self.events: list[dict[str, Any]] = [
            {
                "ph": "M",
                "name": "process_name",
                "ts": 0,
                "pid": pid,
                "tid": 0,
                "args": {"name": "python"},
            }
        ]
        self._ids = self._correlations = 0

    def add(
        self, cat: str, name: str, start: int, end: int, pid: object, tid: object, **args: Any
    ) -> dict[str, Any]:
        times = {"ts": start / 1000, "dur": (end - start) / 1000}
        told = {key.replace("_", " "): args[key] for key in args}
        event = {"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid, **times, "args": told}
        self.events.append(event)
        return event

    def operator(self, name: str, start: int, end: int, tid: int = 4000, **args: Any) -> int:
        """Add an operator. Return its External id."""
        self._ids += 1
        self.add("cpu_op", name, start, end, self.pid, tid, External_id=self._ids, **args)
        return self._ids

    def launch(
        self,
        operator: int | None,
        start: int,
        tid: int = 4000,
        name: str = "cudaLaunchKernel",
        cat: str = "cuda_runtime",
    ) -> int:
        """Add a launch. Return its correlation."""
        self._correlations += 1
        external = {} if operator is None else {"External_id": operator}
        self.add(
            cat,
            name,
            start,
            start + 2000,
            self.pid,
            tid,
            cbid=211,
            correlation=self._correlations,
            **external,
        )
        flow = {
            "ph": "s",
            "id": self._correlations,
            "pid": self.pid,
            "tid": tid,
            "ts": start / 1000,
            "cat": "ac2g",
            "name": "ac2g",
        }
        self.events.append(flow)
        return self._correlations

    def kernel(
        self,
        name: str,
        correlation: int,
        start: int,
        ns: int,
        cat: str = "kernel",
        device: int = 0,
        **args: Any,
    ) -> None:
        where = {"device": device, "context": 1, "stream": 7, "correlation": correlation}
        self.add(cat, name, start, start + ns, device, 7, **where, **args)
        flow = {
            "ph": "f",
            "id": correlation,
            "pid": device,
            "tid": 7,
            "ts": start / 1000,
            "cat": "ac2g",
            "name": "ac2g",
            "bp": "e",
        }
        self.events.append(flow)

    def text(self) -> str:
        return json.dumps({**self.head, "traceEvents": self.events, "traceName": "trace.json"})

    def write(self, path: Path) -> Path:
        path.write_text(self.text())
        return path
