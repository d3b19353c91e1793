"""Transfer and wait of several collectives, added up."""

from __future__ import annotations


class CommunicationSum:
    """The kernels of one rank whose transfer is known, in nanoseconds.

    `waited_for` has the time that all ranks together waited, by the rank that came last."""

    __slots__ = ("kernels", "transfer_ns", "wait_ns", "waited_for")

    def __init__(self) -> None:
        self.kernels = self.transfer_ns = self.wait_ns = 0
        self.waited_for: dict[int, int] = {}

    def add_kernel(self, ns: int, transfer_ns: int, last_rank: int | None, waited_ns: int) -> None:
        """Add a kernel. All ranks of its collective together waited `waited_ns` for the last one;
        None where their kernels are not known."""
        self.kernels += 1
        self.transfer_ns += transfer_ns
        self.wait_ns += max(0, ns - transfer_ns)
        if last_rank is not None:
            self.waited_for[last_rank] = self.waited_for.get(last_rank, 0) + waited_ns

    def merge(self, addend: CommunicationSum) -> None:
        """Add other kernels."""
        self.kernels += addend.kernels
        self.transfer_ns += addend.transfer_ns
        self.wait_ns += addend.wait_ns
        for rank, ns in addend.waited_for.items():
            self.waited_for[rank] = self.waited_for.get(rank, 0) + ns

    @property
    def slowest_rank(self) -> int | None:
        """The rank that the others waited for the longest; None if nobody waited."""
        rank = max(self.waited_for, key=lambda rank: self.waited_for[rank], default=None)
        return rank if rank is not None and self.waited_for[rank] else None
