"""Lanes: the order in which they are made, and that nothing keeps the recording alive."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

from autoinstr.report.timeline.lanes import MARKS, write_lanes
from tests.support.report_fakes import Event, FakeRecording


class Noted:
    """A lane that logs its calls. It takes ranges that begin after the previous one ended."""

    def __init__(self, noted: list[str], name: str) -> None:
        self.noted, self.name, self.until = noted, name, 0
        noted.append(f"make {name}")

    def add_ranges(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        rest = []
        for name, start, end in zip(names, starts, ends):
            if start < self.until:
                rest.append((name, start, end))
            else:
                self.until = end
        return rest

    def add_marks(self, names: Sequence[int], times: Sequence[int]) -> None:
        self.noted.append(f"mark {self.name}")

    def close(self) -> None:
        self.noted.append(f"finish {self.name}")


def test_a_thread_is_over_before_the_next_one_begins_and_lane_0_is_made_first() -> None:
    events = [
        Event(5, 5, kind="mark", message="m"),
        Event(6, 20),
        Event(7, 30),
        Event(8, 40),
        Event(6, 9, domain="user"),
        Event(1, 2, thread=2),
    ]
    noted: list[str] = []
    write_lanes(
        FakeRecording(events, block=9),
        lambda thread, domain, number: Noted(noted, f"{thread} {domain} {number}"),
    )  # type: ignore[arg-type]
    first = [
        "make 1 Module 0",
        f"make 1 Module {MARKS}",
        f"mark 1 Module {MARKS}",
        "make 1 Module 1",
        "make 1 Module 2",
        "make 1 user 0",
    ]
    done = [
        "finish 1 Module 0",
        f"finish 1 Module {MARKS}",
        "finish 1 Module 1",
        "finish 1 Module 2",
        "finish 1 user 0",
    ]
    assert noted == [*first, *done, "make 2 Module 0", "finish 2 Module 0"]


def test_what_made_the_lanes_is_let_go_without_a_collection() -> None:
    def laid() -> weakref.ref[object]:
        def make(thread: int, domain: str, number: int) -> Noted:
            return Noted([], domain)

        write_lanes(FakeRecording([Event(1, 20), Event(2, 30)]), make)  # type: ignore[arg-type]
        return weakref.ref(make)

    gc.disable()
    try:
        assert laid()() is None
    finally:
        gc.enable()
