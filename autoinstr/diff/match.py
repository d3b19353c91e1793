"""Match the modules of two runs.

Modules match by path. Entries of a list match by their structure first, then by their numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from autoinstr.diff.side_figures import Branch

# Two roots of different classes match if they share this part of the names below them.
MIN_SHARED_NAMES = 0.5
ENTRY_NUMBERS = re.compile(r"\[?[\d,-]+\]?")  # as folding writes the numbers of entries


class BranchPair(NamedTuple):
    """One module, or folded list of modules, and its branch on each side (None if it has none).

    `paths` are the paths in A and B, "" where a side has none. `path` covers both: for lists of
    different lengths it is `layers.[0-23|0-31]`. `parent` is the index of the parent's pair, or -1.
    """

    path: str
    parent: int
    a: Branch | None
    b: Branch | None
    paths: tuple[str, str] = ("", "")

    @property
    def only_in(self) -> str:
        """The side that alone has the module, "a" or "b"; "" if both have it."""
        return "" if self.a and self.b else "a" if self.a else "b"


def match_branches(a: Branch | None, b: Branch | None) -> list[BranchPair]:
    """List all modules of two trees in A's order; modules of B alone follow their siblings.

    If there is a single root, paths begin below it.
    """
    pairs: list[BranchPair] = []

    def add_children(
        a_parent: Branch | None,
        b_parent: Branch | None,
        prefixes: tuple[str, str, str],
        parent: int,
    ) -> None:
        matches = list(
            _match_siblings(
                a_parent.children if a_parent else [],
                b_parent.children if b_parent else [],
                parent < 0,
            )
        )
        is_single_root = parent < 0 and len(matches) == 1
        for first, second in matches:
            hide_number = _is_only_of_class(first, a_parent) and _is_only_of_class(second, b_parent)
            names = tuple(
                _get_display_name(branch, hide_number) if branch else ""
                for branch in (first, second)
            )
            path, a_path, b_path = (
                f"{prefix}.{name}" if prefix and name else name
                for prefix, name in zip(prefixes, (_join_names(*names), *names))
            )
            pairs.append(BranchPair(path, parent, first, second, (a_path, b_path)))
            child_prefixes = ("", "", "") if is_single_root else (path, a_path, b_path)
            add_children(first, second, child_prefixes, len(pairs) - 1)

    add_children(a, b, ("", "", ""), -1)
    return pairs


def find_counterparts(pairs: Sequence[BranchPair]) -> dict[int, int]:
    """Map the index of a pair of one side to that of the other side which it probably became.

    That is the only module with the same last name and class elsewhere (it was moved), or the only
    one of its class under the same parent (it was renamed).
    """
    one_sided = [
        index
        for index, pair in enumerate(pairs)
        if pair.only_in and (pair.parent < 0 or not pairs[pair.parent].only_in)
    ]
    counterparts: dict[int, int] = {}
    for get_key in (_get_moved_key, _get_renamed_key):
        candidates: dict[Hashable, dict[str, list[int]]] = {}
        for index in one_sided:
            if index not in counterparts:
                sides = candidates.setdefault(get_key(pairs[index]), {})
                sides.setdefault(pairs[index].only_in, []).append(index)
        for sides in candidates.values():
            if len(sides) == 2 and all(len(indices) == 1 for indices in sides.values()):
                (first,), (second,) = sides.values()
                counterparts[first], counterparts[second] = second, first
    return counterparts


def _get_moved_key(pair: BranchPair) -> Hashable:
    branch = pair.a or pair.b
    assert branch
    return branch.name, branch.cls


def _get_renamed_key(pair: BranchPair) -> Hashable:
    branch = pair.a or pair.b
    assert branch
    return pair.parent, branch.cls or branch.name


def _match_siblings(
    a: Sequence[Branch], b: Sequence[Branch], are_roots: bool
) -> Iterator[tuple[Branch | None, Branch | None]]:
    """Yield (branch of A, branch of B) in A's order, then the branches of B alone."""
    matches: dict[int, Branch] = {}
    unmatched = {id(second): second for second in b}

    def add_match(first: Branch, second: Branch) -> None:
        if id(first) not in matches and id(second) in unmatched:
            matches[id(first)] = unmatched.pop(id(second))

    by_name = {second.name: second for second in b if not second.numbers}
    for first in a:
        if not first.numbers and first.name in by_name:
            add_match(first, by_name[first.name])
    list_pairs = _rank_list_pairs(a, b)
    for first, second in list_pairs:
        if first.shape == second.shape:
            add_match(first, second)
    for first, second in list_pairs:
        add_match(first, second)
    if are_roots:
        root_pairs = [
            (_measure_similarity(first, second), first, second)
            for first in a
            if id(first) not in matches and first.children
            for second in unmatched.values()
            if second.children
        ]
        for similarity, first, second in sorted(root_pairs, key=lambda entry: -entry[0]):
            if similarity >= MIN_SHARED_NAMES:
                add_match(first, second)
    for first in a:
        yield first, matches.get(id(first))
    for second in unmatched.values():
        yield None, second


