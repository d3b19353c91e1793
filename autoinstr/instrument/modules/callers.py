"""Finds the modules whose calls run in this thread, from the frames.

The frames are read once for each unknown module, so calls of known modules need no bookkeeping.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, FrameType


class CallerFinder:
    """Recognises frames of the wrappers, and of `__call__` methods that modules define themselves.

    A module with such a method may be the root. `codes` holds the code objects of the wrappers."""

    def __init__(self, module_class: type) -> None:
        self._module_class = module_class
        self.codes: set[CodeType] = set()

    def find_callers(self, module: Any, only_nearest: bool = False) -> list[Any]:
        """List the modules whose calls are running, innermost first, without `module` itself."""
        callers: list[Any] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code in self.codes or code.co_name == "__call__":
                caller = frame.f_locals.get("self")
                # isinstance() would read `__class__`, which an object may answer with its own code.
                if (
                    issubclass(type(caller), self._module_class)
                    and caller is not module
                    and (not callers or callers[-1] is not caller)
                ):
                    callers.append(caller)
                    if only_nearest:
                        break
            frame = frame.f_back
        return callers
