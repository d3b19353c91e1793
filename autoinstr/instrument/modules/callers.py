"""Which modules are being called in this thread, read from the frames: needed once per unknown
module, so that known ones need no bookkeeping.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, FrameType


class Callers:
    """Looks for frames of the given code objects, and of `__call__` methods that modules define
    themselves (such a module may be the root)."""

    def __init__(self, module_class: type) -> None:
        self._module_class = module_class
        self.codes: set[CodeType] = set()

    def __call__(self, module: Any) -> list[Any]:
        """Modules whose calls are running, innermost first, without `module`'s own call."""
        found: list[Any] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code in self.codes or code.co_name == "__call__":
                caller = frame.f_locals.get("self")
                if (
                    isinstance(caller, self._module_class)
                    and caller is not module
                    and (not found or found[-1] is not caller)
                ):
                    found.append(caller)
            frame = frame.f_back
        return found
