"""Two analyses module by module: `--compare DIR2`. A is the folder named first, B the one it is
compared with."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from autoinstr.base import text
from autoinstr.device.ascend.modules import Module
from autoinstr.report.ascend_modules.tables import merge, remarks
from autoinstr.report.data.stats_csv import guarded
from autoinstr.report.terminal.differences import only_in, percent, signed
from autoinstr.report.terminal.grid import Column, layout, number, share, time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.device.ascend.analysis import Analysis
    from autoinstr.report.ascend_modules.tables import Look

SCHEMA = "autoinstr.modules.compare/1"
SORTS = ("tree", "difference", "device", "calls")
COLUMNS = (
    "path", "module", "depth", "only_in", "device_ns_a", "device_ns_b", "difference_ns", "ratio", "calls_a", "calls_b", "mean_ns_a",
    "mean_ns_b", "share_a", "share_b", "kernels_a", "kernels_b",
)  # fmt: skip


class Side(NamedTuple):
    """One of the two: the sum of all its profiles, and the time of all its kernels."""

    analysis: Analysis
    tree: Module
    device_ns: int


class Pair(NamedTuple):
    """One path of class names on both sides, or on one."""

    path: str
    depth: int
    name: str
    a: Module | None
    b: Module | None

    @property
    def only_in(self) -> str:
        return "" if self.a and self.b else "a" if self.a else "b"

    @property
    def difference_ns(self) -> int:
        return (self.b.total_ns if self.b else 0) - (self.a.total_ns if self.a else 0)


def side(analysis: Analysis) -> Side:
    """The analysis of one folder as a whole."""
    trees = [one.tree for one in analysis.whole if one.tree]
    return Side(
        analysis, merge(trees), sum(one.facts.kernels.ns for one in analysis.whole if one.facts)
    )


def pairs(a: Side, b: Side) -> list[Pair]:
    """All modules in the order of A's tree; those that only B has stand after their siblings."""
    found: list[Pair] = []

    def below(left: Module | None, right: Module | None, depth: int) -> None:
        mine, theirs = (one.children if one else {} for one in (left, right))
        for name in dict.fromkeys([*mine, *theirs]):
            first, second = mine.get(name), theirs.get(name)
            either = first or second
            assert either is not None
            found.append(Pair(either.path, depth, name, first, second))
            below(first, second, depth + 1)

    below(a.tree, b.tree, 0)
    return found


def ordered(found: Sequence[Pair], sort: str) -> list[Pair]:
    """The largest first, or as they are."""
    keys = {
        "difference": lambda one: -abs(one.difference_ns),
        "device": lambda one: -max(one.a.total_ns if one.a else 0, one.b.total_ns if one.b else 0),
        "calls": lambda one: -max((one.a and one.a.calls) or 0, (one.b and one.b.calls) or 0),
    }
    return sorted(found, key=keys[sort]) if sort in keys else list(found)


def report(a: Side, b: Side, look: Look) -> Iterator[str]:
    """All lines of `--format table`."""
    for word, of in (("A", a), ("B", b)):
        whole = len(of.analysis.whole)
        yield f"{word}: {of.analysis.path}: {text.count(whole, 'profile')}, {text.duration(of.device_ns)} on the device"
    yield ""
    found = pairs(a, b)
    shown = _chosen(ordered(found, look.sort), look)
    columns = [
        Column("device A"),
        Column("device B"),
        Column("B - A"),
        Column("change", 1),
        Column("calls A", 3),
        Column("calls B", 3),
    ]
    columns += [
        Column("mean A", 4),
        Column("mean B", 4),
        Column("share A", 5),
        Column("share B", 5),
    ]
    rows = []
    for one in shown:
        label = "  " * one.depth + one.name if look.sort == "tree" else one.path
        rows.append((text.printable(label), _cells(one, a, b)))
    whole_a, whole_b = Module("", ""), Module("", "")
    whole_a.total_ns, whole_b.total_ns = a.device_ns, b.device_ns
    rows.append(("(all kernels)", _cells(Pair("", 0, "", whole_a, whole_b), a, b)))
    yield from layout("module", columns, rows, look.width, look.sort != "tree")
    if len(shown) < len(found):
        yield f"… {text.count(len(found) - len(shown), 'more line')} (--limit 0 shows all)"
    yield from _remarks(found, a, b)


