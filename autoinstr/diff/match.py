"""Which module of one run is which of the other: by path; entries of a list by how they are built,
then by their numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.diff.measured import Branch

# of the modules below two roots of other classes that must have one name, for the roots to be the
# same
ALIKE = 0.5
NUMBERS = re.compile(r"\[?[\d,-]+\]?")  # of entries of a list, as folding writes them


class Pair(NamedTuple):
    """One module (or list of folded ones) on both sides, or on one. `paths` are A's and B's (""
    where a side has none), `path` is that of both: where lists are of other lengths it has both,
    `layers.[0-23|0-31]`. `parent` is the index of the pair above, or -1."""

    path: str
    parent: int
    a: Branch | None
    b: Branch | None
    paths: tuple[str, str] = ("", "")

    @property
    def only_in(self) -> str:
        return "" if self.a and self.b else "a" if self.a else "b"


def pairs(a: Branch | None, b: Branch | None) -> list[Pair]:
    """All modules of two trees, in A's order; what only B has stands after its siblings. Where all
    is below one root, paths begin there."""
    found: list[Pair] = []

    def below(
        left: Branch | None, right: Branch | None, above: tuple[str, str, str], parent: int
    ) -> None:
        matched = list(
            _matched(left.children if left else [], right.children if right else [], parent < 0)
        )
        silent = parent < 0 and len(matched) == 1
        for first, second in matched:
            alone = _alone(first, left) and _alone(second, right)
            names = tuple(_shown(one, alone) if one else "" for one in (first, second))
            parts = (_both(*names), *names)
            path, of_a, of_b = (
                f"{head}.{name}" if head and name else name for head, name in zip(above, parts)
            )
            found.append(Pair(path, parent, first, second, (of_a, of_b)))
            below(first, second, ("", "", "") if silent else (path, of_a, of_b), len(found) - 1)

    below(a, b, ("", "", ""), -1)
    return found


def nearest(found: Sequence[Pair]) -> dict[int, int]:
    """Index of a pair of one side -> that of the other side's which it most probably became: the
    only one with the same last name and class elsewhere, or the only one of its class beside it."""
    tops = [
        at
        for at, one in enumerate(found)
        if one.only_in and (one.parent < 0 or not found[one.parent].only_in)
    ]
    near: dict[int, int] = {}
    for key in (_moved, _renamed):
        alike: dict[object, dict[str, list[int]]] = {}
        for at in tops:
            if at not in near:
                alike.setdefault(key(found[at]), {}).setdefault(found[at].only_in, []).append(at)
        for sides in alike.values():
            if len(sides) == 2 and all(len(places) == 1 for places in sides.values()):
                (first,), (second,) = sides.values()
                near[first], near[second] = second, first
    return near


def _moved(one: Pair) -> object:
    branch = one.a or one.b
    assert branch
    return branch.name, branch.cls


def _renamed(one: Pair) -> object:
    branch = one.a or one.b
    assert branch
    return one.parent, branch.cls or branch.name


def _matched(
    a: Sequence[Branch], b: Sequence[Branch], roots: bool
) -> Iterator[tuple[Branch | None, Branch | None]]:
    partner: dict[int, Branch] = {}
    left = {id(second): second for second in b}

    def join(first: Branch, second: Branch) -> None:
        if id(first) not in partner and id(second) in left:
            partner[id(first)] = left.pop(id(second))

    named = {second.name: second for second in b if not second.numbers}
    for first in a:
        if not first.numbers and first.name in named:
            join(first, named[first.name])
    entries = [[one for one in side if one.numbers] for side in (a, b)]
    lists = [
        (_overlap(first, second), first, second)
        for first in entries[0]
        for second in entries[1]
        if _base(first) == _base(second)
    ]
    lists.sort(key=lambda entry: -entry[0])
    for _, first, second in lists:
        if first.shape == second.shape:
            join(first, second)
    for _, first, second in lists:
        join(first, second)
    if roots:
        rest = [first for first in a if id(first) not in partner and first.children]
        alike = [
            (_likeness(first, second), first, second)
            for first in rest
            for second in left.values()
            if second.children
        ]
        for likeness, first, second in sorted(alike, key=lambda entry: -entry[0]):
            if likeness >= ALIKE:
                join(first, second)
    for first in a:
        yield first, partner.get(id(first))
    for second in left.values():
        yield None, second


def _overlap(first: Branch, second: Branch) -> float:
    return len(first.numbers & second.numbers) / len(first.numbers | second.numbers)


def _likeness(first: Branch, second: Branch) -> float:
    """Part of the names below two modules that both have; each has some."""
    mine, theirs = set(_names(first)), set(_names(second))
    return len(mine & theirs) / len(mine | theirs)


def _names(branch: Branch, path: str = "") -> Iterator[str]:
    for child in branch.children:
        name = f"{path}.{'#' if child.numbers else child.name}"
        yield name
        yield from _names(child, name)


def _base(branch: Branch) -> str:
    """ "MLP" of a root "MLP#[1-3]"; "" of an entry of a list."""
    return branch.name.rpartition("#")[0]


def _alone(branch: Branch | None, parent: Branch | None) -> bool:
    """No other root of its class is apart from it, so that the number in its name tells nothing."""
    if branch is None or parent is None or not branch.numbers:
        return True
    return sum(_base(other) == _base(branch) for other in parent.children if other.numbers) == 1


def _both(first: str, second: str) -> str:
    """One name for two: [0-23|0-31] of [0-23] and [0-31], "Model | AscendModel" of roots of two
    classes."""
    if not (first and second) or first == second:
        return first or second
    (base, _, mine), (other, _, theirs) = first.rpartition("#"), second.rpartition("#")
    if base != other or not all(map(NUMBERS.fullmatch, (mine, theirs))):
        return f"{first} | {second}"
    inside = f"[{mine.strip('[]')}|{theirs.strip('[]')}]"
    return f"{base}#{inside}" if base else inside


def _shown(branch: Branch, alone: bool) -> str:
    base = _base(branch)
    return base if base and branch.numbers and alone and "[" not in branch.name else branch.name
