"""The steps of a page: vLLM's engine steps, else optimizer steps, else outermost module calls.

Outermost module calls are those of one thread. The page gets columns: `start` and `duration` in
nanoseconds (a duration of null was not recorded), and `kind`, an index into `kinds`. A run with
very many steps keeps the slowest step of each group of consecutive steps, and the page says so.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.blocks import ProgressTick, format_title, ignore_tick, read_intact_blocks
from autoinstr.analysis.processes import MODULE_DOMAIN
from autoinstr.analysis.serving_summary import PHASE_ORDER
from autoinstr.base.text import escape_unprintable
from autoinstr.report.page.outermost_calls import ThreadSteps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.engine_step import EngineStep
    from autoinstr.recording.reader import Recording

MAX_STEPS = 100_000  # in one page
MAX_KINDS = 6  # outermost modules with a kind of their own
OPTIMIZER_DOMAIN, OPTIMIZER_MARK = "torch", "step"
ENGINE_COLUMNS = (
    "tokens", "requests", "prefills", "decodes", "running", "waiting", "kv_usage",
    "schedule_ns", "execute_ns", "sample_ns", "update_ns", "gap_ns",
)  # fmt: skip


class PageSteps(NamedTuple):
    """The steps of a run.

    `source` is engine, optimizer, call or none. `kinds` are names (phases or modules), and `kind`
    has the index of each step's name. `starts` are nanoseconds since 1970, or of the perf_counter
    of one process. A duration of -1 was not recorded. If `never_ended`, the last step was still
    running when the process ended; its duration is up to the last recorded time.
    """

    source: str
    kinds: list[str]
    kind: Sequence[int]
    starts: Sequence[int]
    durations: Sequence[int]
    never_ended: bool = False


NO_STEPS = PageSteps("none", [], (), (), ())


def make_engine_steps(engine_steps: Sequence[EngineStep]) -> PageSteps:
    """Return vLLM's steps; their kind is the phase."""
    phases = {step.phase or "unknown" for step in engine_steps}
    kinds = [phase for phase in PHASE_ORDER if phase in phases]
    kinds += sorted(phases.difference(PHASE_ORDER))
    index_of_kind = {kind: index for index, kind in enumerate(kinds)}
    return PageSteps(
        "engine",
        kinds,
        [index_of_kind[step.phase or "unknown"] for step in engine_steps],
        [step.start_ns for step in engine_steps],
        list(map(_estimate_duration, engine_steps)),
    )


def _estimate_duration(step: EngineStep) -> int:
    """Return the duration of a step, or of the recorded parts of a step without an end."""
    if step.duration_ns is not None:
        return step.duration_ns
    durations = (step.schedule_ns, step.execute_ns, step.sample_ns, step.update_ns)
    recorded_durations = [duration for duration in durations if duration is not None]
    return sum(recorded_durations) if recorded_durations else -1


def read_process_steps(recording: Recording, tick: ProgressTick = ignore_tick) -> PageSteps:
    """Return the optimizer steps of one process, or its outermost module calls.

    The calls are those of the thread with the most time in such calls. Memory: 24 bytes a step.
    """
    modules = {
        number
        for number, name in recording.names.items()
        if name.domain == MODULE_DOMAIN or name.cls
    }
    marks = {
        number
        for number, name in recording.names.items()
        if name.kind == "mark" and (name.domain, name.message) == (OPTIMIZER_DOMAIN, OPTIMIZER_MARK)
    }
    threads: dict[int, ThreadSteps] = {}
    for open_range in recording.find_open_ranges():
        # The outermost range of a thread comes first.
        if open_range.name in modules and open_range.thread not in threads:
            threads[open_range.thread] = ThreadSteps(open_range)
    for thread, words in read_intact_blocks(recording):
        thread_steps = threads.setdefault(thread, ThreadSteps())
        thread_steps.add_block(words[0::3], words[1::3], words[2::3], modules, marks)
        tick(0)  # the first pass counted them
    last_time = max((thread.last for thread in threads.values()), default=0)
    for thread_steps in threads.values():
        thread_steps.add_open_call(last_time)
    marked = max(threads.values(), key=lambda thread: len(thread.marks), default=None)
    if marked is not None and marked.marks:
        starts = array("Q", [marked.first, *marked.marks[:-1]])
        durations = array("q", [end - start for start, end in zip(starts, marked.marks)])
        return PageSteps("optimizer", ["optimizer step"], bytes(len(starts)), starts, durations)
    busiest = max(threads.values(), key=lambda thread: sum(thread.durations), default=None)
    if busiest is None or not busiest.starts:
        return NO_STEPS
    return _make_call_steps(recording, busiest)


def _make_call_steps(recording: Recording, thread: ThreadSteps) -> PageSteps:
    """Return outermost calls as steps. The kind is the module; rare modules share "others"."""
    titles = {
        number: escape_unprintable(format_title(recording.names[number]))
        for number in set(thread.names)
    }
    counts = Counter(titles[number] for number in thread.names)
    frequent_titles = [title for title, _ in counts.most_common(MAX_KINDS)]
    kinds = [*frequent_titles, *(["others"] if len(counts) > MAX_KINDS else [])]
    kind_of_name = {
        number: frequent_titles.index(title) if title in frequent_titles else len(frequent_titles)
        for number, title in titles.items()
    }
    kind = bytes(kind_of_name[number] for number in thread.names)
    never_ended = thread.open_range is not None
    return PageSteps("call", kinds, kind, thread.starts, thread.durations, never_ended)


def choose_shown_steps(steps: PageSteps) -> list[int]:
    """Return the steps of the page: all, or the slowest of each group of consecutive steps."""
    count = len(steps.starts)
    group_size = -(-count // MAX_STEPS)
    if group_size <= 1:
        return list(range(count))
    return [
        max(range(first, min(first + group_size, count)), key=steps.durations.__getitem__)
        for first in range(0, count, group_size)
    ]


def build_steps_entry(
    steps: PageSteps,
    shown_steps: Sequence[int],
    origin_ns: int,
    engine_steps: Sequence[EngineStep] = (),
) -> dict[str, Any]:
    """Return the columns of the shown steps.

    Starts count from `origin_ns`. `engine_steps` are all of vLLM's steps; they add columns.
    """
    engine_columns: dict[str, list[Any]] = {}
    if engine_steps:
        engine_columns = {
            column: [getattr(engine_steps[number], column) for number in shown_steps]
            for column in ENGINE_COLUMNS
        }
    return {
        "sort": steps.source,
        "of": len(steps.starts),
        "never_ended": steps.never_ended,
        "kinds": steps.kinds,
        "index": list(shown_steps) if len(shown_steps) < len(steps.starts) else None,
        "kind": [steps.kind[number] for number in shown_steps],
        "start": [steps.starts[number] - origin_ns for number in shown_steps],
        "duration": [
            None if steps.durations[number] < 0 else steps.durations[number]
            for number in shown_steps
        ],
        "partly": [
            position
            for position, number in enumerate(shown_steps)
            if engine_steps and engine_steps[number].duration_ns is None
        ],
        **{
            column: values
            for column, values in engine_columns.items()
            if any(value is not None for value in values)
        },
    }
