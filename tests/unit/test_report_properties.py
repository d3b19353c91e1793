"""Every figure of the reports against a slow computation of what docs/reference/json.md says,
over files that the real writer wrote.

The other side shares no code with reports or reader: tests/support/slow_recording.py reads the
bytes, tests/support/slow_report.py adds up."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.figures import Figures
from autoinstr.analysis.processes import read_processes
from autoinstr.analysis.runs import find_run
from autoinstr.analysis.serving import ServingCollector
from autoinstr.analysis.tree import Node
from autoinstr.recording import format as f
from autoinstr.report.formats import FORMATS
from autoinstr.report.options import TableOptions
from tests.conftest import REPO, clean_environment
from tests.support.annotated import Entry, write
from tests.support.examples import QUICK, scale_examples
from tests.support.slow_recording import Read, read
from tests.support.slow_report import (
    ASYNCHRONOUS,
    WAITING,
    Call,
    SlowTimes,
    calls_of,
    folded,
    rows_of,
    sum_pieces,
)

FIGURES = ("calls", "total_ns", "self_ns", "min_ns", "p50_ns", "p99_ns", "max_ns")
PHASES = ("prefill", "decode", "mixed")
PATHS = ("", "norm", "layers.0", "layers.1", "layers.2", "layers.1.mlp", "layers.2.mlp", *(
    f"layers.{layer}.experts.{expert}" for layer in range(3) for expert in (0, 1, 5)
), "layers.0.experts.0.proj", "layers.1.experts.5.proj", "layers.2.experts.1.proj")  # fmt: skip


class Choice:
    """The source of random numbers for an example: hypothesis, which shrinks failing examples, or
    a seed, which makes examples of any size."""

    def __init__(self, integer: Callable[[int, int], int]) -> None:
        self.integer = integer

    def of(self, values: Sequence[Any]) -> Any:
        return values[self.integer(0, len(values) - 1)]

    def entry(self) -> Entry:
        start, thread = self.integer(1, 60), self.integer(0, 2)
        length = self.of([self.integer(0, 40), self.integer(0, 40), self.integer(0, 3), 0, None])
        fields = {"phase": phase} if (phase := self.of([None, None, None, *PHASES])) else None
        end = None if length is None else start + length
        kind = self.of(["module"] * 6 + ["function", "function", "mark"])
        if kind == "module":
            path, root, cls = (
                self.of(PATHS),
                self.of(["Net#1"] * 4 + ["Net#2", "Other#3"]),
                self.of(["A"] * 5 + ["B"]),
            )
            return Entry(
                start, end, f"{path}:{cls}", fields, thread, "Module", "range", path, cls, root
            )
        if kind == "function":
            message = self.of(["step", "load", *WAITING, *ASYNCHRONOUS])
            return Entry(start, end, message, fields, thread, "vllm")
        return Entry(start, start, "here", None, thread, "vllm", "mark")


@st.composite
def drawn(draw: st.DrawFn) -> Entry:
    return Choice(lambda low, high: draw(st.integers(low, high))).entry()


def seeded(seed: int, size: int) -> list[Entry]:
    choice = Choice(random.Random(seed).randint)
    return [choice.entry() for _ in range(size)]


def told_apart(entries: list[Entry]) -> list[Entry]:
    """Attributes name a range by thread, name and start: such a range begins alone on its thread.
    So does one that never ended: which of two begins first is a matter of the record's place, and
    only for closed ranges does docs/reference/json.md say nothing else."""
    crowds = Counter((one.thread, one.start) for one in entries)
    alone = [one for one in entries if crowds[one.thread, one.start] == 1]
    return [
        *alone,
        *(
            one._replace(fields=None)
            for one in entries
            if crowds[one.thread, one.start] > 1 and one.end is not None
        ),
    ]


ENTRIES = st.one_of(
    st.lists(drawn(), max_size=8),
    *[st.builds(seeded, st.integers(0, 1 << 40), st.integers(10, 90))] * 3,
).map(told_apart)


def truth(file: str) -> tuple[Read, list[Call]]:
    found = read(Path(file).read_bytes())
    return found, calls_of(found)


def reported(directory: str) -> dict[str, Any]:
    out = BytesIO()
    FORMATS["json"].write(find_run(directory), out, TableOptions(), lambda count: None)
    loaded: dict[str, Any] = json.loads(out.getvalue())
    return loaded


def check_json(directory: str) -> int:
    """Check rows, marks and open ranges of every recording; return the number of rows."""
    report = reported(directory)
    expected: dict[Any, Any] = {}
    marks: Counter[Any] = Counter()
    still_open: list[Any] = []
    for at, process in enumerate(report["processes"]):
        file, calls = truth(process["file"])
        expected.update(
            {
                (at, file.threads[key[0]], *key[1:]): figures
                for key, figures in rows_of(calls).items()
            }
        )
        last = max((max(one.start, one.end) for one in file.records), default=0)
        for one in file.records:
            name = file.names[one.number]
            if name.kind == "mark":
                marks[at, file.threads[one.thread], name.message] += 1
            elif not one.end:
                still_open.append(
                    (at, file.threads[one.thread], name.path, name.message, last - one.start)
                )
        assert process["dropped"] == file.dropped
    found = {}
    for row in report["rows"]:
        key = tuple(
            row[column] for column in ("domain", "root", "path", "class", "message", "phase")
        )
        found[(row["process"], row["thread"]["tid"], *key)] = {
            column: row[column] for column in FIGURES
        }
    assert len(found) == len(report["rows"])
    assert found == expected
    assert {
        (one["process"], one["thread"]["tid"], one["message"]): one["count"]
        for one in report["marks"]
    } == marks
    opened = [
        (one["process"], one["thread"]["tid"], one["path"], one["message"], one["at_least_ns"])
        for one in report["open"]
    ]
    assert sorted(opened) == sorted(still_open)
    return len(found)


def sums(by_phase: dict[str | None, Figures]) -> dict[str | None, tuple[int, int, int]]:
    return {phase: (one.calls, one.total_ns, one.self_ns) for phase, one in by_phase.items()}


def lines_below(node: Node, above: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for child in node.children.values():
        path = (*above, child.name)
        if child.calls:
            members = {number: sums(by_phase) for number, by_phase in child.members.items()}
            yield path, frozenset(child.classes), sums(child.phases), members
        yield from lines_below(child, path)


def in_order(lines: Any) -> list[str]:
    """Return a value to compare, independent of the order of lines, classes, phases and members."""

    def sorted_dict(value: Any) -> Any:
        if isinstance(value, dict):
            return sorted((str(key), sorted_dict(one)) for key, one in value.items())
        return sorted(value) if isinstance(value, frozenset) else value

    return sorted(repr([sorted_dict(part) for part in line]) for line in lines)


def check_processes(directory: str, durations: bool) -> None:
    """Check the input of the table and the page: sums, the time inside ranges, phases, folded
    lines and their members."""
    run = find_run(directory)
    for process in read_processes(run, ServingCollector(run), durations=durations):
        _, calls = truth(process.recording.file)
        assert (process.ranges, process.threads) == (len(calls), len({one.thread for one in calls}))
        phases = {call.phase for call in calls}
        slow = SlowTimes(calls)
        busy = slow.busy(phases).values()
        assert process.inside_ns == sum_pieces(slow.inside(calls))
        assert process.busy_ns == sum_pieces(*busy)
        assert process.thread_busy_ns == sum(map(sum_pieces, busy))
        assert process.phases == {
            phase or "none": (
                sum(call.phase == phase for call in calls),
                sum_pieces(*slow.busy({phase}).values()),
            )
            for phase in phases
        }
        assert set(process.domains) == {one.name.domain for one in calls}
        for domain, tree in process.domains.items():
            expected = [
                (path, *line)
                for path, line in folded([one for one in calls if one.name.domain == domain])
            ]
            assert in_order(lines_below(tree)) == in_order(expected)


@settings(max_examples=scale_examples(150))
@given(st.lists(ENTRIES, min_size=1, max_size=2), st.booleans(), st.booleans())
def test_whole_and_killed_recordings(
    processes: list[list[Entry]], killed: bool, durations: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for pid, entries in enumerate(processes, 1):
            file = write(directory, entries, pid=pid, close=not killed)
            # The second reader itself: it finds what was written, in order.
            found, written = (
                read(Path(file).read_bytes()),
                sorted(entries, key=lambda one: one.start),
            )
            for thread, tid in found.threads.items():
                mine = [
                    (found.names[one.number].message, one.start, one.end)
                    for one in found.records
                    if one.thread == thread
                ]
                assert mine == [
                    (one.message, one.start, one.end or 0)
                    for one in written
                    if one.thread == tid - 4000
                ]
        if any(processes):
            check_json(directory)
        check_processes(directory, durations)


@settings(max_examples=scale_examples(150))
@given(
    ENTRIES.filter(bool), st.one_of(st.integers(f.HEADER_BYTES, 7_000), st.integers(69_000, 76_000))
)
def test_recordings_cut_off_at_any_byte(entries: list[Entry], keep: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(write(directory, entries, annotate_first=True))
        used = int.from_bytes(file.read_bytes()[8 * f.H_USED : 8 * f.H_USED + 8], "little")
        os.truncate(file, min(keep, used))
        if calls_of(read(file.read_bytes())):
            check_json(directory)
        check_processes(directory, durations=True)


def long_run(seed: int, count: int) -> list[Entry]:
    """Return nested calls of three threads, with some overlapping calls and steps with phases."""
    choose = random.Random(seed)
    entries: list[Entry] = []
    for thread in range(3):
        now = 1 + thread

        def call(depth: int, thread: int = thread) -> None:
            nonlocal now
            start = now
            now += choose.randrange(1, 5)
            for _ in range(choose.randrange(4) if depth < 5 else 0):
                call(depth + 1)
            now += choose.randrange(5)
            path = choose.choice(PATHS)
            entries.append(
                Entry(start, now, f"{path}:A", None, thread, "Module", "range", path, "A")
            )

        while len(entries) < count * (thread + 1) // 3:
            begun = now
            now += 1
            call(0)
            if choose.random() < 0.1:
                entries.append(
                    Entry(
                        begun,
                        now + choose.randrange(3),
                        "step",
                        {"phase": choose.choice(PHASES)},
                        thread,
                    )
                )
            if choose.random() < 0.1:
                now += 1
                entries.append(Entry(now, now + choose.randrange(1, 40), "async", None, thread))
                now += 1
    return entries


@pytest.mark.parametrize("full", ["ring", "stop"])
@pytest.mark.parametrize("seed", [1] if QUICK else [1, 2])
def test_full_recordings_and_rings(tmp_path: Path, full: str, seed: int) -> None:
    entries = long_run(seed, 60_000)
    if full == "stop":
        entries = [
            one._replace(fields=None) for one in entries
        ]  # who may drop attributes is the runtime, not the writer
    file = write(str(tmp_path), entries, full=full, max_bytes=1 << 20)
    left = read(Path(file).read_bytes())
    assert 10_000 < len(left.records) < 50_000 and left.dropped > 10_000
    assert check_json(str(tmp_path)) > 20
    check_processes(str(tmp_path), durations=False)


# Records until it is killed: two threads, calls in calls, some of a step's.
ENDLESS = """
import sys, threading, time
from autoinstr.recording import format as f
from autoinstr.recording.writer import RecordingWriter
writer = RecordingWriter(sys.argv[1], {"host": "host"}, max_bytes=64 << 20)
writer.set_state(f.STATE_ON)
for number, path in enumerate(("", "layers.0", "layers.1", "layers.1.mlp"), 1):
    texts = {"message": path or "Net", "root": "Net#1", "path": path, "cls": "Net"}
    writer.define({"t": "name", "id": number, "domain": "Module", **texts})
