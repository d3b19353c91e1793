"""Which processes a run should have and has not, as far as the recordings that are there tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.recording.reader import Recording

# Where one of vLLM's roles is, so is the other.
TOGETHER = (
    ("EngineCore", "Worker", "what its workers did"),
    ("Worker", "EngineCore", "what scheduled its steps"),
)
MOST_GAPS = 8  # that a line names


def missing(recordings: Sequence[Recording]) -> list[str]:
    """A line for each gap: ranks of a world that is otherwise there, roles that never come
    alone."""
    worlds: dict[int, set[int]] = {}
    for one in recordings:
        if isinstance(one.rank, int) and isinstance(one.world_size, int):
            worlds.setdefault(one.world_size, set()).add(one.rank)
    lines = []
    for size, ranks in sorted(worlds.items()):
        gaps = _gaps(ranks, size)
        if gaps:
            which = [
                str(low) if low == high else f"{low}-{high}" for low, high in gaps[:MOST_GAPS]
            ] + ["…"] * (len(gaps) > MOST_GAPS)
            single = len(gaps) == 1 and gaps[0][0] == gaps[0][1]
            words = ("rank", "is", "of it") if single else ("ranks", "are", "of them")
            lines.append(
                f"{words[0]} {', '.join(which)} of {size} {words[1]} missing: this run has no recording {words[2]}"
            )
    roles = {role for one in recordings for role in one.roles}
    for there, other, what in TOGETHER:
        if there in roles and other not in roles:
            lines.append(f"there is no {other} beside {there}: {what} is missing")
    return lines


def _gaps(ranks: set[int], size: int) -> list[tuple[int, int]]:
    """First and last of each run of ranks below `size` that are not there. The size is what a file
    says: no work may grow with it."""
    gaps = []
    expected = 0
    for rank in sorted(rank for rank in ranks if 0 <= rank < size):
        if rank > expected:
            gaps.append((expected, rank - 1))
        expected = rank + 1
    if expected < size:
        gaps.append((expected, size - 1))
    return gaps
