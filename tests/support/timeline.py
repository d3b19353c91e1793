"""What one process did, from its recording: ranges and marks of every domain, and how they nest."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from autoinstr.recording.reader import Recording


class Event(NamedTuple):
    """A range, or a mark (start == end)."""

    thread: int
    kind: str
    domain: str
    message: str
    start: int
    end: int
    path: str
    cls: str
    fields: dict[str, Any]


def timeline(recording: Recording) -> list[Event]:
    """Return all closed ranges and marks, thread by thread in order of start."""
    fields = {
        (thread, name, start): found for thread, name, start, found in recording.read_attributes()
    }
    found = []
    for thread, words in recording.read_blocks():
        for at in range(0, len(words), 3):
            name, (start, end) = recording.names[words[at]], words[at + 1 : at + 3]
            its = fields.get((thread, words[at], start), {})
            found.append(
                Event(
                    thread,
                    name.kind,
                    name.domain,
                    name.message,
                    start,
                    end,
                    name.path,
                    name.cls,
                    its,
                )
            )
    return found


def counts(events: list[Event], domain: str) -> Counter[str]:
    """Return how often each message of a domain occurs."""
    return Counter(one.message for one in events if one.domain == domain)


def called(events: list[Event], message: str, domain: str = "torch") -> list[Event]:
    """Return the events of one name."""
    return [one for one in events if one.message == message and one.domain == domain]


def inside(events: list[Event], outer: Event) -> list[Event]:
    """Return what began in the thread of `outer` while it ran."""
    return [
        one
        for one in events
        if one.thread == outer.thread
        and outer.start <= one.start <= one.end <= outer.end
        and one is not outer
    ]


def assert_nested(events: list[Event]) -> None:
    """Assert that two ranges of one thread nest or follow one another, in whatever domains they
    are.
    """
    running: dict[int, list[Event]] = {}
    for one in events:
        if one.kind != "range":
            continue
        its = running.setdefault(one.thread, [])
        while its and its[-1].end <= one.start:
            its.pop()
        assert not its or one.end <= its[-1].end, (its[-1], one)
        its.append(one)
