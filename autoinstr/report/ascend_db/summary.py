"""What was exported and what is missing, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.labels import process_label
from autoinstr.base.text import count, duration, few

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.report.ascend_db.export import Exported, Traced

MOST_NAMED = 8  # processes in one line, and lines of one kind


def lines(done: Sequence[Exported], out: str) -> Iterator[str]:
    """A line for each folder, then what to know."""
    for part in (_written(done), _numbered(done), _missing(done), _known(done)):
        yield from few(list(part), MOST_NAMED)
    if any(one.traced and one.traced.links.linked and one.ranges.modules for one in done):
        yield f"for the module table: autoinstr analyse {out}"


def _written(done: Sequence[Exported]) -> Iterator[str]:
    for one in done:
        yield f"wrote {one.folder.path} ({_who(one)}, rank {one.folder.rank}: {_contents(one)})"


def _numbered(done: Sequence[Exported]) -> Iterator[str]:
    for one in done:
        told = one.traced.trace.owner.rank if one.traced else None
        own = one.recording.rank if one.recording.rank is not None else told
        if own != one.folder.rank and len(done) > 1:
            why = "has no rank" if own is None else f"is rank {own}, as another is"
            yield f"{_who(one)} {why}: its database has the next free number, {one.folder.rank}"


def _known(done: Sequence[Exported]) -> Iterator[str]:
    for one in done:
        if one.traced is not None:
            yield from (f"{_who(one)}: {remark}" for remark in _remarks(one.traced))
        if one.unended:
            yield f"{_who(one)}: {count(one.unended, 'range')} that never ended left out"


def _who(one: Exported) -> str:
    return f"{process_label(one.recording)}, pid {one.recording.pid}"


def _contents(one: Exported) -> str:
    words = [
        count(one.ranges.modules, "range of modules", "ranges of modules"),
        count(one.ranges.others, "other range"),
    ]
    words += [count(one.ranges.marks, "mark")] if one.ranges.marks else []
    if one.traced is not None:
        trace, fit, own, links = one.traced
        kind = "task of the CPU", "tasks of the CPU"
        if not links.on_cpu:
            kind = "kernel", "kernels"
        words.append(count(trace.operators - own, "operator"))
        words.append(f"{count(links.tasks, *kind)}, {links.linked:,} linked")
        words.append(
            f"trace moved by {'-' if fit.offset_ns < 0 else '+'}{duration(abs(fit.offset_ns))}"
        )
    return ", ".join(words)


def _missing(done: Sequence[Exported]) -> Iterator[str]:
    without = [one for one in done if one.traced is None]
    if without:
        named = ", ".join(
            f"{one.recording.pid} ({process_label(one.recording)})" for one in without[:MOST_NAMED]
        )
        more = f" and {len(without) - MOST_NAMED} more" if len(without) > MOST_NAMED else ""
        yield (
            f"no trace for pid {named}{more}: host ranges only; module_statistic needs operators: profile with torch.profiler and give "
            "--kineto TRACE"
        )
    for one in done:
        if not one.ranges.modules and one.traced is not None:
            yield f"{_who(one)}: no ranges of modules in the time of the trace: there is nothing for module_statistic"
        if len(one.ranges.domains) > 1:
            others = count(len(one.ranges.domains) - 1, "thread")
            where = (
                "in domains of their own (Module:thread-1, …), which module_statistic does not read"
            )
            yield f"{_who(one)}: {others} called modules while another did: {where}"


def _remarks(traced: Traced) -> Iterator[str]:
    trace, _, own, links = traced
    if own:
        yield f"{count(own, 'event')} of {trace.path}: our own, of the emitter torch, there as annotations"
    if links.on_cpu:
        yield f"{trace.path} has no device: operators that no other operator called are the tasks (kind cpu_op)"
    elif links.linked < links.tasks:
        yield f"{count(links.tasks - links.linked, 'kernel')} without an operator: launched outside of all, or by a graph"
    if links.overlapping:
        yield f"{count(links.overlapping, 'operator')} without a link: overlapping a range or an operator without lying in it"
    if links.elsewhere:
        yield f"{count(links.elsewhere, 'operator')} without a link: on other threads than the modules of that moment"
    if trace.odd:
        yield f"{trace.path}: {count(trace.odd, 'event')} not understood, left out"
