"""Recordings with attributes and marks, written by the real writer: those of an engine and of its
front end."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from autoinstr.recording import format as f
from autoinstr.recording.writer import RecordingWriter


class Entry(NamedTuple):
    """One range (end None: open) or mark (kind "mark"), with its attributes."""

    start: int
    end: int | None
    message: str
    fields: dict[str, Any] | None = None
    thread: int = 0
    domain: str = "vllm"
    kind: str = "range"
    path: str = ""
    cls: str = ""
    root: str = "Model#1"


def mark(time: int, message: str, **fields: Any) -> Entry:
    """Return a mark as the runtime writes it."""
    return Entry(time, time, message, fields, kind="mark")


def write(
    directory: str,
    entries: list[Entry],
    *,
    pid: int = 1000,
    clock: tuple[int, int] = (1_795_389_621_000_000_000, 1_000),
    header: dict[str, Any] | None = None,
    full: str = "stop",
    max_bytes: int = 64 << 20,
    close: bool = True,
    annotate_first: bool = False,
) -> str:
    """Write one recording and return its file. Records go in order of start, attributes in order of
    end (or, with `annotate_first`, before any record); `clock` is its pair of wall clock and
    perf_counter."""
    os.makedirs(directory, exist_ok=True)
    head: dict[str, Any] = {
        "host": "host",
        "boot": "boot",
        "roles": ["MainProcess"],
        "emitter": "recorder",
        "argv": ["p"],
        "versions": {},
    }
    head.update(header or {})
    file = os.path.join(
        directory, f"{head['host']}-{pid}-{len(os.listdir(directory)):08x}{f.SUFFIX}"
    )
    writer = RecordingWriter(file, head, max_bytes=max_bytes, full=full)
    writer.words[f.H_PID] = pid
    names: dict[tuple[str, ...], int] = {}
    threads: dict[int, list[Any]] = {}

    def name_of(entry: Entry) -> int:
        key = (entry.kind, entry.domain, entry.message, entry.path, entry.cls, entry.root)
        if key not in names:
            names[key] = len(names) + 1
            more = (
                {"root": entry.root, "path": entry.path, "cls": entry.cls, "module": len(names)}
                if entry.cls
                else {}
            )
            kind, domain, message = key[:3]
            writer.define(
                {
                    "t": "name",
                    "id": names[key],
                    "kind": kind,
                    "domain": domain,
                    "message": message,
                    **more,
                }
            )
        return names[key]

    def thread_of(entry: Entry) -> list[Any]:
        if entry.thread not in threads:
            threads[entry.thread] = [
                writer.new_thread(4000 + entry.thread, f"thread-{entry.thread}"),
                0,
                None,
                None,
            ]
        return threads[entry.thread]

    def annotate(those: list[Entry]) -> None:
        for entry in those:
            if entry.fields is not None:
                writer.annotate(thread_of(entry)[0], name_of(entry), entry.start, entry.fields)

    by_end = sorted(entries, key=lambda entry: entry.start if entry.end is None else entry.end)
    if annotate_first:
        annotate(by_end)
    for entry in sorted(entries, key=lambda entry: entry.start):
        state = thread_of(entry)
        try:
            i, j, k = state[2]()
        except (TypeError, IndexError):
            state[2], state[3] = writer.allocate_slots(state[0], state[1])
            state[1] += 1
            i, j, k = state[2]()
        words = state[3]
        words[i], words[j], words[k] = name_of(entry), entry.start, entry.end or 0
    if not annotate_first:
        annotate(by_end)
    writer.set_state(f.STATE_ON)
    writer.words[f.H_START_WALL], writer.words[f.H_START_CLOCK] = clock
    if close:
        writer.close()
    return file


def step_of(
    start: int,
    step: str | None,
    phase: str,
    prefills: int,
    decodes: int,
    *,
    slow: int = 1,
    **more: Any,
) -> list[Entry]:
    """Return the entries of an EngineCore for one step of 100 ns, times `slow`, that is scheduled
    at `start`."""
    facts: dict[str, Any] = {
        "phase": phase,
        "tokens": 3 * prefills + decodes,
        "prefills": prefills,
        "decodes": decodes,
    }
    facts.update({"step": step} if step else {}, **more)
    scheduled = {
        **facts,
        "requests": [step.partition("@")[0]] if step else [],
        "running": prefills + decodes,
        "waiting": 1,
        "kv_usage": 0.25,
    }
    return [
        Entry(start, start + 10 * slow, "sched.schedule", scheduled),
        Entry(start + 90 * slow, start + 100 * slow, "sched.update_from_output", facts),
    ]


def work_of(start: int, step: str, phase: str, *, slow: int = 1) -> list[Entry]:
    """Return the entries of a Worker for one step."""
    facts = {"phase": phase, "step": step}
    return [
        Entry(start, start + 40 * slow, "worker.execute_model", facts),
        Entry(start + 1, start + 39 * slow, "runner.execute_model", facts),
        Entry(start + 2, start + 30 * slow, "model", None, domain="Module", path="", cls="Model"),
        Entry(start + 50 * slow, start + 55 * slow, "worker.sample_tokens", facts),
    ]
