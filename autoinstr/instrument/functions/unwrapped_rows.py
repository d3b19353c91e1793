"""Finds rows of the user that wrapped nothing because no code imported their module.

No other message reports them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from autoinstr.targets.resolve import resolve_target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from autoinstr.targets.rows import Target

MAIN = "__main__"
NO_MODULE = "the module of a target does not exist"
IN_SCRIPT = (
    "a target is in the script itself, which cannot be wrapped while it runs: "
    "use autoinstr.range there"
)
NOT_IMPORTED = "the module of a target was never imported"


def list_unwrapped(
    user_rows: Sequence[Target], script_rows: Collection[Target]
) -> Iterator[tuple[Target, str]]:
    """List the user's rows whose module has not been imported, each with the reason.

    `script_rows` are those for which is_script_row() was true at the start. Imports no module of
    the program."""
    for target in user_rows:
        if target.module == MAIN or target.module not in sys.modules:
            if target in script_rows:
                yield target, IN_SCRIPT
            elif target.module != MAIN:
                yield target, NOT_IMPORTED if is_importable(target.module) else NO_MODULE


def is_script_row(target: Target) -> bool:
    """Return whether the row names the script, which runs as __main__.

    It does so by the name under which the script would be imported, or as __main__. In the second
    case the function is not defined yet, and no event reports its definition."""
    main = sys.modules.get(MAIN)
    if target.module == MAIN:
        return main is None or resolve_target(target, main) is None
    return _is_script_module(target.module)


def _is_script_module(module: str) -> bool:
    """Return whether an import of this name would load the script."""
    main = sys.modules.get(MAIN)
    # A script has neither attribute any more when it ends.
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return bool(spec.name == module)  # python -m
    return isinstance(file, str) and os.path.splitext(os.path.basename(file))[0] == module


def is_importable(module: str) -> bool:
    """Return whether the module, or its innermost parent that is not imported yet, can be found."""
    import importlib.util

    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in sys.modules:
            continue
        try:
            # The parent is imported already, so this executes nothing.
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError, AttributeError):
            return False
    return True
