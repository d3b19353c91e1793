"""`autoinstr diff --format table`: what changed, on one screen."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text
from autoinstr.diff.comparison import ALIKE, UNTOLD
from autoinstr.diff.facts import differences, first_of, missing, process_counts, versions
from autoinstr.report.terminal.differences import only_in, percent, signed
from autoinstr.report.terminal.layout import Column, layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from autoinstr.diff.comparison import Comparison, Line
    from autoinstr.diff.measured import Measured
    from autoinstr.diff.side import Side

SORTS = ("difference", "ratio", "total", "tree")
NAME_LEAST = 24  # columns for a path
MOST_WHOLE = 8  # lines of whole steps
STEPS = {
    "engine step": "an engine step", "training step": "a training step (up to the optimizer's)", "outermost call": "an outermost call",
}  # fmt: skip


class Look(NamedTuple):
    """Columns of the terminal, most lines (0: all), and order."""

    width: int = 100
    limit: int = 30
    sort: str = "difference"


def report(found: Comparison, look: Look, command: str = "") -> Iterator[str]:
    """All lines; `command` is how the same comparison is asked for, without a format."""
    yield from _side("A", found.a, look)
    yield from _side("B", found.b, look)
    differing = [
        f"{one.what} {one.a or '-'} → {one.b or '-'}"
        for one in differences(found.a.run, found.b.run)
    ]
    if differing:
        yield from text.packed("differs", differing, look.width)
    if found.in_common:
        yield from text.packed("a step is", _steps(found), look.width)
        yield ""
        yield from _listing("whole step", found.whole[: MOST_WHOLE or None], look)
        if len(found.whole) > MOST_WHOLE:
            yield f"… {text.count(len(found.whole) - MOST_WHOLE, 'more line')}"
        yield ""
        above = {line[:4] for line in found.whole}
        lines = ordered(
            [line for line in found.lines if line.parent >= 0 or line[:4] not in above], look.sort
        )
        shown = lines[: look.limit] if look.limit else lines
        if shown:
            yield from _listing("module", shown, look)
        if len(shown) < len(lines):
            most = max(abs(one.impact_ns) for one in lines[len(shown) :])
            each = f", each at most {signed(most)} apart" if look.sort == "difference" else ""
            yield f"… {text.count(len(lines) - len(shown), 'more line')}{each} (--limit 0 shows all)"
        yield ""
    else:
        yield "nothing in common: no module was called in both"
    yield from text.few([f"* {line}" for line in findings(found)])
    yield from text.few([f"! {line}" for line in remarks(found)])
    if command:
        yield f"next: {_next(found, command)}"


def ordered(lines: Sequence[Line], sort: str) -> list[Line]:
    """The largest difference first, or in another order."""
    keys = {
        "difference": lambda one: -abs(one.impact_ns),
        "ratio": lambda one: -(one.shift.ratio if one.shift else 0.0),
        "total": lambda one: -max(each.total_ns for each in (one.a, one.b) if each),
    }
    return sorted(lines, key=keys[sort]) if sort in keys else list(lines)


def findings(found: Comparison) -> Iterator[str]:
    """Entries of folded lists that changed otherwise than the others."""
    for line in ordered(found.entries, "difference"):
        assert line.shift and line.a and line.b
        of = found.lines[line.parent]
        yield (
            f"{line.path}{_phase(line)}: {percent(line.shift.ratio)} a step ({_time(line.a.step_ns)} → {_time(line.b.step_ns)}), "
            f"otherwise than the rest of {of.path}"
        )


def remarks(found: Comparison) -> Iterator[str]:
    """What to know before believing the figures."""
    for word, key in (("A", "a"), ("B", "b")):
        tops = (
            line
            for line in found.lines
            if line.only_in == key and (line.parent < 0 or not found.lines[line.parent].only_in)
        )
        alone = [text.printable(line.path) for line in tops]
        if alone:
            yield only_in(word, list(dict.fromkeys(alone)))
    for at, other in found.near.items():
        if found.lines[at].only_in == "a":
            yield f"{found.lines[at].path} of A may be {found.lines[other].path} of B: not compared"
    classes = dict.fromkeys(
        line.classes
        for line in found.lines
        if not line.only_in and line.classes[0] != line.classes[1]
    )
    if classes:
        named = [f"{a or '-'} → {b or '-'}" for a, b in classes]
        yield f"same path, other class: {', '.join(named[:4])}{', …' if len(named) > 4 else ''}"
    yield from process_counts(found)
    for word, side in (("A", found.a), ("B", found.b)):
        yield from (f"{word}: {line}" for line in missing(side))


def _side(word: str, side: Side, look: Look) -> Iterator[str]:
    processes = text.count(len(side.processes), "process", "processes")
    dropped = sum(recording.dropped for recording in side.run.recordings)
    facts = [f"{name} {version}" for name, version in versions(side.run).items()]
    hosts = dict.fromkeys(recording.host for recording in side.run.recordings)
    pieces = [
        f"{side.run.path}: {processes}, {text.count(side.ranges, 'range')}, {dropped:,} dropped",
        ", ".join(facts),
        first_of(hosts),
    ]
    yield from text.packed(word, [piece for piece in pieces if piece], look.width)


def _steps(found: Comparison) -> list[str]:
    kinds = dict.fromkeys(
        one.kind for line in found.lines for one in (line.a, line.b) if one and one.kind
    )
    return [
        " or ".join(STEPS[kind] for kind in kinds),
        "its time is the median of the steps a module ran in, in one process",
    ]


def _listing(heading: str, lines: Sequence[Line], look: Look) -> Iterator[str]:
    """Roles, domains and phases have columns where there are several."""
    columns = [
        Column(
            heading,
            lambda line: text.printable(line.path or f"all of {line.domain}"),
            least=NAME_LEAST,
            keep_end=True,
        )
    ]
    for name in ("phase", "role", "domain"):
        if len({getattr(line, name) for line in lines}) > 1:
            columns.append(
                Column(
                    name,
                    lambda line, name=name: text.printable(getattr(line, name) or "none"),  # type: ignore[misc]
                    least=12,
                )
            )
    yield from layout([*columns, *COLUMNS], lines, look.width)


def said(line: Line) -> str:
    """ "slower", "too few steps", "only B"; nothing where no difference is shown."""
    if line.only_in:
        return f"only {line.only_in.upper()}"
    return {ALIKE: "", UNTOLD: line.why}.get(line.change, line.change)


def _change(line: Line) -> str:
    return percent(line.shift.ratio) if line.shift else ""


def _interval(line: Line) -> str:
    shift = line.shift if line.change != UNTOLD else None
    return (
        f"{percent(shift.low)} … {percent(shift.high)}"
        if shift and shift.low is not None and shift.high is not None
        else ""
    )


def _both(cell: Callable[[Measured], str], heading: str, drop: int = 0) -> tuple[Column, Column]:
    return (
        Column(f"{heading} A", lambda line: cell(line.a) if line.a else "", drop),
        Column(f"{heading} B", lambda line: cell(line.b) if line.b else "", drop),
    )


def _time(ns: float | None) -> str:
    return "" if ns is None else text.duration(ns)


def _part(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def _phase(line: Line) -> str:
    return f" in {line.phase}" if line.phase else ""


def _next(found: Comparison, command: str) -> str:
    if not found.in_common:
        empty = next((side for side in (found.a, found.b) if not side.ranges), found.b)
        return f"autoinstr report {shlex.quote(empty.run.path)}   # what is in it"
    return f"{command} --format html -o diff.html   # every line of it, to sort and search"


COLUMNS = (
    *_both(lambda one: _time(one.step_ns), "step"),
    Column("change", _change),
    Column("95 % interval", _interval, 3),
    Column("", said, least=14),
    Column("difference", lambda line: signed(line.impact_ns), 4),
    Column("call", lambda line: percent(line.per_call) if line.per_call else "", 5),
    *_both(lambda one: _time(one.total_ns), "total", 6),
    *_both(lambda one: f"{one.calls:,}", "calls", 7),
    Column("share A", lambda line: _part(line.share_a), 8),
    Column("share B", lambda line: _part(line.share_b), 8),
)
