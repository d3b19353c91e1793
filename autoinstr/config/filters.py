"""Which modules get ranges: globs compiled once, and a decision with its reason for each module.

A piece of `include` or `exclude` is one of

- `class:GLOB`, `path:GLOB`
- `re:REGEX`, searched anywhere in the path
- `depth:N` (at most N; the root is 0), `depth:A-B`, `depth:A-` (at least A)
- a bare `GLOB`: with a dot a path, without one a path or a class

A glob matches the whole path or the whole class, with upper and lower case apart. `*` is any run of
characters, dots included, so that `model.layers.*` holds everything below the layers and `*.mlp`
every mlp at any depth below the root; `?` is one character, `[0-9]` one of a set. To stay within
one component, write `re:^model\\.layers\\.[^.]+$`. A module is kept when some piece of `include`
matches it, or `include` is empty, and no piece of `exclude` does."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import ConfigError
from autoinstr.config.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Test = Callable[[str, str, int], bool]  # path, class, depth

PREFIXES = ("class:", "path:", "re:", "depth:")


class Decision(NamedTuple):
    """Whether a module gets ranges, and why, in words for the user."""

    keep: bool
    reason: str


class Piece(NamedTuple):
    """One compiled piece of include or exclude."""

    text: str
    option: str
    test: Test


_ALL = Decision(True, "no filter is set")
_REST = Decision(True, "nothing excludes it")


class Filter:
    """The compiled include and exclude. `decide` is asked once for a module, not once for a
    call."""

    def __init__(self, include: Sequence[Piece], exclude: Sequence[Piece]) -> None:
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._matched: set[Piece] = set()

    @property
    def keeps_all(self) -> bool:
        """Whether nothing can be dropped."""
        return not self._include and not self._exclude

    def decide(self, path: str, cls: str, depth: int) -> Decision:
        """The decision for a module: its dotted path ("" for a root), the name of its class, its
        depth (0 for a root)."""
        excluding = self._first(self._exclude, path, cls, depth)
        if excluding:
            return Decision(False, f"excluded by {excluding.text!r}")
        if not self._include:
            return _REST if self._exclude else _ALL
        including = self._first(self._include, path, cls, depth)
        if including:
            return Decision(True, f"included by {including.text!r}")
        return Decision(False, "no piece of include matches it" + self._hint(path, cls, depth))

    def unmatched(self) -> list[str]:
        """The pieces that no module has matched so far, as written, with their option: "include
        'layers.*.mlp'"."""
        return [
            f"{piece.option} {piece.text!r}"
            for piece in self._include + self._exclude
            if piece not in self._matched
        ]

    def _first(self, pieces: Sequence[Piece], path: str, cls: str, depth: int) -> Piece | None:
        for piece in pieces:
            if piece.test(path, cls, depth):
                self._matched.add(piece)
                return piece
        return None

    def _hint(self, path: str, cls: str, depth: int) -> str:
        """A path glob that names only the end of a path is the commonest slip: it would match with
        `*.` before it."""
        for piece in self._include:
            glob = piece.text[5:] if piece.text.startswith("path:") else piece.text
            if not glob.startswith(("class:", "re:", "depth:", "*")) and _glob(f"*.{glob}").match(
                path
            ):
                return f"; '*.{glob}' would"
        return ""


def compile_filter(
    include: Sequence[str], exclude: Sequence[str], sources: Mapping[str, str] | None = None
) -> Filter:
    """Compile both options; `sources` says where they came from, for the error. Raises ConfigError
    that names the bad piece."""
    sources = sources or {}
    return Filter(
        [_compile(text, "include", sources.get("include", "")) for text in include],
        [_compile(text, "exclude", sources.get("exclude", "")) for text in exclude],
    )


def _compile(text: str, option: str, source: str) -> Piece:
    def refuse(problem: str, suggestion: str | None = None) -> ConfigError:
        return ConfigError(problem, option=option, value=text, source=source, suggestion=suggestion)

    prefix, colon, rest = text.partition(":")
    if not text or (colon and not rest):
        raise refuse("nothing follows the colon" if colon else "an empty piece matches nothing")
    if not colon:
        return Piece(text, option, _bare(text, refuse))
    if prefix == "class":
        match = _checked_glob(text, len(prefix) + 1, refuse)
        return Piece(text, option, lambda path, cls, depth: match(cls) is not None)
    if prefix == "path":
        match = _checked_glob(text, len(prefix) + 1, refuse)
        return Piece(text, option, lambda path, cls, depth: match(path) is not None)
    if prefix == "re":
        try:
            search = re.compile(rest).search
        except (re.error, OverflowError, RecursionError) as error:
            raise refuse(f"is not a regular expression: {error}", f"re:{re.escape(rest)}") from None
        return Piece(text, option, lambda path, cls, depth: search(path) is not None)
    if prefix == "depth":
        least, most = _depths(rest, refuse)
        return Piece(text, option, lambda path, cls, depth: least <= depth <= most)
    near = nearest(f"{prefix}:", PREFIXES)
    raise refuse(f"{prefix + ':'!a} is none of {', '.join(PREFIXES)}", near and near + rest)


def _bare(text: str, refuse: Callable[..., ConfigError]) -> Test:
    match = _checked_glob(text, 0, refuse)
    if "." in text:
        return lambda path, cls, depth: match(path) is not None
    return lambda path, cls, depth: match(path) is not None or match(cls) is not None


def _checked_glob(
    glob: str, start: int, refuse: Callable[..., ConfigError]
) -> Callable[[str], re.Match[str] | None]:
    """The matcher of the glob that begins at `start`."""
    at = glob.find("[", start)
    while at >= 0:
        # The first character of a set may be a bracket itself, after the ! too.
        end = glob.find("]", at + (3 if glob.startswith("!", at + 1) else 2))
        if end < 0:
            raise refuse(
                f"the bracket at character {at + 1} is never closed",
                f"{glob[:at]}[[]{glob[at + 1 :]}",
            )
        at = glob.find("[", end + 1)
    return _glob(glob[start:]).match


def _glob(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _depths(rest: str, refuse: Callable[..., ConfigError]) -> tuple[int, float]:
    low, dash, high = rest.partition("-")
    numbers = [part for part in (low, high) if part]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in numbers) or not low:
        digits = "".join(filter(str.isdigit, rest))
        raise refuse(
            "a depth is a whole number N, or A-B, or A-", f"depth:{digits}" if digits else None
        )
    if not dash:
        return 0, int(low)
    if high and int(high) < int(low):
        raise refuse("the first depth is beyond the second", f"depth:{high}-{low}")
    return int(low), int(high) if high else float("inf")
