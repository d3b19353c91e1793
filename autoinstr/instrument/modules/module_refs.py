"""Ties: weak references to modules that carry what the hot path wants to know of each.

CPython leads from an object to its weak references, without a look into any table:
`module.__weakref__` is the first of them, and a new one with a callback comes first but for plain
ones (`weakref.ref(module)`, `weakref.proxy(module)`), which lie before all others. So a module
finds its own tie at a cost that does not grow with the number of modules, and nothing is kept on it
that a program could copy, pickle or list (docs/internals/benchmarks.md, "As numbers grow"). Where
somebody else's reference lies first, a table by id(module) leads to the tie."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any


class Tie(weakref.ReferenceType[Any]):
    """`name` is what the output calls the module (0 where the filter drops it), `cls` the class
    that this was decided for, None where that may not take the short path, and `of` the class in
    any case. None of them is there until `tie()` has come to it: whoever sees it earlier gets an
    AttributeError."""

    __slots__ = ("cls", "name", "of")

    name: Any
    cls: type | None
    of: type


class NumberTie(Tie):
    """Its name is the number of one in a recording."""

    __slots__ = ()


class MessageTie(Tie):
    """Its name is the message of a range of an emitter."""

    __slots__ = ()


def tie(kind: type[Tie], ties: dict[int, Any], module: Any, name: Any, plain: bool) -> Tie:
    """A new tie of `module`, put into `ties`, which it leaves when the module dies, by a function
    of C (names.py): the id may be another's then. The one before it goes. TypeError where the
    module cannot be referred to weakly."""
    key = id(module)
    new = kind(module, partial(ties.pop, key))
    new.cls = type(module) if plain else None
    new.of = type(module)
    new.name = name  # the last: the hot path reads it first
    ties[key] = new
    return new
