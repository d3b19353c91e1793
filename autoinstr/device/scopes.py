"""Paths of calls as numbers, and the place of a launch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

ROOT = 0  # the scope outside all modules


class Place(NamedTuple):
    """Where a launch belongs, and how that was found. `reason` is an index of bases.REASONS."""

    scope: int
    basis: int
    reason: int = -1


class Scopes:
    """Paths of calls as numbers. The root is 0.

    `keys` has the key of the last call of each path, and `parents` the path without it. `calls` and
    `host_ns` have the number of its calls and their time on the host.
    """

    def __init__(self) -> None:
        self.keys: list[Hashable] = [None]
        self.parents: list[int] = [-1]
        self.calls = [0]
        self.host_ns = [0]
        self._numbers: dict[tuple[int, Hashable], int] = {}

    def enter(self, parent: int, key: Hashable) -> int:
        """Return the path of a call inside another path."""
        number = self._numbers.get((parent, key))
        if number is None:
            number = self._numbers[parent, key] = len(self.keys)
            self.keys.append(key)
            self.parents.append(parent)
            self.calls.append(0)
            self.host_ns.append(0)
        return number

    def count_call(self, scope: int, ns: int) -> None:
        """Count a call of a path."""
        self.calls[scope] += 1
        self.host_ns[scope] += ns

    def list_keys(self, scope: int) -> list[Hashable]:
        """Return the keys of a path, the outermost call first."""
        keys = []
        while scope:
            keys.append(self.keys[scope])
            scope = self.parents[scope]
        return keys[::-1]
