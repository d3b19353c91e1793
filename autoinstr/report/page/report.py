"""`--format html`: everything about a run on one page that opens from a file. See docs/reports.md.

The recordings are read once for the figures and a second time, of the processes that are shown, for
the ranges of the chosen steps; of a run without vLLM one recording is read once more, to find its
steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.alike import Alike, Group, groups_of
from autoinstr.analysis.blocks import Tick, no_tick
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.findings import findings_of
from autoinstr.analysis.processes import Process, kept, processes_of
from autoinstr.analysis.serving import Serving
from autoinstr.analysis.serving_summary import PHASES
from autoinstr.base.text import printable
from autoinstr.report.page import assemble
from autoinstr.report.page.comparison import MOST_FIGURES, comparison
from autoinstr.report.page.facts import notices, process_entry, run_entry
from autoinstr.report.page.instrumented import instrumented_entry
from autoinstr.report.page.page_steps import (
    NONE,
    Units,
    engine_units,
    process_units,
    shown,
    steps_entry,
)
from autoinstr.report.page.serving_cards import engine_cards, requests_entry, unit_cards
from autoinstr.report.page.step_excerpts import choose, cut_out
from autoinstr.report.page.trees import domains_of, row_of, tree_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from autoinstr.recording.reader import Run

SCRIPTS = (
    *assemble.COMMON, "overview.js", "strip.js", "layout.js", "picture.js", "flame.js", "steps.js", "modules.js",
    "layers.js", "ranks.js", "requests.js", "processes.js", "main.js",
)  # fmt: skip
MOST_TREES = 150_000  # rows of all trees of the page together
MOST_PROCESSES = 12  # in an excerpt


def write(run: Run, stream: TextIO, tick: Tick = no_tick) -> list[str]:
    """Write the page; returns what a reader should know beside. Memory: the folded trees of each
    kind of process, the names and durations of one, and what the page holds."""
    payload = payload_of(run, tick)
    assemble.write(stream, f"{payload['run']['name']} · autoinstr", SCRIPTS, payload)
    return (
        []
        if payload["run"]["ranges"]
        else ["nothing was recorded; why: autoinstr doctor -- <your command>"]
    )


def payload_of(run: Run, tick: Tick = no_tick) -> dict[str, Any]:
    """What the page's scripts find as `data`."""
    serving = Serving(run)
    processes: list[Process] = []
    groups = groups_of(
        _settled(kept(processes_of(run, serving, durations=True, tick=tick), processes))
    )
    axis = Axis(run.recordings)
    offsets = [axis.base_ns + offset for offset in axis.offsets]
    times = _times(processes, offsets)
    served, units, schedulers = _served(serving, times[0] if times else 0)
    del serving  # its steps and requests take more than all that follows
    if not units.starts:
        units = _process_units(run, groups, offsets, tick)
        served.update(
            cards=unit_cards(units),
            steps=steps_entry(units, shown(units), times[0] if times else 0),
        )
    which = _shown_processes(processes, groups, schedulers)
    choices = choose(
        units,
        served["steps"]["index"] or range(len(units.starts)),
        sum(processes[at].ranges for at in which),
    )
    phases = _phases(processes)
    trees = list(_trees(groups, phases))
    placed = groups[: len(trees)]
    return {
        "run": run_entry(run, processes, times),
        "processes": list(map(process_entry, processes)),
        "phases": [phase for phase in phases if phase is not None],
        "findings": [_finding(one, placed) for one in findings_of(groups, processes)],
        "notices": notices(run, processes),
        **served,
        "excerpts": cut_out(run, which, offsets, choices, units, tick),
        "groups": trees,
        "without_tree": [printable(group.busiest.label) for group in groups[len(trees) :]],
        "instrumented": instrumented_entry(run, groups),
    }


def _served(serving: Serving, origin: int) -> tuple[dict[str, Any], Units, list[int]]:
    """Cards, steps and requests of what vLLM served, with its steps and who scheduled them;
    `origin` is the first nanosecond of the run."""
    requests = requests_entry(serving.requests(), origin)
    steps = serving.steps()
    units = engine_units(steps)
    entry = {
        "cards": engine_cards(steps, units),
        "steps": steps_entry(units, shown(units), origin, steps),
        "requests": requests,
    }
    return entry, units, list(dict.fromkeys(step.process for step in steps))


