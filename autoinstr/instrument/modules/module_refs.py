"""Weak references to modules that carry what the hot path needs to know about each module.

CPython reaches the weak references of an object without a table: `module.__weakref__` is the first
of them. A new reference with a callback goes to the front, behind references without a callback
(`weakref.ref(module)`, `weakref.proxy(module)`). So the cost of a lookup does not grow with the
number of modules. Nothing is stored on the module that a program could copy, pickle or list
(docs/internals/benchmarks.md, "Growth"). Where another reference comes first, a table by
id(module) leads to the ModuleRef."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any


class ModuleRef(weakref.ReferenceType[Any]):
    """Holds what was decided for one module.

    `name` is what the output calls the module; 0 if the filter excludes it. `class_version` is the
    number in the state of its class (class_versions.py), the same object; None as long as calls
    must not take the short path. `children_version` is the version of the dictionary of its
    children; None if it has none. `is_place_known` says that no more must be checked to know that
    the name is current, besides the class. `add_ref` sets them: an earlier read raises
    AttributeError."""

    __slots__ = (
        "children",
        "children_version",
        "class_ref",
        "class_version",
        "is_place_known",
        "name",
        "place",
        "versions",
    )

    name: Any
    class_version: int | None
    children_version: int | None
    is_place_known: bool
    class_ref: weakref.ReferenceType[type]
    children: tuple[Any, ...]  # what read_children returned
    place: int  # one of the constants of name_cache.py
    versions: Any  # what read_versions returned when these children were seen last, or None


class NumberRef(ModuleRef):
    """Its name is the number of a name in a recording."""

    __slots__ = ()


class MessageRef(ModuleRef):
    """Its name is the message of an emitter's range."""

    __slots__ = ()


def add_ref(ref_class: type[ModuleRef], refs: dict[int, Any], module: Any, name: Any) -> ModuleRef:
    """Return a new reference to `module` and store it in `refs`, in place of an earlier one.

    Calls do not take the short path yet. The entry is removed when the module dies, because its id
    can then belong to another object. The callback is a C function: an exception of a signal
    handler would be lost in a Python callback. TypeError if the module cannot have weak
    references."""
    key = id(module)
    ref = ref_class(module, partial(refs.pop, key))
    ref.class_version = ref.children_version = None
    ref.class_ref = weakref.ref(type(module))
    ref.children, ref.place, ref.is_place_known, ref.versions = (), 0, False, None
    ref.name = name  # last, because the hot path reads it first
    refs[key] = ref
    return ref
