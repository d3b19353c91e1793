"""What a module is called, and the formats of its message."""

from __future__ import annotations

from typing import Callable, NamedTuple

from autoinstr.base.parameter_counts import ParameterCount


class ModuleName(NamedTuple):
    """The name of a module instance.

    `module` is the number of this place in a tree, from 1. `root` names the tree (`Class#n`), and
    `path` is the dotted path below its root; the root's own path is "". A report shows the last
    name that has the number. `parameters` are counted when the name is given; None if unknown."""

    module: int
    root: str
    path: str
    cls: str
    depth: int
    parameters: ParameterCount | None = None


def make_message_format(style: str) -> Callable[[ModuleName], str]:
    """Return the function that makes the message of a module's range from its name.

    `style` is `class`, `path` or `path:class`. A root has no path: its class replaces it."""
    if style == "class":
        return lambda name: name.cls
    if style == "path":
        return lambda name: name.path or name.cls
    return lambda name: f"{name.path}:{name.cls}" if name.path else name.cls
