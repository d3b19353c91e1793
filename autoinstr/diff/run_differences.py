"""List how two runs differ beside their times, and what is missing from each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.side import RunSide
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

MAX_WORDS = 8  # of a command line, or of a list of hosts or processes


class RunDifference(NamedTuple):
    """A property that is not the same in both runs; "" where a run does not have it."""

    name: str
    a: str
    b: str


PROPERTIES: dict[str, Callable[[Recording], str]] = {
    "host": lambda recording: recording.host,
    "emitter": lambda recording: recording.emitter,
    "platform": lambda recording: str(recording.header.get("platform") or ""),
}


def collect_versions(run: Run) -> dict[str, str]:
    """Return the versions by package; different versions in several processes are joined."""
    versions: dict[str, dict[str, None]] = {}
    for recording in run.recordings:
        for name, version in recording.versions.items():
            versions.setdefault(name, {})[str(version)] = None
    return {name: ", ".join(values) for name, values in versions.items()}


def list_differences(a: Run, b: Run) -> list[RunDifference]:
    """List the hosts, emitters, versions, process counts and command-line words that differ."""
    pairs = [
        (name, _join_values(a.recordings, get_value), _join_values(b.recordings, get_value))
        for name, get_value in PROPERTIES.items()
    ]
    versions_a, versions_b = collect_versions(a), collect_versions(b)
    pairs += [
        (name, versions_a.get(name, ""), versions_b.get(name, ""))
        for name in dict.fromkeys([*versions_a, *versions_b])
    ]
    pairs.append(("processes", f"{len(a.recordings)}", f"{len(b.recordings)}"))
    pairs.append(("command line", *_compare_command_lines(a, b)))
    return [RunDifference(*pair) for pair in pairs if pair[1] != pair[2]]


def list_problems(side: RunSide) -> Iterator[str]:
    """Yield what limits a side's figures: empty processes, unreadable files, and the notes of each
    process."""
    empty = [process.label for process in side.processes if not process.ranges]
    if empty and side.range_count:
        yield f"recorded nothing: {join_first(empty, '; ')}"
    for process in side.processes:
        yield from process.notes
    yield from side.run.problems
    for process in side.processes:
        # Without repetitions: each recording is read twice.
        yield from dict.fromkeys(process.recording.problems)


def describe_process_counts(comparison: Comparison) -> Iterator[str]:
    """Yield a line for each role that has more processes in one run than in the other."""
    for role in dict.fromkeys([*comparison.a.roles, *comparison.b.roles]):
        a, b = (
            len(side.roles[role].processes) if role in side.roles else 0
            for side in (comparison.a, comparison.b)
        )
        if a and b and a != b:
            yield (
                f"{role}: {text.format_count(a, 'process', 'processes')} in A, {b} in B: times per "
                "step are of one process, totals of all"
            )


def _join_values(recordings: Iterable[Recording], get_value: Callable[[Recording], str]) -> str:
    return join_first(dict.fromkeys(filter(None, map(get_value, recordings))))


def _compare_command_lines(a: Run, b: Run) -> tuple[str, str]:
    """Return the words that only one of the first processes has in its command line."""
    a_words, b_words = (
        Counter(run.recordings[0].argv) if run.recordings else Counter[str]() for run in (a, b)
    )
    return (
        join_first((a_words - b_words).elements(), " "),
        join_first((b_words - a_words).elements(), " "),
    )


def join_first(words: Iterable[str], separator: str = ", ") -> str:
    """Join the words; of more than `MAX_WORDS`, join the first ones and add "…"."""
    words = list(words)
    suffix = f"{separator}…" if len(words) > MAX_WORDS else ""
    return separator.join(words[:MAX_WORDS]) + suffix
