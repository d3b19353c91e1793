"""The sums of each process of a run: its folded module trees, one for each domain, and its
problems.

Tables and pages are made from these. A process's recording is read once, by a task that may run on
another machine, and only its folded trees are kept."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.compiled_summary import CompiledSummary
from autoinstr.analysis.device_rows import list_process_devices
from autoinstr.analysis.labels import count_hosts, format_process_label
from autoinstr.analysis.phase_names import NO_PHASE, is_in_phase
from autoinstr.analysis.process_notes import OpenThread, describe_problems, list_open_threads
from autoinstr.analysis.stats import collect_stats
from autoinstr.analysis.tree import Node, build_tree, fold_tree
from autoinstr.targets.step_parts import BACKWARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.analysis.device_rows import ProcessDevice, RunDevice
    from autoinstr.analysis.serving import ServingCollector
    from autoinstr.analysis.stats import RecordingStats, StatsRow
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

BACKWARD_SUFFIX = ":backward"  # of the domain of layers in a compiled backward
MODULE_DOMAIN = "Module"  # the domain of modules, unless the option `domain` says otherwise
# What recording costs the program, in nanoseconds (docs/internals/benchmarks.md: 0.95 × floor, 1.70
# × floor, a step's attributes).
MODULE_COST_NS, FUNCTION_COST_NS, ATTRIBUTES_COST_NS = 230, 630, 4_000


class Process:
    """The sums of one process. Times are in nanoseconds.

    `ranges`, `threads` and all times are those of the selected phase. `phases` has, for every
    phase, the number of ranges and the busy time in them. `still_open` is the number of ranges
    without an end. `inside_ns` is the time inside ranges: the union of all threads and domains.
    `busy_ns` is its part that is work, not waiting (inside_time.py). `thread_busy_ns` is the sum of
    the busy time of each thread. `cost_ns` is an estimate of the time that recording took.
    `first_ns` and `last_ns` are times of the recording's perf_counter; None without ranges. `notes`
    are the lines of `describe_problems`, once `add_notes` was called."""

    def __init__(self, index: int, recording: Recording, label: str) -> None:
        self.index = index
        self.recording = recording
        self.label = label
        self.ranges = 0
        self.threads = 0
        self.busy_ns = 0
        self.inside_ns = 0
        self.thread_busy_ns = 0
        self.cost_ns = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.still_open = 0
        self.open_threads: list[OpenThread] = []
        self.domains: dict[str, Node] = {}
        self.phases: dict[str, tuple[int, int]] = {}
        self.compiled = CompiledSummary(recording)
        self.notes: list[str] = []
        self.device: ProcessDevice | None = None

    @property
    def hides_backward(self) -> bool:
        """Whether a backward ran of which no layer is known: neither a profile nor compiled code
        has it."""
        is_seen = self.device is not None or any(
            domain.endswith(BACKWARD_SUFFIX) for domain in self.domains
        )
        return BACKWARD in self.phases and not is_seen

    def add_rows(
        self, rows: list[StatsRow], stats: RecordingStats, attributes: RecordingAttributes
    ) -> None:
        """Add the rows of the selected phase."""
        self.compiled.add_rows(rows)
        self.ranges = sum(row.calls for row in rows)
        self.threads = len({row.thread for row in rows})
        self.inside_ns, self.busy_ns, self.thread_busy_ns = stats.inside.compute_sums(
            row.phase for row in rows
        )
        self.first_ns, self.last_ns = stats.first_ns, stats.last_ns
        module_calls = sum(row.calls for row in rows if row.name.cls)
        annotated = sum(
            len(starts) for names in attributes.ranges.values() for starts in names.values()
        )
        self.cost_ns = (
            MODULE_COST_NS * module_calls
            + FUNCTION_COST_NS * (self.ranges - module_calls)
            + ATTRIBUTES_COST_NS * annotated
        )
        for domain in dict.fromkeys(row.name.domain for row in rows):
            tree = build_tree(row for row in rows if row.name.domain == domain)
            fold_tree(tree)
            tree.summarize_durations()
            self.domains[domain] = tree

    def add_notes(self) -> None:
        """Set the lines that a reader needs before believing the figures."""
        self.notes = describe_problems(self.recording, self.label, self.last_ns, self.open_threads)


def read_processes(
    run: Run,
    serving: ServingCollector,
    *,
    phase: str | None = None,
    durations: bool = False,
    tick: ProgressTick = ignore_tick,
    device: RunDevice | None = None,
) -> Iterator[Process]:
    """Yield the processes of a run, in order.

    Each recording is also added to `serving`. `phase` selects the ranges of one phase ("none":
    those without a phase). Memory: the names of one recording, and the folded trees of the
    processes that the caller keeps. `durations` are needed for percentiles and take eight bytes a
    range while one recording is read. `device` has the device time of the rows."""
    hosts = count_hosts(run.recordings)
    devices = list_process_devices(device, len(run.recordings))
    tasks = (
        partial(
            read_process,
            index=index,
            label=f"{format_process_label(recording, hosts)}, pid {recording.pid}",
            phase=phase,
            durations=durations,
            device=devices[index],
        )
        for index, recording in enumerate(run.recordings)
    )
    for process, attributes in run.read(tasks, tick):
        process.recording = run.recordings[process.index]  # another machine's task had a copy
        process.device = devices[process.index]
        process.add_notes()
        serving.add(process.index, attributes)
        del attributes  # free the memory before the next recording is read
        yield process


def read_process(
    recording: Recording,
    tick: ProgressTick,
    *,
    index: int,
    label: str,
    phase: str | None = None,
    durations: bool = False,
    device: ProcessDevice | None = None,
) -> tuple[Process, RecordingAttributes]:
    """Read one recording: return the sums of its process, and the parts of steps and requests.

    The durations in the sums are replaced by percentiles."""
    process = Process(index, recording, label)
    attributes = collect_attributes(recording)
    stats = collect_stats(recording, attributes, durations=durations, tick=tick)
    if device is not None:
        device.add_to_rows(stats.rows)
    process.phases = _sum_by_phase(stats)
    rows = [row for row in stats.rows if is_in_phase(row.phase, phase)]
    process.add_rows(rows, stats, attributes)
    process.still_open = len(stats.read_open_ranges(recording))
    process.open_threads = list_open_threads(recording, stats)
    attributes.ranges.clear()
    return process, attributes


def collect_into(processes: Iterable[Process], collected: list[Process]) -> Iterator[Process]:
    """Yield the processes, and append each to the list."""
    for process in processes:
        collected.append(process)
        yield process


def estimate_overhead(processes: Iterable[Process]) -> float | None:
    """Return the estimated share (0 to 1) of the busy time of all threads that recording took; None
    without ranges that do work."""
    cost_ns = busy_ns = 0
    for process in processes:
        cost_ns, busy_ns = cost_ns + process.cost_ns, busy_ns + process.thread_busy_ns
    return cost_ns / busy_ns if busy_ns else None


def _sum_by_phase(stats: RecordingStats) -> dict[str, tuple[int, int]]:
    """Return the number of ranges and the busy time in them by phase, the longest time first and
    ranges without a phase last."""
    calls: dict[str | None, int] = {}
    for row in stats.rows:
        calls[row.phase] = calls.get(row.phase, 0) + row.calls
    sums = {
        phase or NO_PHASE: (count, stats.inside.compute_sums([phase]).busy_ns)
        for phase, count in calls.items()
    }
    return dict(sorted(sums.items(), key=lambda entry: (entry[0] == NO_PHASE, -entry[1][1])))


def describe_hidden_backward(run: Run, processes: Iterable[Process]) -> list[str]:
    """Return a line if the backward of some process has no layers, with the command that shows
    them."""
    if not any(process.hides_backward for process in processes):
        return []
    return [
        "backward by layer: profile a few steps with torch.profiler, then "
        f"autoinstr report {shlex.quote(run.path)} --profile TRACE.json"
    ]
