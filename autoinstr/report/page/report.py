"""`--format html`: everything about a run on one page that opens from a file.

docs/reference/formats.md describes the page. The recordings are read once for the figures. The
recordings of the shown processes are read a second time for the ranges of the selected steps. For
a run without vLLM, one recording is read once more to find its steps, and that of a training loop
again for their phases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.alike import ProcessGroup, group_processes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.findings import collect_findings
from autoinstr.analysis.processes import (
    Process,
    collect_into,
    read_processes,
)
from autoinstr.analysis.serving import ServingCollector
from autoinstr.analysis.serving_summary import PHASE_ORDER
from autoinstr.base.text import escape_unprintable
from autoinstr.report.page import assemble
from autoinstr.report.page.device_lanes import find_profiled_steps
from autoinstr.report.page.facts import (
    build_process_entry,
    build_run_entry,
    list_losses,
    list_notes,
)
from autoinstr.report.page.instrumented import list_instrumented
from autoinstr.report.page.page_steps import (
    NO_STEPS,
    PageSteps,
    build_steps_entry,
    choose_shown_steps,
    make_engine_steps,
    read_process_steps,
)
from autoinstr.report.page.serving_cards import (
    build_engine_cards,
    build_requests_entry,
    build_step_cards,
)
from autoinstr.report.page.step_excerpts import read_excerpts
from autoinstr.report.page.step_selection import select_steps
from autoinstr.report.page.training_cards import (
    build_training_cards,
    build_training_columns,
    read_shown_steps,
)
from autoinstr.report.page.tree_groups import build_finding, build_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.analysis.tree import Node
    from autoinstr.recording.run import Run

SCRIPTS = (
    *assemble.COMMON_SCRIPTS,
    "overview.js",
    "cards.js",
    "strip.js",
    "class_colors.js",
    "layout.js",
    "lane_heads.js",
    "picture.js",
    "flame_keys.js",
    "flame.js",
    "step_facts.js",
    "step_reasons.js",
    "steps.js",
    "layers.js",
    "module_columns.js",
    "module_details.js",
    "modules.js",
    "rank_columns.js",
    "ranks.js",
    "request_details.js",
    "requests.js",
    "processes.js",
    "main.js",
)
MAX_PROCESSES = 12  # in an excerpt


def write(
    run: Run,
    stream: TextIO,
    tick: ProgressTick = ignore_tick,
    device: RunDevice | None = None,
) -> list[str]:
    """Write the page. Return notes for the user.

    Memory: the folded trees of each group of processes, the names and durations of one process, and
    the data of the page.
    """
    payload = build_payload(run, tick, device)
    assemble.write(stream, f"{payload['run']['name']} · autoinstr", SCRIPTS, payload)
    if payload["run"]["ranges"]:
        return []
    return ["nothing was recorded; for the reason run: autoinstr doctor -- <your command>"]


def build_payload(
    run: Run, tick: ProgressTick = ignore_tick, device: RunDevice | None = None
) -> dict[str, Any]:
    """Return the data of the page. `device` has the device time of the run."""
    serving = ServingCollector(run)
    processes: list[Process] = []
    process_stream = read_processes(run, serving, durations=True, tick=tick, device=device)
    groups = group_processes(collect_into(process_stream, processes))
    axis = Axis(run.recordings)
    offsets = [axis.base_ns + offset for offset in axis.offsets]
    times = _find_times(processes, offsets)
    origin = times[0] if times else 0
    serving_entries, steps, schedulers = _build_serving(serving, origin)
    del serving  # its steps and requests are larger than everything that follows
    if not steps.starts:
        steps = _read_steps(run, groups, offsets, tick)
        training_steps = read_shown_steps(run, groups, steps)
        shown = choose_shown_steps(steps)
        serving_entries["cards"] = build_step_cards(steps) + build_training_cards(training_steps)
        serving_entries["steps"] = {
            **build_steps_entry(steps, shown, origin),
            **build_training_columns(training_steps, shown),
        }
    shown_processes = _choose_processes(processes, groups, schedulers)
    shown_steps = serving_entries["steps"]["index"] or range(len(steps.starts))
    range_count = sum(processes[index].ranges for index in shown_processes)
    profiled_steps = set(find_profiled_steps(steps, shown_steps, device, offsets))
    selected_steps = select_steps(steps, shown_steps, range_count, profiled_steps)
    phases = _list_phases(processes)
    trees = list(build_groups(groups, phases))
    groups_with_tree = groups[: len(trees)]
    return {
        "run": build_run_entry(run, processes, times),
        "processes": list(map(build_process_entry, processes)),
        "phases": [phase for phase in phases if phase is not None],
        "findings": [
            build_finding(finding, groups_with_tree)
            for finding in collect_findings(groups, processes)
        ],
        "losses": list_losses(run, processes),
        "notes": list_notes(run, processes),
        **serving_entries,
        "excerpts": read_excerpts(
            run, shown_processes, offsets, selected_steps, steps, tick, device
        ),
        "groups": trees,
        "without_tree": [escape_unprintable(group.busiest.label) for group in groups[len(trees) :]],
        "instrumented": list_instrumented(run, groups),
    }


def _build_serving(
    serving: ServingCollector, origin: int
) -> tuple[dict[str, Any], PageSteps, list[int]]:
    """Return cards, steps and requests of vLLM, its steps, and the processes that scheduled them.

    `origin` is the first nanosecond of the run.
    """
    engine_steps = serving.list_steps()
    requests = build_requests_entry(serving.list_requests(), engine_steps, origin)
    steps = make_engine_steps(engine_steps)
    entries = {
        "cards": build_engine_cards(engine_steps, steps),
        "steps": build_steps_entry(steps, choose_shown_steps(steps), origin, engine_steps),
        "requests": requests,
    }
    return entries, steps, list(dict.fromkeys(step.process for step in engine_steps))


def _find_times(processes: Sequence[Process], offsets: Sequence[int]) -> tuple[int, int] | None:
    """Return the first and the last recorded time of the run."""
    starts, ends = [], []
    for process, offset in zip(processes, offsets):
        if process.first_ns is not None:
            starts.append(process.first_ns + offset)
        if process.last_ns is not None:
            ends.append(process.last_ns + offset)
    return (min(starts), max(ends)) if starts and ends else None


def _read_steps(
    run: Run, groups: Sequence[ProcessGroup], offsets: Sequence[int], tick: ProgressTick
) -> PageSteps:
    """Read the steps of the busiest process."""
    if not groups:
        return NO_STEPS
    index = groups[0].busiest.index
    steps = read_process_steps(run.recordings[index], tick)
    return steps._replace(starts=[start + offsets[index] for start in steps.starts])


def _choose_processes(
    processes: Sequence[Process], groups: Sequence[ProcessGroup], schedulers: Sequence[int]
) -> list[int]:
    """Return the processes whose ranges the excerpts show.

    With too many processes, schedulers and the busiest process of each group come first.
    """
    candidates = [
        process.index
        for process in processes
        if process.ranges or not process.recording.is_complete
    ]
    if len(candidates) <= MAX_PROCESSES:
        return candidates
    busiest = (group.busiest.index for group in groups)
    in_order = dict.fromkeys([*schedulers[: MAX_PROCESSES // 2], *busiest, *candidates])
    return list(in_order)[:MAX_PROCESSES]


def _list_phases(processes: Sequence[Process]) -> list[str | None]:
    """Return all phases: vLLM's in the order of a request's life, then others, then None."""
    phases: set[str | None] = set()
    for process in processes:
        for tree in process.domains.values():
            phases |= _collect_phases(tree)
    return [
        *(phase for phase in PHASE_ORDER if phase in phases),
        *sorted(phase for phase in phases if phase is not None and phase not in PHASE_ORDER),
        *([None] if None in phases else []),
    ]


def _collect_phases(tree: Node) -> set[str | None]:
    phases: set[str | None] = set()
    pending_nodes = [tree]
    while pending_nodes:
        node = pending_nodes.pop()
        phases.update(node.phases)
        pending_nodes.extend(node.children.values())
    return phases