def _rank_list_pairs(a: Sequence[Branch], b: Sequence[Branch]) -> list[tuple[Branch, Branch]]:
    """Pair the folded lists of one base name; those with the most numbers in common come first."""
    pairs = [
        (first, second)
        for first in a
        if first.numbers
        for second in b
        if second.numbers and _get_base_name(first) == _get_base_name(second)
    ]
    return sorted(pairs, key=lambda pair: -_measure_overlap(*pair))


def _measure_overlap(first: Branch, second: Branch) -> float:
    return len(first.numbers & second.numbers) / len(first.numbers | second.numbers)


def _measure_similarity(first: Branch, second: Branch) -> float:
    """Return the share (0 to 1) of the names below two modules that both have."""
    first_names, second_names = set(_list_names(first)), set(_list_names(second))
    return len(first_names & second_names) / len(first_names | second_names)


def _list_names(branch: Branch, path: str = "") -> Iterator[str]:
    """Yield the paths of all modules below a branch, with "#" for entries of lists."""
    for child in branch.children:
        name = f"{path}.{'#' if child.numbers else child.name}"
        yield name
        yield from _list_names(child, name)


def _get_base_name(branch: Branch) -> str:
    """Return "MLP" for a root "MLP#[1-3]", and "" for an entry of a list."""
    return branch.name.rpartition("#")[0]


def _is_only_of_class(branch: Branch | None, parent: Branch | None) -> bool:
    """Return whether no other root has the class, so that the number in its name is redundant."""
    if branch is None or parent is None or not branch.numbers:
        return True
    base = _get_base_name(branch)
    siblings = [child for child in parent.children if child.numbers]
    return sum(_get_base_name(sibling) == base for sibling in siblings) == 1


def _join_names(first: str, second: str) -> str:
    """Return one name for two.

    "[0-23]" and "[0-31]" become "[0-23|0-31]"; roots of two classes become "Model | AscendModel".
    """
    if not (first and second) or first == second:
        return first or second
    first_base, _, first_numbers = first.rpartition("#")
    second_base, _, second_numbers = second.rpartition("#")
    are_lists = all(map(ENTRY_NUMBERS.fullmatch, (first_numbers, second_numbers)))
    if first_base != second_base or not are_lists:
        return f"{first} | {second}"
    numbers = f"[{first_numbers.strip('[]')}|{second_numbers.strip('[]')}]"
    return f"{first_base}#{numbers}" if first_base else numbers


def _get_display_name(branch: Branch, hide_number: bool) -> str:
    base = _get_base_name(branch)
    is_single = bool(base) and bool(branch.numbers) and "[" not in branch.name
    return base if is_single and hide_number else branch.name
