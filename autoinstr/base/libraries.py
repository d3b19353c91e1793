"""Tells a library from a file of the program that has the same name.

A program may have a `structlog.py` or a `rich.py` beside its script. An import of the library would
run that file, which the program itself may never do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base.system import calls, get_parent

if TYPE_CHECKING:
    from collections.abc import Collection

_INSTALLED = ("site-packages", "dist-packages")  # folders that hold libraries alone
_OWN_FOLDERS = ("", "/libraries", "/libraries-before-3.11")  # beside the package; of a bundle
_DISTRIBUTIONS = (".dist-info", ".egg-info")
# Files that tell a copy of a library, without its distribution, from a program's file.
_FILES = {"wrapt": {"decorators.py", "importer.py", "wrappers.py"}}


def is_library(name: str) -> bool:
    """Return whether an import of the top-level name finds a library. Nothing is imported here."""
    file = _find_file(name)
    return file is not None and _is_in_library(name, file)


def is_library_alone(name: str, optional: Collection[str]) -> bool:
    """Return whether an import of the name, with all that it imports, runs libraries only.

    `optional` names what the library imports if it is there."""
    if not is_library(name) or _has_shadows():
        return False
    files = [(other, _find_file(other)) for other in optional]
    return all(file is None or _is_in_library(other, file) for other, file in files)


def _find_file(name: str) -> str | None:
    module = sys.modules.get(name)
    try:
        if module is None:
            finder: Any = sys.modules["_frozen_importlib_external"]
            spec = finder.PathFinder.find_spec(name) if name not in sys.modules else None
        else:
            spec = getattr(module, "__spec__", None)
    except Exception:  # a path hook of the program
        return None
    origin = getattr(spec, "origin", None)
    return origin if isinstance(origin, str) and "/" in origin else None


def _is_in_library(name: str, file: str) -> bool:
    folder = get_parent(file)
    if file.endswith("/__init__.py"):
        if name in _FILES and _FILES[name].issubset(_list_files(folder)):
            return True
        folder = get_parent(folder)
    if folder.rpartition("/")[2] in _INSTALLED or folder in _list_standard_folders():
        return True
    root = get_parent(get_parent(get_parent(__file__)))
    if any(folder == root + ending for ending in _OWN_FOLDERS):
        return True
    return any(
        entry.startswith(name + "-") and entry.endswith(_DISTRIBUTIONS)
        for entry in _list_files(folder)
    )


def _list_files(folder: str) -> list[str]:
    try:
        return list(calls.listdir(folder))
    except OSError:
        return []


def _list_standard_folders() -> tuple[str, ...]:
    folder = get_parent(str(sys.modules["os"].__file__))
    return folder, folder + "/lib-dynload"


def _has_shadows() -> bool:
    """Return whether a file of the program hides a module of Python that is not imported yet.

    The library may import that module."""
    standard_names: Collection[str] = getattr(sys, "stdlib_module_names", ())
    for folder in sys.path:
        if folder in _list_standard_folders():
            return False
        try:
            entries = calls.listdir(folder or ".")
        except (OSError, TypeError, ValueError):  # a zip file, or no text
            continue
        for entry in entries:
            name = entry[:-3] if entry.endswith(".py") else entry
            if name in standard_names and name not in sys.modules:
                return True
    return False
