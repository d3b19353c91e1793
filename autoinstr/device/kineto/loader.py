"""Load a torch.profiler trace into a ProfileStore.

Kineto's categories tell the kinds of events apart. They are the same for every vendor: `cpu_op`
ran on the host, `kernel`, `gpu_memcpy` and `gpu_memset` on a device. `*_runtime` and `*_driver` are
the calls that launched the latter. torch before 1.12 had other names (values.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from autoinstr.device.kineto.collective_args import read_collective
from autoinstr.device.kineto.trace_file import EVENTS, BadTrace, read_members
from autoinstr.device.kineto.values import (
    ANNOTATION,
    DEVICE_CATEGORIES,
    LAUNCH,
    LIMIT_NS,
    OPERATOR,
    is_integer,
    normalize_category,
    read_integer,
    read_optional_integer,
    read_short_interval,
    read_stream,
    read_thread,
    read_time,
)
from autoinstr.device.operator_roles import find_role
from autoinstr.device.profile_store import (
    COLLECTIVES,
    COMMUNICATION,
    COMPUTE,
    COPY,
    KERNELS,
    LAUNCHES,
    MEMORY,
    MODULES,
    OPERATORS,
    WORK,
    ProfileStep,
    ProfileStore,
)
from autoinstr.device.work.formulas import FORMULAS, Formula
from autoinstr.device.work.shapes import compute_cost

MODULE_PREFIX = "nn.Module: "
MEMORY_EVENT = "[memory]"
_MODULE = re.compile(r"nn\.Module: (.*)_(\d+)", re.DOTALL)
# Annotations that name a step: torch's profiler, vLLM and SGLang.
_STEP = re.compile(r"ProfilerStep#\d+|execute_.*context_.*|step\[.*", re.DOTALL)
_COLLECTIVE = re.compile(r"nccl|rccl|hccl|oneccl|mscclpp", re.IGNORECASE)
_GRAPH_LAUNCH = "GraphLaunch"
MAX_STEPS = 100_000


def load_trace(path: str, tick: Callable[[int], None]) -> ProfileStore:
    """Return the rows of a trace. Raise BadTrace if the file is not complete."""
    store = ProfileStore(path, "kineto")
    try:
        loader = _TraceLoader(store)
        for key, value in read_members(path, exact_numbers=True):
            if key == EVENTS:
                loader.add_event(value)
                tick(1)
            else:
                loader.add_fact(key, value)
        loader.finish()
    except BaseException:
        store.close()
        raise
    return store


class _TraceLoader:
    """Adds the events of one trace to a store."""

    def __init__(self, store: ProfileStore) -> None:
        self._store = store
        self._unreadable = 0
        self._first, self._last = LIMIT_NS, -LIMIT_NS
        # of operators: number, role and formula
        self._names: dict[str, tuple[int, int, Formula | None]] = {}
        self._device_names: dict[str, tuple[int, bool]] = {}  # number, is a collective
        self._modules: dict[str, int] = {}

    def add_fact(self, key: str, value: Any) -> None:
        """Take a member of the file that is no event."""
        store = self._store
        if key == "baseTimeNanoseconds" and is_integer(value):
            store.base_ns = value
        elif key == "distributedInfo" and isinstance(value, dict):
            store.rank = read_optional_integer(value.get("rank"))
            store.world_size = read_optional_integer(value.get("world_size"))
        elif key == "deviceProperties" and isinstance(value, list):
            for entry in value:
                if isinstance(entry, dict) and is_integer(entry.get("id")):
                    store.devices[entry["id"]] = str(entry.get("name", ""))

    def add_event(self, event: Any) -> None:
        """Add a row for an event. Count an event with invalid values."""
        try:
            category = normalize_category(event.get("cat"))
            if category == OPERATOR:
                self._add_operator(event)
            elif category == LAUNCH:
                if "correlation" in event.get("args", ()):
                    self._add_launch(event)
            elif category == "python_function":
                if event["name"].startswith(MODULE_PREFIX):
                    self._add_module(event)
            elif category in DEVICE_CATEGORIES:
                self._add_kernel(event, category)
            elif category == ANNOTATION:
                if _STEP.fullmatch(event["name"]) and len(self._store.steps) < MAX_STEPS:
                    self._store.steps.append(
                        ProfileStep(event["name"], *read_short_interval(event))
                    )
                if not self._store.pid:
                    self._store.pid = read_integer(event["pid"])
            elif event.get("name") == MEMORY_EVENT:
                self._add_memory(event)
            elif event.get("ph") == "M" and event.get("name") == "thread_name":
                self._store.thread_names[read_thread(event["tid"])] = str(event["args"]["name"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self._unreadable += 1

    def finish(self) -> None:
        """Write what is pending and set the facts. Raise BadTrace if there was nothing."""
        store = self._store
        store.flush()
        if not any(store.counts.values()):
            raise BadTrace(
                f"{store.path}: has neither operators nor kernels: was it saved before the "
                "profiler stopped?"
            )
        store.begin_ns, store.end_ns = self._first, self._last
        if self._unreadable:
            store.complaints.append(f"{self._unreadable:,} events have invalid values")

    def _add_operator(self, event: dict[str, Any]) -> None:
        start, end = read_short_interval(event)
        name, store = event["name"], self._store
        facts = self._names.get(name)
        if facts is None:
            facts = (store.intern_text(name), find_role(name), FORMULAS.get(name))
            self._names[name] = facts
        number, role, formula = facts
        args, tid = event.get("args", {}), read_thread(event["tid"])
        sequence, forward = args.get("Sequence number"), args.get("Fwd thread id")
        row = (
            start,
            end,
            tid,
            number,
            role,
            sequence if is_integer(sequence) and sequence >= 0 else None,
            forward if is_integer(forward) and forward > 0 else None,
        )
        if formula is not None:
            dims = args.get("Input Dims")
            cost = compute_cost(formula, dims, args.get("Input type"), args.get("Concrete Inputs"))
            store.has_shapes = store.has_shapes or dims is not None
            store.add(WORK, (start, end, tid, *cost))
        if not store.pid:
            store.pid = read_integer(event["pid"])
        self._note_time(start, end)
        store.add(OPERATORS, row)

    def _add_launch(self, event: dict[str, Any]) -> None:
        start, end = read_short_interval(event)
        args, name = event["args"], event["name"]
        kernel = args.get("kernel")
        store = self._store
        row = (
            start,
            read_thread(event["tid"]),
            store.intern_text(name),
            read_integer(args["correlation"]),
            _GRAPH_LAUNCH in name,
            store.intern_text(kernel) if isinstance(kernel, str) else None,
            None,
        )
        self._note_time(start, end)
        store.add(LAUNCHES, row)

    def _add_module(self, event: dict[str, Any]) -> None:
        start, end = read_short_interval(event)
        name = event["name"]
        number = self._modules.get(name)
        if number is None:
            match = _MODULE.fullmatch(name)
            cls = match[1] if match else name[len(MODULE_PREFIX) :]
            number = self._modules[name] = self._store.intern_text(cls)
        self._note_time(start, end)
        self._store.add(MODULES, (start, end, read_thread(event["tid"]), number))

    def _add_kernel(self, event: dict[str, Any], category: str) -> None:
        start, end = read_short_interval(event)
        args, name, store = event.get("args", {}), event["name"], self._store
        number_and_kind = self._device_names.get(name)
        if number_and_kind is None:
            is_collective = _COLLECTIVE.search(name) is not None
            number_and_kind = self._device_names[name] = (store.intern_text(name), is_collective)
        number, is_collective = number_and_kind
        if category != "kernel":
            kind = COPY
        else:
            kind = COMMUNICATION if is_collective or "Collective name" in args else COMPUTE
        device = args.get("device", event.get("pid"))
        row = (
            start,
            end,
            device if is_integer(device) else 0,
            read_stream(args.get("stream", event.get("tid"))),
            read_optional_integer(args.get("correlation")),
            number,
            kind,
            read_optional_integer(args.get("graph node id")),
        )
        self._note_time(start, end)
        store.add(KERNELS, row)
        collective = read_collective(args) if kind == COMMUNICATION else None
        if collective is not None:
            group, sequence, size = collective
            store.add(
                COLLECTIVES, (row[4], end - start, store.intern_text(group), sequence, size, None)
            )

    def _add_memory(self, event: dict[str, Any]) -> None:
        args = event["args"]
        total = read_optional_integer(args.get("Total Allocated"))
        row = (
            read_time(event["ts"]),
            read_thread(event["tid"]),
            read_integer(args["Bytes"]),
            total,
            read_integer(args["Device Type"]),
        )
        self._store.add(MEMORY, row)

    def _note_time(self, start: int, end: int) -> None:
        if start < self._first:
            self._first = start
        if end > self._last:
            self._last = end
