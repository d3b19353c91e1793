"""Which targets are wanted: the option `targets`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from autoinstr.config.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.targets.rows import Target

SETS = ("default", "all", "none")


def select(targets: Sequence[Target], patterns: tuple[str, ...]) -> tuple[list[Target], list[str]]:
    """The targets that one of `patterns` names, in their own order: `default`, `all`, `none`, or
    globs of names.

    Beside them one text for each pattern that names nothing, with the nearest name: a wrong pattern
    must not look like silence."""
    wanted = {
        number
        for number, target in enumerate(targets)
        if any(_names(pattern, target) for pattern in patterns)
    }
    missed = unmatched(targets, patterns)
    said = [
        f"{pattern!a} is no target" + (f"; did you mean {near!a}?" if near else "")
        for pattern, near in missed
    ]
    return [target for number, target in enumerate(targets) if number in wanted], said


def unmatched(targets: Sequence[Target], patterns: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """Each pattern that names nothing, and what was probably meant: for a glob another glob, never
    all or none of the targets."""
    families = {
        f"{target.name.rpartition('.')[0]}.*": None for target in targets if "." in target.name
    }
    names = [*SETS, *(target.name for target in targets)]
    return [
        (
            pattern,
            nearest(pattern, families if any(letter in pattern for letter in "*?[") else names),
        )
        for pattern in patterns
        if pattern not in SETS and not any(_names(pattern, target) for target in targets)
    ]


def _names(pattern: str, target: Target) -> bool:
    if pattern in SETS:
        return pattern == "all" or (pattern == "default" and target.default)
    return fnmatchcase(target.name, pattern)
