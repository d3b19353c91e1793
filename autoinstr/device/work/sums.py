"""The work of several operators, added up."""

from __future__ import annotations

from typing import Callable, Generic, TypeVar

P = TypeVar("P")  # where work belongs


class WorkSum:
    """FLOPs and operand bytes of `operators` that have a formula.

    `unknown` counts operators and replayed graphs of which the profile does not say their FLOPs,
    and `unknown_bytes` those of which it does not say their bytes."""

    __slots__ = ("flops", "operand_bytes", "operators", "unknown", "unknown_bytes")

    def __init__(self) -> None:
        self.operators = self.flops = self.operand_bytes = self.unknown = self.unknown_bytes = 0

    def add_operator(self, flops: int | None, operand_bytes: int | None) -> None:
        """Add one operator; None stands for an unknown cost."""
        self.operators += 1
        self.flops += flops or 0
        self.operand_bytes += operand_bytes or 0
        self.unknown += flops is None
        self.unknown_bytes += operand_bytes is None

    def add_unknown(self, count: int) -> None:
        """Add work of which nothing is known."""
        self.unknown += count
        self.unknown_bytes += count

    def merge(self, addend: WorkSum) -> None:
        """Add the work of others."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(addend, name))

    @property
    def known_flops(self) -> int | None:
        """The FLOPs; None without an operator, or if those of any are unknown."""
        return self.flops if self.operators and not self.unknown else None

    @property
    def least_flops(self) -> int | None:
        """The FLOPs of the operators whose FLOPs are known; None without any."""
        return self.flops or None

    @property
    def known_bytes(self) -> int | None:
        """The bytes of the operands; None without an operator, or if those of any are unknown."""
        return self.operand_bytes if self.operators and not self.unknown_bytes else None


class WorkByPlace(Generic[P]):
    """The work of operators by the place where each began, in order of time.

    What an operator with a formula calls is not counted again."""

    def __init__(self, find_place: Callable[[int, int], P]) -> None:
        """`find_place` returns the place of a thread at a time."""
        self.sums: dict[P, WorkSum] = {}
        self._find_place = find_place
        self._counted_until: dict[int, int] = {}  # by thread: the end of the latest operator

    def add(
        self, tid: int, start: int, end: int, flops: int | None, operand_bytes: int | None
    ) -> None:
        """Add an operator."""
        if start >= self._counted_until.get(tid, start):
            self._counted_until[tid] = end
            self.get_sum(self._find_place(tid, start)).add_operator(flops, operand_bytes)

    def get_sum(self, place: P) -> WorkSum:
        """Return the sum of a place."""
        if place not in self.sums:
            self.sums[place] = WorkSum()
        return self.sums[place]
