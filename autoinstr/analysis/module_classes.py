"""The classes of a module and of the modules that contain it, from the outside in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.recording.reader import RangeName


class ModuleClasses:
    """Finds the classes of modules. `called` are the names of all modules that were called: a list
    of layers may have a name too, but it was not called, and its class is left out."""

    def __init__(self, called: Iterable[RangeName]) -> None:
        self._class_of_path = {
            (name.root, name.path): name.cls for name in called if name.cls and name.kind == "range"
        }
        self._known: dict[tuple[str, str], list[str]] = {}

    def list_classes(self, name: RangeName) -> list[str]:
        """Return the classes of a module; none for a range that is no module's."""
        if not name.cls:
            return []
        missing: list[str] = []
        path = name.path
        while (known := self._known.get((name.root, path))) is None:
            missing.append(path)
            if not path:
                known = []
                break
            path = path.rpartition(".")[0]
        for path in reversed(missing):
            cls = self._class_of_path.get((name.root, path))
            known = [*known, cls] if cls else known
            self._known[name.root, path] = known
        return known
