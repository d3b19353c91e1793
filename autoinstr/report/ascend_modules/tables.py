"""The module table for a terminal: of one profile, of several side by side, or of operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text
from autoinstr.device.ascend.database import Facts, Kernels
from autoinstr.device.ascend.modules import Line, Module, chosen, lines_of, walk
from autoinstr.report.terminal.grid import Column, layout, number, share, time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.device.ascend.analysis import Analysis, Result

MOST_COLUMNS = 8  # profiles with a column of their own; of more, the slowest and the quickest
COLUMNS = (
    Column("device"),
    Column("share", 3),
    Column("kernels", 4),
    Column("calls", 2),
    Column("mean", 1),
    Column("self", 5),
)
MOST_KERNELS = 60  # letters of a list of kernels


class Look(NamedTuple):
    """Columns of the terminal, most lines (0: all), order, and which table."""

    width: int = 100
    limit: int = 30
    sort: str = "tree"
    table: str = "modules"


def report(analysis: Analysis, look: Look) -> Iterator[str]:
    """All lines of `--format table`."""
    whole = analysis.whole
    yield f"{analysis.path}: {text.count(len(analysis.results), 'profile')}, {len(whole)} with a module table"
    if look.table == "operators":
        for one in whole:
            yield ""
            yield _summary(one)
            yield from _operators(one, look)
    elif len(whole) == 1:
        yield from _single(whole[0], look)
    elif whole:
        yield ""
        yield from map(_summary, whole)
        yield from _several(whole, look)
    for at, line in enumerate(remarks(analysis)):
        if not at:
            yield ""
        yield f"! {line}"


def remarks(analysis: Analysis) -> Iterator[str]:
    """What to know before believing the figures. What is true of every profile is said once."""
    for one in analysis.results:
        if one.problem:
            yield f"{one.label} ({one.name}): no module table: {one.problem}"
    yield from analysis.remarks
    whole = analysis.whole
    for line in dict.fromkeys(line for one in whole for line in one.remarks):
        who = [one.label for one in whole if line in one.remarks]
        yield line if len(who) == len(whole) else f"{', '.join(who)}: {line}"
    yield from analysis.others


def _summary(one: Result) -> str:
    facts, tree = one.facts, one.tree
    assert facts is not None and tree is not None
    all_kernels = f"{text.count(facts.kernels.number, 'kernel')}, {text.duration(facts.kernels.ns)} on the device"
    return f"{one.label} ({one.name}): {all_kernels}, {share(tree.total_ns, facts.kernels.ns) or '0%'} in modules"


def _single(one: Result, look: Look) -> Iterator[str]:
    assert one.facts is not None and one.tree is not None
    yield ""
    yield _summary(one)
    lines, hidden = chosen(lines_of(one.tree), look.limit, look.sort)
    everything = one.facts.kernels.ns
    rows = [(_label(line), cells(line.module, everything)) for line in lines]
    rows += [
        (f"({name})", [time(rest.ns), share(rest.ns, everything), number(rest.number), "", "", ""])
        for name, rest in rests(one)
    ]
    yield from layout("module", COLUMNS, rows, look.width, look.sort != "tree")
    yield from _hidden(hidden, everything, look)


def cells(module: Module, everything: int) -> list[str]:
    """The figures of one line."""
    return [
        time(module.total_ns),
        share(module.total_ns, everything),
        number(module.kernels),
        number(module.calls),
        time(module.mean_ns),
        time(module.self_ns),
    ]


def rests(one: Result) -> list[tuple[str, Kernels]]:
    """Kernels that are in no module: of operators outside of all, and of no operator at all."""
    facts, tree = one.facts, one.tree
    assert facts is not None and tree is not None
    return [(name, rest) for name, rest in _rests(facts, tree) if rest.number > 0 or rest.ns > 0]


def _rests(facts: Facts, tree: Module) -> Iterator[tuple[str, Kernels]]:
    yield (
        "outside modules",
        Kernels(facts.linked.number - tree.kernels, facts.linked.ns - tree.total_ns),
    )
    yield (
        "no operator",
        Kernels(facts.kernels.number - facts.linked.number, facts.kernels.ns - facts.linked.ns),
    )


def _label(line: Line) -> str:
    return "  " * line.depth + text.printable(line.label)


def _hidden(hidden: Sequence[Line], everything: int, look: Look) -> Iterator[str]:
    if hidden:
        most = max(line.module.total_ns for line in hidden)
        each = (
            f", each at most {share(most, everything)}"
            if look.sort == "tree" and everything
            else ""
        )
        yield f"… {text.count(len(hidden), 'more line')}{each} (--limit 0 shows all)"


def _several(whole: Sequence[Result], look: Look) -> Iterator[str]:
    """All profiles side by side: device time of each, then how far they are apart."""
    merged = merge([one.tree for one in whole if one.tree])
    lines, hidden = chosen(lines_of(merged), look.limit, look.sort)
    everything = sum(one.facts.kernels.ns for one in whole if one.facts)
    found = [{module.path: module for module in walk(one.tree)} for one in whole if one.tree]
    few = len(whole) <= MOST_COLUMNS
    columns = [Column("all"), Column("share", 3), Column("calls", 4)]
    columns += (
        [Column(one.label) for one in whole]
        if few
        else [Column("least"), Column("most"), Column("slowest")]
    )
    columns += [Column("most/least", 2)]
    rows = []
    for line in lines:
        one = line.module
        if line.variant:
            values = [
                sum(
                    v.total_ns
                    for m in tree.values()
                    for v in m.variants.values()
                    if v.path == one.path
                )
                for tree in found
            ]
        else:
            values = [tree[one.path].total_ns if one.path in tree else 0 for tree in found]
        row = [time(one.total_ns), share(one.total_ns, everything), number(one.calls)]
        least, most = min(values), max(values)
        row += (
            [time(value) for value in values]
            if few
            else [time(least), time(most), whole[values.index(most)].label]
        )
        rows.append((_label(line), [*row, f"{most / least:.2f}" if least else ""]))
    for name in ("outside modules", "no operator"):
        parts = [dict(rests(one)).get(name, Kernels()) for one in whole]
        if any(part.ns for part in parts):
            times = [part.ns for part in parts]
            of_each = (
                [time(ns) for ns in times] if few else [time(min(times)), time(max(times)), ""]
            )
            rows.append(
                (f"({name})", [time(sum(times)), share(sum(times), everything), "", *of_each, ""])
            )
    yield ""
    yield from layout("module", columns, rows, look.width, look.sort != "tree")
    yield from _hidden(hidden, everything, look)


def merge(trees: Sequence[Module]) -> Module:
    """One tree with the figures of several added up."""
    top = Module("", "")
    for tree in trees:
        _add(top, tree)
    return top


def _add(mine: Module, theirs: Module) -> None:
    if theirs.calls is not None:
        mine.calls = (mine.calls or 0) + theirs.calls
    for name in ("host_ns", "self_ns", "self_kernels", "total_ns", "kernels"):
        setattr(mine, name, getattr(mine, name) + getattr(theirs, name))
    mine.operators += theirs.operators
    for key, variant in theirs.variants.items():
        _add(
            mine.variants.setdefault(key, Module(variant.name, variant.path, variant.depth)),
            variant,
        )
    for child in theirs.children.values():
        _add(mine.child(child.name), child)


def _operators(one: Result, look: Look) -> Iterator[str]:
    """Each operator of each module with its kernels, the longest first."""
    assert one.facts is not None and one.tree is not None
    rows = [(module, row) for module in walk(one.tree) for row in module.operators]
    if look.sort == "calls":
        rows.sort(key=lambda pair: -pair[1].times)
    elif look.sort != "tree":
        rows.sort(
            key=lambda pair: -(pair[1].total_ns / (pair[1].times if look.sort == "mean" else 1))
        )
    shown = rows[: look.limit] if look.limit else rows
    columns = [
        Column("device"),
        Column("share", 2),
        Column("times"),
        Column("mean", 1),
        Column("operator", left=True),
    ]
    columns += [Column("kernels", 3, left=True)]
    everything = one.facts.kernels.ns
    table = []
    for module, row in shown:
        kernels = (
            row.kernels
            if len(row.kernels) <= MOST_KERNELS
            else f"{row.kernels[: MOST_KERNELS - 1]}…"
        )
        figures = [
            time(row.total_ns),
            share(row.total_ns, everything),
            number(row.times),
            time(row.total_ns / row.times),
        ]
        table.append(
            (
                text.printable(module.path),
                [*figures, text.printable(row.name), text.printable(kernels)],
            )
        )
    yield from layout("module", columns, table, look.width, True)
    if len(shown) < len(rows):
        yield f"… {text.count(len(rows) - len(shown), 'more line')} (--limit 0 shows all)"
