"""Rows of the user's that wrapped nothing, because nobody imported their module: nothing else would
ever be said of them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from autoinstr.targets.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from autoinstr.targets.rows import Target

MAIN = "__main__"
NOWHERE = "the module of a target does not exist"
THE_SCRIPT = "a target is in the script itself, which cannot be wrapped while it runs: use autoinstr.range there"
NOT_IMPORTED = "the module of a target was never imported"


def unfound(own: Sequence[Target], in_script: Collection[Target]) -> Iterator[tuple[Target, str]]:
    """Those of the user's rows whose module has not been imported, and why; `in_script` is what
    names_the_script() said of them at the start. Imports nothing of the program's."""
    for target in own:
        if target.module == MAIN or target.module not in sys.modules:
            if target in in_script:
                yield target, THE_SCRIPT
            elif target.module != MAIN:
                yield target, NOT_IMPORTED if exists(target.module) else NOWHERE


def _is_the_script(module: str) -> bool:
    """The program runs as __main__ what this name would import."""
    main = sys.modules.get(MAIN)
    spec, file = (
        getattr(main, "__spec__", None),
        getattr(main, "__file__", None),
    )  # which a script has no longer when it ends
    if spec is not None:
        return bool(spec.name == module)  # python -m
    return isinstance(file, str) and os.path.splitext(os.path.basename(file))[0] == module


def names_the_script(target: Target) -> bool:
    """The row is of the script, by the name that it would be imported by; or as __main__, and has
    not been defined yet: nobody tells when it is."""
    main = sys.modules.get(MAIN)
    return (
        (main is None or resolve(target, main) is None)
        if target.module == MAIN
        else _is_the_script(target.module)
    )


def exists(module: str) -> bool:
    """The module, or the innermost parent of it that has not been imported, can be found."""
    import importlib.util

    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in sys.modules:
            continue
        try:
            return (
                importlib.util.find_spec(name) is not None
            )  # its parent has been imported: nothing is executed
        except (ImportError, ValueError, AttributeError):
            return False
    return True
