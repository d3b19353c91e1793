"""Find the kernels of one collective in the profiles of all its ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.collectives.sums import CommunicationSum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Collective(NamedTuple):
    """A collective's kernel on one rank.

    `group` is the text that names its process group and kind, and `sequence` its number there.
    `size` is the number of ranks, if the profile says it, and `transit_ns` the time of the transfer
    (CANN measures it). `scope` is where it was launched."""

    group: str
    sequence: int
    size: int | None
    ns: int
    transit_ns: int | None
    scope: int


Key = tuple[str, int, int]  # group, sequence, and the place among kernels of the same number


def match_collectives(
    collectives: Mapping[int, Sequence[Collective]],
) -> dict[int, dict[int, CommunicationSum]]:
    """Return the sums by rank and scope, of the collectives that all their ranks have, or whose
    transfer is known.

    `collectives` are those of each rank. Where a profile does not say how many ranks a group has,
    these are the ranks that have anything of the group."""
    by_key: dict[Key, dict[int, Collective]] = {}
    ranks_of_group: dict[str, set[int]] = {}
    for rank, entries in collectives.items():
        counts: dict[tuple[str, int], int] = {}
        for entry in entries:
            number = counts.get((entry.group, entry.sequence), 0)
            counts[entry.group, entry.sequence] = number + 1
            by_key.setdefault((entry.group, entry.sequence, number), {})[rank] = entry
            ranks_of_group.setdefault(entry.group, set()).add(rank)
    sums: dict[int, dict[int, CommunicationSum]] = {rank: {} for rank in collectives}
    for (group, _, _), kernels in by_key.items():
        size = max((entry.size or 0 for entry in kernels.values()), default=0)
        shortest_ns = last_rank = None
        if 1 < len(kernels) == (size or len(ranks_of_group[group])):
            last_rank = min(kernels, key=lambda rank: (kernels[rank].ns, rank))
            shortest_ns = kernels[last_rank].ns
        waited_ns = sum(entry.ns - (shortest_ns or 0) for entry in kernels.values())
        for rank, entry in kernels.items():
            transfer_ns = shortest_ns if entry.transit_ns is None else entry.transit_ns
            if transfer_ns is None:
                continue
            by_scope = sums[rank]
            if entry.scope not in by_scope:
                by_scope[entry.scope] = CommunicationSum()
            by_scope[entry.scope].add_kernel(entry.ns, transfer_ns, last_rank, waited_ns)
    return sums
