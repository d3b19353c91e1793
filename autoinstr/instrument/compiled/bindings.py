"""Finds the modules that a call of compiled code is for, from the frame that was compiled.

The frame is above the generated function: torch._dynamo gave it other code, but its local variables
are those of the program. It is recognised by its code object after the first call."""

from __future__ import annotations

import re
import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from autoinstr.instrument.compiled.call_sites import Site

_ROOT = re.compile(r"^([LG])\[(['\"])(.*?)\2\]")
_TOKEN = re.compile(r"\.(\w+)|\[(?:(['\"])(.*?)\2|(-?\d+))\]")
ABSENT = object()
_MAX_RESOLUTIONS = 4096


class Source(NamedTuple):
    """A parsed source: a local or global variable, and the way from it to the module."""

    is_local: bool
    variable: str
    tokens: tuple[str, ...]


def parse_source(text: str) -> Source | None:
    """Return a parsed `L['self'].layers.0`; None for another form."""
    match = _ROOT.match(text)
    if match is None:
        return None
    position = match.end()
    tokens: list[str] = []
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        tokens.append(next(group for group in token.group(1, 3, 4) if group is not None))
        position = token.end()
    return Source(match[1] == "L", match[3], tuple(tokens))


def read_variable(frame: FrameType, source: Source) -> Any:
    """Return the value of the source's variable in a frame; ABSENT if the frame has none."""
    code = frame.f_code
    if not source.is_local:
        return frame.f_globals.get(source.variable, ABSENT)
    names = (code.co_varnames, code.co_freevars, code.co_cellvars)
    if not any(source.variable in group for group in names):
        return ABSENT
    return frame.f_locals.get(source.variable, ABSENT)


def follow_tokens(value: Any, tokens: tuple[str, ...]) -> Any:
    """Return what the tokens lead to; ABSENT if there is nothing."""
    for token in tokens:
        modules = getattr(value, "__dict__", {}).get("_modules")
        if isinstance(modules, dict) and token in modules:
            value = modules[token]
        elif isinstance(value, dict):
            value = value.get(token, value.get(int(token), ABSENT) if _is_int(token) else ABSENT)
        elif isinstance(value, (list, tuple)) and _is_int(token):
            value = value[int(token)] if -len(value) <= int(token) < len(value) else ABSENT
        else:
            value = getattr(value, token, ABSENT)
        if value is ABSENT:
            break
    return value


def _is_int(token: str) -> bool:
    return token.lstrip("-").isdigit()


class GraphSources:
    """The modules that one graph names, by their sources."""

    def __init__(self, sites: list[Site | None]) -> None:
        self.sites = sites
        self.classes = {
            call.source: call.cls for site in sites if site is not None for call in site
        }
        parsed = {text: parse_source(text) for text in self.classes}
        self._parsed = {text: source for text, source in parsed.items() if source is not None}
        variables = {source[:2]: source for source in self._parsed.values()}
        self.variables = list(variables.values())
        # Calls that were found so far: modules by source, and the sources with own ranges.
        self.resolutions: dict[Any, tuple[dict[str, weakref.ref[Any]], set[str]]] = {}

    def note_resolution(self, key: Any, modules: dict[str, Any], own: set[str]) -> None:
        """Keep the modules of a call for its backward, which has no frame of the program."""
        if len(self.resolutions) >= _MAX_RESOLUTIONS:
            self.resolutions.clear()
        refs = {source: weakref.ref(module) for source, module in modules.items()}
        self.resolutions[key] = refs, own

    def read_resolution(self, key: Any) -> tuple[dict[str, Any], set[str]]:
        """Return the modules of an earlier call that are alive, and the sources with own ranges."""
        refs, own = self.resolutions.get(key, ({}, set()))
        modules = {source: ref() for source, ref in refs.items()}
        return {source: module for source, module in modules.items() if module is not None}, own

    def read_roots(self, frame: FrameType) -> tuple[Any, ...]:
        """Return the values of the variables that the sources begin with."""
        return tuple(read_variable(frame, source) for source in self.variables)

    def resolve(self, frame: FrameType) -> dict[str, Any] | None:
        """Return the module of each source; None if this is not the frame that was compiled.

        All modules must be there, and of the right class."""
        roots = self.read_roots(frame)
        if not roots or any(root is ABSENT for root in roots):
            return None
        by_variable = {source[:2]: root for source, root in zip(self.variables, roots)}
        modules: dict[str, Any] = {}
        for text, source in self._parsed.items():
            module = follow_tokens(by_variable[source[:2]], source.tokens)
            if type(module).__name__ != self.classes[text]:
                return None
            modules[text] = module
        own = by_variable.get((True, "self"))
        if own is not None and "_modules" in getattr(own, "__dict__", {}):
            modules.setdefault("L['self']", own)
        return modules


def find_compiled_frame(
    frame: FrameType | None, sources: list[GraphSources]
) -> tuple[CodeType, GraphSources, FrameType, dict[str, Any]] | None:
    """Search the callers for the frame that one of the graphs was made from."""
    depth = 0
    while frame is not None and depth < 200:
        for graph in sources:
            modules = graph.resolve(frame)
            if modules is not None:
                return frame.f_code, graph, frame, modules
        frame, depth = frame.f_back, depth + 1
    return None


def find_context(frame: FrameType | None) -> Any:
    """Return the object that a forward shares with its backward, from their frames.

    It is `ctx` of the autograd function that torch makes for a compiled graph."""
    depth = 0
    while frame is not None and depth < 20:
        code = frame.f_code
        if code.co_varnames[:1] == ("ctx",) and code.co_name in ("forward", "backward"):
            return frame.f_locals.get("ctx")
        frame, depth = frame.f_back, depth + 1
    return None


def is_own_call(frame: FrameType, source: str) -> bool:
    """Return whether a source is the module whose `forward` was compiled.

    That module has a range of its own around the compiled code."""
    return source == "L['self']" and "forward" in frame.f_code.co_name


get_frame = sys._getframe
