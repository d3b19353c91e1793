"""Rows of the user's whose module does not exist: nobody imports it, so nothing else would ever be said of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.targets.rows import Target


def unfound(targets: Sequence[Target]) -> list[Target]:
    """Those of the user's rows whose module has not been imported and cannot be. Imports nothing of the program's."""
    return [target for target in targets if not target.package and target.module not in sys.modules and not _exists(target.module)]


def _exists(module: str) -> bool:
    """The module, or the innermost parent of it that has not been imported, can be found."""
    import importlib.util

    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in sys.modules:
            continue
        try:
            return importlib.util.find_spec(name) is not None  # its parent has been imported: nothing is executed
        except (ImportError, ValueError, AttributeError):
            return False
    return True
