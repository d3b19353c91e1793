"""Which targets are wanted: the option `targets`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from autoinstr.texts import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.targets.rows import Target

SETS = ("default", "all", "none")


def select(targets: Sequence[Target], patterns: tuple[str, ...]) -> tuple[list[Target], list[str]]:
    """The targets that one of `patterns` names, in their own order: `default`, `all`, `none`, or globs of names.

    Beside them one text for each pattern that names nothing, with the nearest name: a wrong pattern must not look like silence.
    """
    wanted: set[int] = set()
    unmatched = []
    for pattern in patterns:
        found = [number for number, target in enumerate(targets) if _names(pattern, target)]
        wanted.update(found)
        if not found and pattern not in SETS:
            near = nearest(pattern, [*SETS, *(target.name for target in targets)])
            unmatched.append(f"{pattern!a} is no target" + (f"; did you mean {near!a}?" if near else ""))
    return [target for number, target in enumerate(targets) if number in wanted], unmatched


def _names(pattern: str, target: Target) -> bool:
    if pattern in SETS:
        return pattern == "all" or (pattern == "default" and target.default)
    return fnmatchcase(target.name, pattern)