def _settled(processes: Iterable[Process]) -> Iterator[Process]:
    """The processes as they come, their durations turned into percentiles before the next is
    read."""
    for one in processes:
        for tree in one.domains.values():
            tree.settle()
        yield one


def _times(processes: Sequence[Process], offsets: Sequence[int]) -> tuple[int, int] | None:
    firsts = [
        one.first_ns + offset for one, offset in zip(processes, offsets) if one.first_ns is not None
    ]
    lasts = [
        one.last_ns + offset for one, offset in zip(processes, offsets) if one.last_ns is not None
    ]
    return (min(firsts), max(lasts)) if firsts and lasts else None


def _process_units(run: Run, groups: Sequence[Group], offsets: Sequence[int], tick: Tick) -> Units:
    if not groups:
        return NONE
    at = groups[0].busiest.index
    units = process_units(run.recordings[at], tick)
    return units._replace(starts=[start + offsets[at] for start in units.starts])


def _shown_processes(
    processes: Sequence[Process], groups: Sequence[Group], schedulers: Sequence[int]
) -> list[int]:
    """The processes of which excerpts show ranges: all, or of many first those that stand for the
    others."""
    there = [one.index for one in processes if one.ranges or not one.recording.complete]
    if len(there) <= MOST_PROCESSES:
        return there
    wanted = dict.fromkeys(
        [*schedulers[: MOST_PROCESSES // 2], *(group.busiest.index for group in groups), *there]
    )
    return list(wanted)[:MOST_PROCESSES]


def _phases(processes: Sequence[Process]) -> list[str | None]:
    """All phases of the run: vLLM's in the order of a request's life, then others, then none."""
    there = {
        phase for one in processes for tree in one.domains.values() for phase in _of_tree(tree)
    }
    named = [
        *(phase for phase in PHASES if phase in there),
        *sorted(phase for phase in there if phase is not None and phase not in PHASES),
    ]
    return [*named, *([None] if None in there else [])]


def _of_tree(tree: Any) -> set[str | None]:
    found: set[str | None] = set()
    rest = [tree]
    while rest:
        node = rest.pop()
        found.update(node.phases)
        rest.extend(node.children.values())
    return found


def _trees(groups: Sequence[Group], phases: Sequence[str | None]) -> Iterator[dict[str, Any]]:
    """An entry for each group, the busiest first, as long as the page has room."""
    rows, room = 0, MOST_FIGURES
    compared: list[Alike] = []  # it stands beside the first tree that is like it
    for group in groups:
        rows += sum(map(len, group.lines.values()))
        if rows > MOST_TREES and group is not groups[0]:
            return
        domains = []
        for domain in domains_of(group):
            lines = group.lines[domain]
            entry = tree_entry(group, domain, phases)
            alike = group.alike[domain]
            if len(alike.processes) > 1 and not entry["left_out"] and alike not in compared:
                compared.append(alike)
                entry["ranks"] = comparison(alike, phases, len(lines), room)
                room -= sum(
                    len(means)
                    for one in entry["ranks"]["figures"]
                    for means in one["means"]
                    if means is not None
                )
            domains.append(entry)
        yield {
            "process": group.busiest.index,
            "members": [one.index for one in group.processes],
            "domains": domains,
        }


def _finding(finding: Any, groups: Sequence[Group]) -> dict[str, Any]:
    """A finding with the place of the row it speaks of: [group, domain, row], or null; and the
    process (-1: none in particular)."""
    place = None
    for at, group in enumerate(groups):
        if (
            any(one.index == finding.process for one in group.processes)
            and finding.domain in group.lines
        ):
            row = row_of(group, finding.domain, finding.path)
            place = [at, domains_of(group).index(finding.domain), row] if row is not None else None
    return {
        "kind": finding.kind,
        "words": printable(finding.words),
        "place": place,
        "process": finding.process,
    }
