"""Find the pattern that the user probably meant by one that matched no module.

This is imported only after such a mistake."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from autoinstr.config.filters import compile_filter
from autoinstr.config.suggestions import find_nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_CANDIDATES = 2000  # names that are compared
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")  # a component of a path that is a number


def suggest_pattern(pattern: str, modules: Collection[tuple[str, str]]) -> str | None:
    """Return a pattern that matches some of these modules, with their number; None without any.

    `modules` are pairs of path and class. For example "*.mlp (24 modules)"."""
    if pattern.startswith("depth:"):
        depths = [count_depth(path) for path, _ in modules]
        return f"depths from {min(depths)} to {max(depths)}" if depths else None
    if pattern.startswith("re:"):
        return None
    for candidate in _list_candidates(pattern, modules):
        match_count = _count_matches(candidate, modules)
        if match_count:
            return f"{candidate} ({match_count:,} module{'s' if match_count > 1 else ''})"
    return None


def count_depth(path: str) -> int:
    """Return the depth of a module: 0 for a root."""
    return path.count(".") + 1 if path else 0


def _list_candidates(pattern: str, modules: Collection[tuple[str, str]]) -> Iterator[str]:
    """Yield similar patterns, the most probable first."""
    prefix, colon, body = pattern.rpartition(":")
    classes = dict.fromkeys(cls for _, cls in modules)
    paths = dict.fromkeys(path for path, _ in modules if path)
    if prefix == "class":
        nearest = find_nearest(body, list(classes)[:MAX_CANDIDATES])
        yield f"class:{nearest}"
        return
    if not body.startswith("*"):
        yield f"{prefix}{colon}*.{body}"  # the most common mistake names only the end of a path
    body = body.lstrip("*.")
    if "*" in body or "[" in body:
        paths = dict.fromkeys(_NUMBER.sub("*", path) for path in paths)
    if "." in body or prefix == "path":
        nearest = find_nearest(body, list(paths)[:MAX_CANDIDATES])
        yield f"{prefix}{colon}{nearest}"
        ends = dict.fromkeys(_take_end(path, body.count(".")) for path in paths)
        nearest = find_nearest(body, list(ends)[:MAX_CANDIDATES])
        yield f"{prefix}{colon}*.{nearest}"
        return
    ends = dict.fromkeys(path.rpartition(".")[2] for path in paths)
    nearest = find_nearest(body, [*classes, *ends][:MAX_CANDIDATES])
    yield f"{nearest}"
    yield f"*.{nearest}"


def _take_end(path: str, dot_count: int) -> str:
    return ".".join(path.split(".")[-dot_count - 1 :])


def _count_matches(pattern: str, modules: Collection[tuple[str, str]]) -> int:
    decide = compile_filter([pattern], []).decide
    return sum(decide(path, cls, 0).keep for path, cls in modules)
