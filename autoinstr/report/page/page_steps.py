"""What a page calls a step: vLLM's engine steps; without them the steps of an optimizer, or the
outermost module calls of one thread.

All three are columns: `start` and `duration` in nanoseconds from the run's first range (duration
null: not seen), `phase` an index into `kinds`. Runs with very many steps keep the slowest of each
few, and say so."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.blocks import Tick, no_tick, readable_blocks, title
from autoinstr.analysis.processes import MODULES
from autoinstr.analysis.serving_summary import PHASES
from autoinstr.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.steps import Step
    from autoinstr.recording.reader import OpenRange, Recording

MOST_STEPS = 100_000  # in one page
MOST_KINDS = 6  # outermost modules that are told apart
OPTIMIZER_DOMAIN, OPTIMIZER_MARK = "torch", "step"
MORE_COLUMNS = (
    "tokens", "requests", "prefills", "decodes", "running", "waiting", "kv_usage", "schedule_ns", "execute_ns", "sample_ns", "update_ns",
    "gap_ns",
)  # fmt: skip


class Units(NamedTuple):
    """Steps of whatever sort: `sort` is engine, optimizer, call or none; `kinds` are the names of
    what `kind` counts (phases, modules); times are nanoseconds, `starts` from 1970 on or, of one
    process, of its perf_counter; a length of -1 was not seen. `never_ended`: the last one had not
    ended when the process did, and its length is that up to the last thing recorded."""

    sort: str
    kinds: list[str]
    kind: Sequence[int]
    starts: Sequence[int]
    lengths: Sequence[int]
    never_ended: bool = False


NONE = Units("none", [], (), (), ())


def engine_units(steps: Sequence[Step]) -> Units:
    """vLLM's steps, each of its phase. One without an end lasts as long as its known parts."""
    there = {step.phase or "unknown" for step in steps}
    kinds = [*(phase for phase in PHASES if phase in there), *sorted(there.difference(PHASES))]
    index = {kind: at for at, kind in enumerate(kinds)}
    kind = [index[step.phase or "unknown"] for step in steps]
    return Units(
        "engine", kinds, kind, [step.start_ns for step in steps], list(map(_length, steps))
    )


def _length(step: Step) -> int:
    """Whole, or as far as its parts were seen."""
    if step.duration_ns is not None:
        return step.duration_ns
    parts = [
        part
        for part in (step.schedule_ns, step.execute_ns, step.sample_ns, step.update_ns)
        if part is not None
    ]
    return sum(parts) if parts else -1


def process_units(recording: Recording, tick: Tick = no_tick) -> Units:
    """Optimizer steps of one process where it marked some, else the outermost calls of the thread
    with the most time in such. Memory: 24 bytes a step."""
    modules = {
        number for number, name in recording.names.items() if name.domain == MODULES or name.cls
    }
    marks = {
        number
        for number, name in recording.names.items()
        if name.kind == "mark" and (name.domain, name.message) == (OPTIMIZER_DOMAIN, OPTIMIZER_MARK)
    }
    threads: dict[int, _Thread] = {}
    for one in recording.open_ranges():
        if one.name in modules and one.thread not in threads:  # the outermost comes first
            threads[one.thread] = _Thread(one)
    for thread, words in readable_blocks(recording):
        threads.setdefault(thread, _Thread()).take(
            words[0::3], words[1::3], words[2::3], modules, marks
        )
        tick(0)  # they were counted before
    last = max((one.last for one in threads.values()), default=0)
    for mine in threads.values():
        mine.finish(last)
    marked = max(threads.values(), key=lambda one: len(one.marks), default=None)
    if marked is not None and marked.marks:
        starts = array("Q", [marked.first, *marked.marks[:-1]])
        lengths = array("q", [end - start for start, end in zip(starts, marked.marks)])
        return Units("optimizer", ["optimizer step"], bytes(len(starts)), starts, lengths)
    busiest = max(threads.values(), key=lambda one: sum(one.lengths), default=None)
    return NONE if busiest is None or not busiest.starts else _calls(recording, busiest)


class _Thread:
    """Outermost calls and optimizer marks of one thread. `open_range` is the outermost that never
    ended."""

    def __init__(self, open_range: OpenRange | None = None) -> None:
        self.open_range = open_range
        self.first = self.last = 0
        self.end = 0
        self.names, self.starts, self.lengths, self.marks = (
            array("Q"),
            array("Q"),
            array("q"),
            array("Q"),
        )

    def take(
        self,
        names: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        modules: set[int],
        marks: set[int],
    ) -> None:
        """Add the next records, jumping over all that lies within an outermost call."""
        self.first = self.first or starts[0]
        self.last = max(self.last, max(ends))
        if not marks.isdisjoint(names):
            self.marks.extend(start for name, start in zip(names, starts) if name in marks)
        at = bisect_left(starts, self.end)
        stop = (
            len(starts)
            if self.open_range is None
            else bisect_left(starts, self.open_range.start_ns)
        )
        while at < stop:
            if names[at] not in modules:
                at += 1
                continue
            self.names.append(names[at])
            self.starts.append(starts[at])
            self.lengths.append(ends[at] - starts[at])
            self.end = max(ends[at], starts[at] + 1)
            at = bisect_left(starts, self.end, at)

    def finish(self, last: int) -> None:
        """Add the call that never ended, up to the last thing that the process recorded."""
        if self.open_range is not None:
            self.names.append(self.open_range.name)
            self.starts.append(self.open_range.start_ns)
            self.lengths.append(max(0, last - self.open_range.start_ns))


def _calls(recording: Recording, thread: _Thread) -> Units:
    titles = {number: printable(title(recording.names[number])) for number in set(thread.names)}
    common = [
        one for one, _ in Counter(titles[number] for number in thread.names).most_common(MOST_KINDS)
    ]
    kinds = [*common, *(["others"] if len(set(titles.values())) > MOST_KINDS else [])]
    index = {
        number: common.index(one) if one in common else len(common)
        for number, one in titles.items()
    }
    kind = bytes(index[number] for number in thread.names)
    return Units("call", kinds, kind, thread.starts, thread.lengths, thread.open_range is not None)


def shown(units: Units) -> list[int]:
    """The steps that the page has: all, or of each few that follow one another the slowest."""
    every = -(-len(units.starts) // MOST_STEPS)
    if every <= 1:
        return list(range(len(units.starts)))
    return [
        max(range(at, min(at + every, len(units.starts))), key=units.lengths.__getitem__)
        for at in range(0, len(units.starts), every)
    ]


def steps_entry(
    units: Units, kept: Sequence[int], offset_ns: int, steps: Sequence[Step] = ()
) -> dict[str, Any]:
    """The columns of the steps that are kept; `offset_ns` is taken from every start. `steps` are
    the same engine steps, whole."""
    more = (
        {column: [getattr(steps[at], column) for at in kept] for column in MORE_COLUMNS}
        if steps
        else {}
    )
    return {
        "sort": units.sort,
        "of": len(units.starts),
        "never_ended": units.never_ended,
        "kinds": units.kinds,
        "index": list(kept) if len(kept) < len(units.starts) else None,
        "kind": [units.kind[at] for at in kept],
        "start": [units.starts[at] - offset_ns for at in kept],
        "duration": [None if units.lengths[at] < 0 else units.lengths[at] for at in kept],
        "partly": [
            place for place, at in enumerate(kept) if steps and steps[at].duration_ns is None
        ],
        **{
            column: values
            for column, values in more.items()
            if any(value is not None for value in values)
        },
    }
