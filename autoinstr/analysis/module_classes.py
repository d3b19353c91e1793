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
        known = self._known.get((name.root, name.path))
        if known is None:
            known = self._known[name.root, name.path] = [
                cls
                for path in _list_paths(name.path)
                if (cls := self._class_of_path.get((name.root, path)))
            ]
        return known


def _list_paths(path: str) -> list[str]:
    """Return the path and those of all that contain it, the root first."""
    parts = path.split(".") if path else []
    return ["", *(".".join(parts[:count]) for count in range(1, len(parts) + 1))]
