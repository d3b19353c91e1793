"""Tells whether a class, or a dictionary, has changed since it was last looked at.

CPython counts changes. Whatever changes what an attribute of an instance means (a store on the
class or an ancestor, other ancestors) gives the class a new version (`tp_version_tag`), which no
class had before. A dictionary gets a new version with each change (`ma_version_tag`, up to Python
3.13). Both are read where they lie in memory: that costs less than a clock read, and the owner is
alive during the read. `_are_class_versions_readable` tries it out at the start."""

from __future__ import annotations

import ctypes
import sys
import weakref
from functools import partial
from types import ModuleType
from typing import Any

from autoinstr.base.class_facts import get_entries

_CLASS_VERSION_OFFSET, _DICT_VERSION_OFFSET = 384, 24  # bytes; in CPython 3.9 to 3.14
_ADDRESSES = 1 << 57

# The place of a class's version, and the version for which the short path is right. A negative one
# is that of a class without short path. The hot path compares the version with the place's word.
ClassState = tuple["memoryview[int]", Any]


def _view_memory(address: int, words: int) -> memoryview[int]:
    memory = memoryview((ctypes.c_uint64 * words).from_address(address)).cast("B")
    return memory.cast("L") if ctypes.sizeof(ctypes.c_ulong) == 8 else memory.cast("Q")


# id(dictionary) >> 3 is the index of its version
dict_versions = _view_memory(_DICT_VERSION_OFFSET, _ADDRESSES // 8)
_NOWHERE = memoryview(bytes(8)).cast("L")
UNKNOWN: ClassState = (_NOWHERE, -1)


class StateRef(weakref.ReferenceType[type]):
    """Holds the state of a class that only its modules keep alive."""

    __slots__ = ("state",)
    state: ClassState


class ClassStates:
    """The states of classes.

    `held` has the classes that a Python module holds by their name, which live on anyway. `refs`
    has the other classes by id. They are gone when they die."""

    def __init__(self) -> None:
        self.held: dict[type, ClassState] = {}
        self.refs: dict[int, StateRef] = {}

    def find(self, cls: type) -> ClassState:
        """Return the state of a class, or UNKNOWN."""
        state = self.held.get(cls)
        if state is None:
            ref = self.refs.get(id(cls))
            state = UNKNOWN if ref is None else ref.state
        return state

    def read_version(self, cls: type) -> int:
        """Return the present version of a class; 0 if it has none."""
        word = self.find(cls)[0]
        if word is _NOWHERE:
            word = _find_version_word(cls)
        type.__getattribute__(cls, "__call__")  # a class gets its version by a lookup
        return word[0] & 0xFFFFFFFF

    def store(self, cls: type, version: int) -> ClassState:
        """Store the version of a class, and return its state."""
        for lost_class in [known for known in self.held if not _is_held_by_module(known)]:
            self._store_ref(lost_class, self.held.pop(lost_class))
        state = _find_version_word(cls), version
        if _is_held_by_module(cls):
            self.held[cls] = state
        else:
            self._store_ref(cls, state)
        return state

    def _store_ref(self, cls: type, state: ClassState) -> None:
        ref = StateRef(cls, partial(self.refs.pop, id(cls)))
        ref.state = state
        self.refs[id(cls)] = ref


def _find_version_word(cls: type) -> memoryview[int]:
    return _view_memory(id(cls) + _CLASS_VERSION_OFFSET, 1)


def _is_held_by_module(cls: type) -> bool:
    entries = get_entries(cls)
    module = sys.modules.get(str(entries.get("__module__")))
    value: Any = type(module) is ModuleType and module.__dict__.get(
        type.__dict__["__name__"].__get__(cls)
    )
    return value is cls


def are_class_versions_readable() -> bool:
    """Return whether this interpreter keeps versions of classes where this file looks for them."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    base: Any = type("Base", (), {})
    cls: Any = type("Class", (base,), {})
    states, versions = ClassStates(), []
    for owner in (None, base, cls, base):
        if owner is not None:
            owner.attribute = 1
        versions.append(states.read_version(cls))
        if versions[-1] != states.read_version(cls):
            return False
    return 0 not in versions and len(set(versions)) == len(versions)


def are_dict_versions_readable() -> bool:
    """Return whether this interpreter gives dictionaries versions."""
    table: dict[str, int] = {}
    versions = []
    for value in (1, 2, 3):
        table["key"] = value
        versions.append(dict_versions[id(table) >> 3])
        table[str(value)] = value
        versions.append(dict_versions[id(table) >> 3])
        del table[str(value)]
        versions.append(dict_versions[id(table) >> 3])
        if versions[-1] != dict_versions[id(table) >> 3]:
            return False
    return len(set(versions)) == len(versions)
