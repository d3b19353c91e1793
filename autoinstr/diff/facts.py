"""What is known of the two runs beside their times: how they differ, and what of them is
missing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.side import Side
    from autoinstr.recording.reader import Recording, Run

MOST_WORDS = 8  # of a command line, hosts, processes


class Difference(NamedTuple):
    """Something that is not the same in both runs ("": a run does not have it)."""

    what: str
    a: str
    b: str


FACTS: dict[str, Callable[[Recording], str]] = {
    "host": lambda one: one.host,
    "emitter": lambda one: one.emitter,
    "platform": lambda one: str(one.header.get("platform") or ""),
}


def versions(run: Run) -> dict[str, str]:
    """Versions by name, of all processes; several are joined."""
    found: dict[str, dict[str, None]] = {}
    for recording in run.recordings:
        for name, version in recording.versions.items():
            found.setdefault(name, {})[str(version)] = None
    return {name: ", ".join(several) for name, several in found.items()}


def differences(a: Run, b: Run) -> list[Difference]:
    """Versions, hosts, emitters, numbers of processes and words of the command lines that differ:
    what may explain the rest."""
    pairs = [
        (name, *(_all(run.recordings, fact) for run in (a, b))) for name, fact in FACTS.items()
    ]
    both = versions(a), versions(b)
    pairs += [
        (name, *(one.get(name, "") for one in both)) for name in dict.fromkeys([*both[0], *both[1]])
    ]
    pairs.append(("processes", *(f"{len(run.recordings)}" for run in (a, b))))
    pairs.append(("command line", *_words(a, b)))
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def missing(side: Side) -> Iterator[str]:
    """What to know before believing a side's figures: processes that are not there, what could not
    be read, what each process says."""
    silent = [one.label for one in side.processes if not one.ranges]
    if silent and side.ranges:
        yield f"recorded nothing: {first_of(silent, '; ')}"
    for one in side.processes:
        yield from one.notes
    yield from side.run.problems
    for one in side.processes:
        yield from dict.fromkeys(one.recording.problems)  # what breaks off was read twice


def process_counts(found: Comparison) -> Iterator[str]:
    """Roles that have more processes on one side."""
    for label in dict.fromkeys([*found.a.roles, *found.b.roles]):
        a, b = (
            len(side.roles[label].processes) if label in side.roles else 0
            for side in (found.a, found.b)
        )
        if a and b and a != b:
            yield f"{label}: {text.count(a, 'process', 'processes')} in A, {b} in B: times per step are of one process, totals of all"


def _all(recordings: Iterable[Recording], fact: Callable[[Recording], str]) -> str:
    return first_of(dict.fromkeys(filter(None, map(fact, recordings))))


def _words(a: Run, b: Run) -> tuple[str, str]:
    """The words of the first process's command line that the other's lacks."""
    lines = [
        Counter(run.recordings[0].argv) if run.recordings else Counter[str]() for run in (a, b)
    ]
    return first_of((lines[0] - lines[1]).elements(), " "), first_of(
        (lines[1] - lines[0]).elements(), " "
    )


def first_of(words: Iterable[str], between: str = ", ") -> str:
    """The words, or the first of very many."""
    known = list(words)
    return between.join(known[:MOST_WORDS]) + (f"{between}…" if len(known) > MOST_WORDS else "")
