"""Notices at a call that a module has another place in its tree than its name says.

A tree changes where the program stores a module, without a call that could be observed. So a
module's call checks its children: the version of the dictionary that holds them, on the short path
(hot_call.py), or the children themselves. A module that is called from elsewhere than its parent's
call is looked up from its root at each call, and has no short path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.module_tree import get_own_children, list_children
from autoinstr.instrument.modules.class_versions import (
    are_dict_versions_readable,
    dict_versions,
)

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName
    from autoinstr.base.module_namer import ModuleNamer
    from autoinstr.instrument.modules.module_refs import ModuleRef
    from autoinstr.instrument.modules.module_rules import ModuleRules

# What is known of a module's place: nothing yet; its parent's call checks it; its own calls do
UNKNOWN, CHECKED_BY_PARENT, CHECKED_BY_ITSELF = 0, 1, 2

_Children = tuple[tuple[str, int, Any], ...]  # name, id and, of a container, its children
# version; name, id of the class and versions of each container below
_Versions = tuple[int, tuple[tuple[str, int, Any], ...]]


class Places:
    """The places of modules. Not thread-safe where the name cache holds its lock."""

    def __init__(self, rules: ModuleRules, namer: ModuleNamer) -> None:
        self._rules = rules
        self._namer = namer
        self._has_dict_versions = are_dict_versions_readable()

    def is_current(self, module: Any, ref: ModuleRef) -> bool:
        """Return whether the module's place, and that of its children, are those of the names.

        The first call decides who checks the place from now on."""
        if ref.place == CHECKED_BY_ITSELF:
            return self._namer.is_in_place(module) and self._has_same_children(module, ref)
        if ref.place == UNKNOWN:
            ref.children, ref.versions = self._read_children(module), None
            callers = self._rules.callers.find_callers(module, only_nearest=True)
            self._choose_checker(module, ref, callers)
            return self._namer.is_in_place(module)
        return self._has_same_children(module, ref)

    def place(self, module: Any, ref: ModuleRef, name: ModuleName, callers: list[Any]) -> None:
        """Note the place of a module that has just been named."""
        ref.children, ref.versions = self._read_children(module), None
        if not name.path or name.path.endswith("?"):
            ref.place = CHECKED_BY_PARENT  # there is no parent that holds it
        else:
            self._choose_checker(module, ref, callers)

    def _choose_checker(self, module: Any, ref: ModuleRef, callers: list[Any]) -> None:
        is_inside_parent = bool(callers) and self._holds(callers[0], module)
        ref.place = CHECKED_BY_PARENT if is_inside_parent else CHECKED_BY_ITSELF

    def open_short_path(self, module: Any, ref: ModuleRef, version: int | None) -> None:
        """Let later calls of a module take the short path, if they may.

        `version` is that of its class, None if the class must not."""
        ref.is_place_known = False
        if ref.place != CHECKED_BY_PARENT:
            ref.class_version = None
            return
        is_place_known = True
        if ref.children:
            own_children = get_own_children(module)
            if (
                self._has_dict_versions
                and own_children is not None
                and not any(below for _, _, below in ref.children)
            ):
                ref.children_version = dict_versions[id(own_children) >> 3]
                # Another thread may have changed them meanwhile.
                is_place_known = ref.children == self._read_children(module)
            else:
                is_place_known = False
        ref.is_place_known = is_place_known
        ref.class_version = version if is_place_known else None

    def _has_same_children(self, module: Any, ref: ModuleRef) -> bool:
        """Return whether a module has the children that it had when it was named.

        Versions of dictionaries tell it without a look at each child: a ModuleList may be long."""
        if ref.versions is not None and self._has_versions(module, ref.versions):
            return True
        versions = self._read_versions(module)  # first: another thread may change them meanwhile
        if ref.children != self._read_children(module):
            return False
        ref.versions = versions
        return True

    def _read_versions(self, module: Any) -> _Versions | None:
        """Return the versions of the dictionaries of a module's children; None if unknown."""
        own_children = get_own_children(module)
        if own_children is None or not self._has_dict_versions:
            return None
        version = dict_versions[id(own_children) >> 3]
        below = []
        for name, child in list(own_children.items()):
            if child is not None and self._is_container(child):
                versions = self._read_versions(child)
                if versions is None:
                    return None
                below.append((name, id(type(child)), versions))
        return version, tuple(below)

    def _has_versions(self, module: Any, versions: _Versions) -> bool:
        own_children = get_own_children(module)
        version, below = versions
        if own_children is None or dict_versions[id(own_children) >> 3] != version:
            return False
        return all(
            id(type(own_children[name])) == cls and self._has_versions(own_children[name], inner)
            for name, cls, inner in below
        )

    def _read_children(self, module: Any) -> _Children:
        return tuple(
            (name, id(child), self._read_children(child) if self._is_container(child) else ())
            for name, child in list_children(module)
        )

    def _holds(self, parent: Any, module: Any) -> bool:
        return any(
            child is module or (self._is_container(child) and self._holds(child, module))
            for _, child in list_children(parent)
        )

    def _is_container(self, module: Any) -> bool:
        return self._rules.is_container(module)
