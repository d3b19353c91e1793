"""Read a run directory in the terms of the tests' programs (tests/programs/truth.py)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from autoinstr.recording.reader import Recording
from autoinstr.recording.run import open_run


class Range(NamedTuple):
    thread: int
    root: str
    path: str
    cls: str
    start: int
    end: int


def recordings(out: Path) -> list[Recording]:
    """Return all recordings of a run directory, none of them damaged; none if there is no such
    directory."""
    if not out.exists():
        return []
    run = open_run(str(out))
    assert not run.problems, run.problems
    for one in run.recordings:
        assert not one.problems, one.problems
        assert not one.dropped_count, f"{one.dropped_count} dropped"
    return run.recordings


def the_recording(out: Path) -> Recording:
    """Return the only recording of a run directory."""
    found = recordings(out)
    assert len(found) == 1, [one.file for one in found]
    return found[0]


def ranges(recording: Recording) -> list[Range]:
    """Return all closed ranges of modules, in order of start within a thread."""
    found = []
    for thread, words in recording.read_blocks():
        for at in range(0, len(words), 3):
            name = recording.names[words[at]]
            if name.domain != "Module":
                continue
            found.append(
                Range(thread, name.root, name.path, name.cls, words[at + 1], words[at + 2])
            )
    return found


class Named(NamedTuple):
    """A closed range or a mark that does not belong to a module, with its attributes."""

    thread: int
    message: str
    start: int
    end: int
    fields: dict[str, Any]


def named(recording: Recording, kind: str = "range") -> list[Named]:
    """Return all such ranges and marks, in order of start."""
    fields = {
        (thread, name, start): its for thread, name, start, its in recording.read_attributes()
    }
    found = []
    for thread, words in recording.read_blocks():
        for at in range(0, len(words), 3):
            name = recording.names[words[at]]
            if name.domain != "Module" and name.kind == kind:
                found.append(
                    Named(
                        thread,
                        name.message,
                        words[at + 1],
                        words[at + 2],
                        fields.get((thread, words[at], words[at + 1]), {}),
                    )
                )
    return sorted(found, key=lambda one: one.start)


def counts(found: list[Range], window: tuple[int, int] | None = None) -> dict[str, int]:
    """Map "root class|path|class" to the number of calls that started in the window (perf_counter
    nanoseconds)."""
    first, last = window or (0, 1 << 64)
    return dict(
        Counter(
            f"{one.root.split('#')[0]}|{one.path}|{one.cls}"
            for one in found
            if first <= one.start <= last
        )
    )


def assert_nested(found: list[Range]) -> None:
    """Assert that two ranges of a thread are nested or do not overlap."""
    threads: dict[int, list[Range]] = {}
    for one in found:
        threads.setdefault(one.thread, []).append(one)
    for its in threads.values():
        running: list[Range] = []
        for one in its:
            while running and running[-1].end <= one.start:
                running.pop()
            assert not running or one.end <= running[-1].end, (running[-1], one)
            running.append(one)
