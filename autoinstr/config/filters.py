"""Decide which modules get ranges, by the options `include` and `exclude`.

Each item of an option is a pattern:

- `class:GLOB`, `path:GLOB`
- `re:REGEX`, searched anywhere in the path
- `depth:N` (at most N; the root is 0), `depth:A-B`, `depth:A-` (at least A)
- a bare `GLOB`: with a dot it matches a path, without one a path or a class

A glob matches the whole path or the whole class, and is case-sensitive. `*` matches any characters,
dots included: `model.layers.*` matches everything below the layers, and `*.mlp` every mlp at any
depth below the root. `?` matches one character, and `[0-9]` one of a set. To match within one
component, write `re:^model\\.layers\\.[^.]+$`.

A module is kept if a pattern of `include` matches it, or `include` is empty, and no pattern of
`exclude` matches it."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import ConfigError
from autoinstr.config.suggestions import find_nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Test = Callable[[str, str, int], bool]  # path, class, depth
    Refuse = Callable[..., ConfigError]

PREFIXES = ("class:", "path:", "re:", "depth:")


class Decision(NamedTuple):
    """Whether a module gets ranges, and the reason as a text for the user."""

    keep: bool
    reason: str


class Pattern(NamedTuple):
    """One compiled pattern of include or exclude."""

    text: str
    option: str
    test: Test


_NO_FILTER = Decision(True, "no filter is set")
_NOT_EXCLUDED = Decision(True, "nothing excludes it")


class Filter:
    """The compiled include and exclude. `decide` is called once for each module."""

    def __init__(self, include: Sequence[Pattern], exclude: Sequence[Pattern]) -> None:
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._used_patterns: set[Pattern] = set()

    @property
    def keeps_all(self) -> bool:
        """Whether there is no pattern."""
        return not self._include and not self._exclude

    def decide(self, path: str, cls: str, depth: int) -> Decision:
        """Return the decision for a module.

        `path` is its dotted path ("" for a root), `cls` the name of its class, `depth` its depth
        (0 for a root)."""
        excluding = self._find_match(self._exclude, path, cls, depth)
        if excluding:
            return Decision(False, f"excluded by {excluding.text!r}")
        if not self._include:
            return _NOT_EXCLUDED if self._exclude else _NO_FILTER
        including = self._find_match(self._include, path, cls, depth)
        if including:
            return Decision(True, f"included by {including.text!r}")
        return Decision(False, "no pattern of include matches it" + self._make_hint(path))

    def find_unmatched(self) -> list[Pattern]:
        """Return the patterns that no module has matched."""
        return [
            pattern
            for pattern in self._include + self._exclude
            if pattern not in self._used_patterns
        ]

    def _find_match(
        self, patterns: Sequence[Pattern], path: str, cls: str, depth: int
    ) -> Pattern | None:
        for pattern in patterns:
            if pattern.test(path, cls, depth):
                self._used_patterns.add(pattern)
                return pattern
        return None

    def _make_hint(self, path: str) -> str:
        """Return a hint if a path glob would match with `*.` before it.

        The most common mistake is a glob that names only the end of a path."""
        for pattern in self._include:
            glob = pattern.text[5:] if pattern.text.startswith("path:") else pattern.text
            if not glob.startswith(("class:", "re:", "depth:", "*")) and _compile_glob(
                f"*.{glob}"
            ).match(path):
                return f"; '*.{glob}' would"
        return ""


def compile_filter(
    include: Sequence[str], exclude: Sequence[str], sources: Mapping[str, str] | None = None
) -> Filter:
    """Compile both options. `sources` has the source of each option, for the error.

    Raises ConfigError for an invalid pattern."""
    sources = sources or {}
    return Filter(
        [_compile(text, "include", sources.get("include", "")) for text in include],
        [_compile(text, "exclude", sources.get("exclude", "")) for text in exclude],
    )


def _compile(text: str, option: str, source: str) -> Pattern:
    def refuse(problem: str, suggestion: str | None = None) -> ConfigError:
        return ConfigError(problem, option=option, value=text, source=source, suggestion=suggestion)

    prefix, colon, body = text.partition(":")
    if not text or (colon and not body):
        raise refuse("nothing follows the colon" if colon else "an empty pattern matches nothing")
    if not colon:
        return Pattern(text, option, _make_bare_test(text, refuse))
    if prefix == "class":
        match = _compile_checked_glob(text, len(prefix) + 1, refuse)
        return Pattern(text, option, lambda path, cls, depth: match(cls) is not None)
    if prefix == "path":
        match = _compile_checked_glob(text, len(prefix) + 1, refuse)
        return Pattern(text, option, lambda path, cls, depth: match(path) is not None)
    if prefix == "re":
        try:
            search = re.compile(body).search
        except (re.error, OverflowError, RecursionError) as error:
            raise refuse(f"is not a regular expression: {error}", f"re:{re.escape(body)}") from None
        return Pattern(text, option, lambda path, cls, depth: search(path) is not None)
    if prefix == "depth":
        lowest, highest = _parse_depths(body, refuse)
        return Pattern(text, option, lambda path, cls, depth: lowest <= depth <= highest)
    near = find_nearest(f"{prefix}:", PREFIXES)
    raise refuse(f"{prefix + ':'!a} is none of {', '.join(PREFIXES)}", near and near + body)


def _make_bare_test(text: str, refuse: Refuse) -> Test:
    match = _compile_checked_glob(text, 0, refuse)
    if "." in text:
        return lambda path, cls, depth: match(path) is not None
    return lambda path, cls, depth: match(path) is not None or match(cls) is not None


def _compile_checked_glob(
    glob: str, start: int, refuse: Refuse
) -> Callable[[str], re.Match[str] | None]:
    """Return the matcher of the glob that begins at `start`. Raise for an open bracket."""
    bracket = glob.find("[", start)
    while bracket >= 0:
        # The first character of a set may be a bracket itself, also after `!`.
        end = glob.find("]", bracket + (3 if glob.startswith("!", bracket + 1) else 2))
        if end < 0:
            raise refuse(
                f"the bracket at character {bracket + 1} is never closed",
                f"{glob[:bracket]}[[]{glob[bracket + 1 :]}",
            )
        bracket = glob.find("[", end + 1)
    return _compile_glob(glob[start:]).match


def _compile_glob(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _parse_depths(text: str, refuse: Refuse) -> tuple[int, float]:
    """Return the lowest and the highest depth of `N`, `A-B` or `A-`."""
    low, dash, high = text.partition("-")
    numbers = [part for part in (low, high) if part]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in numbers) or not low:
        digits = "".join(filter(str.isdigit, text))
        raise refuse(
            "a depth is a whole number N, or A-B, or A-", f"depth:{digits}" if digits else None
        )
    if not dash:
        return 0, int(low)
    if high and int(high) < int(low):
        raise refuse("the first depth is beyond the second", f"depth:{high}-{low}")
    return int(low), int(high) if high else float("inf")