def _remarks(found: Sequence[Pair], a: Side, b: Side) -> Iterator[str]:
    for word, key in (("A", "a"), ("B", "b")):
        alone = [one.path for one in found if one.only_in == key]
        if alone:
            yield f"! {only_in(word, alone)}"
    if len(a.analysis.whole) != len(b.analysis.whole):
        yield f"! figures are sums over all profiles, and A has {len(a.analysis.whole)}, B {len(b.analysis.whole)}"
    if any(one.a and one.b and one.a.calls != one.b.calls for one in found):
        yield "! modules were not called equally often: compare means rather than times"
    for word, one in (("A", a), ("B", b)):
        yield from (f"! {word}: {line}" for line in remarks(one.analysis))


def _chosen(found: list[Pair], look: Look) -> list[Pair]:
    """In tree order the heaviest with the lines above them, else the first."""
    if not look.limit or len(found) <= look.limit:
        return found
    if look.sort != "tree":
        return found[: look.limit]
    kept: set[str] = set()
    for one in ordered(found, "device"):
        names = [
            other.path
            for other in found
            if one.path == other.path or one.path.startswith(f"{other.path}/")
        ]
        if len(kept.union(names)) > look.limit:
            break
        kept.update(names)
    return [one for one in found if one.path in kept]


def _cells(one: Pair, a: Side, b: Side) -> list[str]:
    both = [(one.a, a), (one.b, b)]
    change = f"only {one.only_in.upper()}" if one.only_in else ""
    if one.a and one.b and one.a.total_ns:
        change = percent(one.b.total_ns / one.a.total_ns)
    return [
        *(time(module.total_ns) if module else "" for module, _ in both),
        signed(one.difference_ns),
        change,
        *(number(module.calls) if module else "" for module, _ in both),
        *(time(module.mean_ns) if module else "" for module, _ in both),
        *(share(module.total_ns, of.device_ns) if module else "" for module, of in both),
    ]


def write_json(a: Side, b: Side, out: TextIO) -> None:
    """Everything, without the operators."""
    sides = {
        key: {"path": one.analysis.path, "profiles": len(one.analysis.whole), "device_ns": one.device_ns,
              "problems": [f"{each.label}: {each.problem}" for each in one.analysis.results if each.problem]}
        for key, one in (("a", a), ("b", b))
    }  # fmt: skip
    json.dump(
        {"schema": SCHEMA, **sides, "rows": [_entry(one, a, b) for one in pairs(a, b)]},
        out,
        indent=1,
    )
    out.write("\n")


def write_csv(a: Side, b: Side, out: TextIO) -> None:
    """A heading and a line for each row of the JSON."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in pairs(a, b):
        entry = _entry(one, a, b)
        writer.writerow([guarded(entry[column]) for column in COLUMNS])


def _entry(one: Pair, a: Side, b: Side) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "path": one.path,
        "module": one.name,
        "depth": one.depth,
        "only_in": one.only_in or None,
    }
    entry["difference_ns"] = one.difference_ns
    entry["ratio"] = one.b.total_ns / one.a.total_ns if one.a and one.b and one.a.total_ns else None
    for key, module, of in (("a", one.a, a), ("b", one.b, b)):
        entry[f"device_ns_{key}"] = module.total_ns if module else None
        entry[f"calls_{key}"] = module.calls if module else None
        entry[f"mean_ns_{key}"] = module.mean_ns if module else None
        entry[f"share_{key}"] = module.total_ns / of.device_ns if module and of.device_ns else None
        entry[f"kernels_{key}"] = module.kernels if module else None
    return entry
