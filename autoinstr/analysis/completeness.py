"""The processes that a run should have but lacks, as far as its recordings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.recording.reader import Recording

# Roles of vLLM that come together: a role, the role that must be there too, and what it records.
ROLE_PAIRS = (
    ("EngineCore", "Worker", "what its workers did"),
    ("Worker", "EngineCore", "what scheduled its steps"),
)
NAMED_GAPS = 8  # gaps that a line names


def describe_missing_processes(recordings: Sequence[Recording]) -> list[str]:
    """Return a line for each gap: missing ranks of a world, and missing roles of vLLM."""
    worlds: dict[int, set[int]] = {}
    for recording in recordings:
        if isinstance(recording.rank, int) and isinstance(recording.world_size, int):
            worlds.setdefault(recording.world_size, set()).add(recording.rank)
    lines = []
    for size, ranks in sorted(worlds.items()):
        gaps = _find_gaps(ranks, size)
        if gaps:
            lines.append(_describe_gaps(gaps, size))
    roles = {role for recording in recordings for role in recording.roles}
    for role, companion, work in ROLE_PAIRS:
        if role in roles and companion not in roles:
            lines.append(f"there is no {companion} beside {role}: {work} is missing")
    return lines


def _describe_gaps(gaps: list[tuple[int, int]], size: int) -> str:
    names = [str(low) if low == high else f"{low}-{high}" for low, high in gaps[:NAMED_GAPS]]
    if len(gaps) > NAMED_GAPS:
        names.append("…")
    if len(gaps) == 1 and gaps[0][0] == gaps[0][1]:
        return f"rank {names[0]} of {size} is missing: this run has no recording of it"
    ranks = ", ".join(names)
    return f"ranks {ranks} of {size} are missing: this run has no recording of them"


def _find_gaps(ranks: set[int], size: int) -> list[tuple[int, int]]:
    """Return the first and last of each run of missing ranks below `size`.

    A file says the size, so the work must not grow with it."""
    gaps = []
    expected = 0
    for rank in sorted(rank for rank in ranks if 0 <= rank < size):
        if rank > expected:
            gaps.append((expected, rank - 1))
        expected = rank + 1
    if expected < size:
        gaps.append((expected, size - 1))
    return gaps