clock = time.perf_counter_ns

def record(tid):
    thread = writer.new_thread(tid, "")
    generation = 0
    def slots():
        nonlocal generation
        while True:
            take, words = writer.allocate_slots(thread, generation)
            generation += 1
            while True:
                try:
                    yield words, take()
                except IndexError:
                    break
    free = slots()
    def call(number):
        words, (i, j, k) = next(free)
        words[i], words[j] = number, clock()
        if number < 4:
            call(number + 1)
            if number == 2:
                call(4)
        words[k] = clock()
    words, (i, _, _) = next(free)
    # This range never ends. Without it, a kill between two calls would leave no open range.
    words[i], words[i + 1] = 1, clock()
    call(2)
    recorded.release()
    while True:
        call(2)

recorded = threading.Semaphore(0)
for tid in (1, 2):
    threading.Thread(target=record, args=(tid,), daemon=True).start()
for tid in (1, 2):
    recorded.acquire()
print("running", flush=True)
time.sleep(60)
"""


def test_a_process_killed_while_it_records(tmp_path: Path) -> None:
    file = tmp_path / f"host-1-00000000{f.SUFFIX}"
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(file)],
        stdout=subprocess.PIPE,
        env=clean_environment(PYTHONPATH=str(REPO)),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"running\n"
        while file.stat().st_size < 1 << 18:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    left = read(file.read_bytes())
    assert len(left.threads) == 2 and len(left.records) > 1000
    assert any(not one.end for one in left.records)
    check_json(str(tmp_path))
    check_processes(str(tmp_path), durations=False)
