"""Select targets by the patterns of the option `targets`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from autoinstr.config.suggestions import find_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.targets.rows import Target

SETS = ("default", "all", "none")


def select_targets(
    targets: Sequence[Target], patterns: tuple[str, ...]
) -> tuple[list[Target], list[str]]:
    """Return the targets that a pattern names, in their order, and a line for each bad pattern.

    A pattern is `default`, `all`, `none`, or a glob of names. A bad pattern names no target; its
    line has the nearest name."""
    selected = [
        target for target in targets if any(_is_named(pattern, target) for pattern in patterns)
    ]
    problems = [
        f"{pattern!a} is no target" + (f"; did you mean {near!a}?" if near else "")
        for pattern, near in find_unmatched(targets, patterns)
    ]
    return selected, problems


def find_unmatched(
    targets: Sequence[Target], patterns: tuple[str, ...]
) -> list[tuple[str, str | None]]:
    """Return each pattern that names no target, with the pattern that was probably meant.

    The suggestion for a glob is another glob, never all or none of the targets."""
    family_globs = {
        f"{target.name.rpartition('.')[0]}.*": None for target in targets if "." in target.name
    }
    names = [*SETS, *(target.name for target in targets)]
    unmatched = [
        pattern
        for pattern in patterns
        if pattern not in SETS and not any(_is_named(pattern, target) for target in targets)
    ]
    return [
        (pattern, find_nearest(pattern, family_globs if _is_glob(pattern) else names))
        for pattern in unmatched
    ]


def _is_glob(pattern: str) -> bool:
    return any(letter in pattern for letter in "*?[")


def _is_named(pattern: str, target: Target) -> bool:
    if pattern in SETS:
        return pattern == "all" or (pattern == "default" and target.default)
    return fnmatchcase(target.name, pattern)
