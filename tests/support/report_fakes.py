"""Recordings in memory for tests of the reports: any interleaving of ranges, and damage that the
writer cannot be made to write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from autoinstr.recording.format import STATE_ON
from autoinstr.recording.reader import OpenRange, RangeName, ThreadInfo
from autoinstr.recording.run import Run


class Event(NamedTuple):
    """One range (end None: never ended) or mark."""

    start: int
    end: int | None
    path: str = ""
    cls: str = "Model"
    thread: int = 1
    domain: str = "Module"
    root: str = "Model#1"
    kind: str = "range"
    message: str | None = None
    fields: dict[str, Any] | None = None  # its attributes


class FakeRecording:
    """A stand-in for recording.reader.Recording, with all that reports use of it.

    `break_after` is a number of blocks and the error that is raised after them. Other keyword
    arguments replace attributes."""

    def __init__(
        self,
        events: Iterable[Event],
        *,
        block: int = 5,
        pid: int = 77,
        break_after: tuple[int, Exception] | None = None,
        **fields: Any,
    ) -> None:
        self.events = sorted(events, key=lambda event: (event.thread, event.start))
        self.capacity = len(self.events)
        self.file = f"/runs/one/host-{pid}-00000000.airec"
        self.pid = pid
        self.roles = ["MainProcess"]
        self.rank: int | None = None
        self.world_size: int | None = None
        self.host = "host"
        self.header: dict[str, Any] = {}
        self.emitter = "recorder"
        self.is_complete = True
        self.state = STATE_ON  # only asked of one that is not complete
        self.dropped_count = self.dropped_attributes_count = 0
        self.versions: dict[str, str] = {}
        self.argv: list[str] = []
        self.clock_pairs = [(1_795_389_621_000_000_123, 1_000), (0, 0)]
        self.problems: list[str] = []
        self.versions: dict[str, str] = {}
        self.argv = ["program"]
        self.targets: list[dict[str, Any]] = []
        self.excluded_classes: list[dict[str, Any]] = []
        self.__dict__.update(fields)
        self._block = block
        self._break_after = break_after
        self.names: dict[int, RangeName] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
        self.threads = {
            event.thread: ThreadInfo(event.thread, 4000 + event.thread, f"T{event.thread}")
            for event in self.events
        }
        for event in self.events:
            self.number(event)

    @property
    def role(self) -> str:
        return self.roles[0]

    def number(self, event: Event) -> int:
        message = f"{event.path}:{event.cls}" if event.message is None else event.message
        key = (event.kind, event.domain, message, event.root, event.path, event.cls)
        if key not in self._numbers:
            number = self._numbers[key] = 3 * len(self._numbers) + 1
            self.names[number] = RangeName(number, *key)
        return self._numbers[key]

    def read_blocks(self) -> Iterator[tuple[int, list[int]]]:
        for thread, words, _ in self.read_blocks_with_open_ranges():
            if words:
                yield thread, words

    def read_blocks_with_open_ranges(self) -> Iterator[tuple[int, list[int], list[OpenRange]]]:
        count = 0
        for thread in sorted(self.threads):
            mine = [event for event in self.events if event.thread == thread]
            for at in range(0, len(mine), self._block):
                if self._break_after is not None and count == self._break_after[0]:
                    raise self._break_after[1]
                count += 1
                block = mine[at : at + self._block]
                closed = [
                    word
                    for event in block
                    if event.end is not None
                    for word in (self.number(event), event.start, event.end)
                ]
                yield (
                    thread,
                    closed,
                    [
                        OpenRange(thread, self.number(one), one.start)
                        for one in block
                        if one.end is None
                    ],
                )

    def read_attributes(self) -> Iterator[tuple[int, int, int, dict[str, Any]]]:
        for event in sorted(
            self.events, key=lambda event: event.end if event.end is not None else event.start
        ):
            if event.fields is not None:
                yield event.thread, self.number(event), event.start, dict(event.fields)

    def find_open_ranges(self) -> list[OpenRange]:
        return [
            OpenRange(event.thread, self.number(event), event.start)
            for event in self.events
            if event.end is None
        ]


def run_of(*recordings: FakeRecording, problems: tuple[str, ...] = ()) -> Any:
    """Return a run of these fakes; its type is only loosely right."""
    return Run("/runs/one", list(recordings), list(problems))  # type: ignore[arg-type]


def slow(events: list[Event]) -> dict[tuple[Any, ...], dict[str, int]]:
    """Apply the definitions of stats.py one by one, in quadratic time."""
    threads = defaultdict(list)
    for event in events:
        threads[event.thread, event.domain].append(event)
    durations = defaultdict(list)
    own: dict[tuple[Any, ...], int] = defaultdict(int)
    for mine in threads.values():
        covered: dict[int, set[int]] = defaultdict(set)
        for at, event in enumerate(mine):
            around = [
                i
                for i in range(at)
                if mine[i].start <= event.start
                and event.end <= mine[i].end
                and event.start < mine[i].end
            ]
            if around:
                covered[around[-1]] |= set(range(event.start, event.end))
        for at, event in enumerate(mine):
            key = (event.thread, event.domain, event.path, event.cls)
            durations[key].append(event.end - event.start)
            own[key] += len(set(range(event.start, event.end)) - covered[at])
    figures = {}
    for key, all_of_them in durations.items():
        ordered = sorted(all_of_them)
        rank = {
            p: next(
                d for d in ordered if sum(x <= d for x in ordered) >= p / 100 * len(ordered) - 1e-9
            )
            for p in (50, 99)
        }
        figures[key] = {
            "calls": len(ordered), "total": sum(ordered), "self": own[key],
            "min": ordered[0], "p50": rank[50], "p99": rank[99], "max": ordered[-1],
        }  # fmt: skip
    return figures


def layered_run() -> FakeRecording:
    """A model of four equal layers, one of them slow, in a process that was killed."""
    events = [Event(0, 100_000, "", "Net")]
    for layer in range(4):
        start = 20_000 * layer + 1
        end = start + (18_000 if layer == 2 else 2_000)
        events.append(Event(start, end, f"layers.{layer}", "Layer"))
    return FakeRecording(events, is_complete=False)
