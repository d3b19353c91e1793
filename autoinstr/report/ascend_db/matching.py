"""Which trace is of which process, and which rank each process is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.report.ascend_db.kineto import Owner, owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.recording.reader import Recording


class Given(NamedTuple):
    """A trace that was named, and whose it is."""

    path: str
    owner: Owner


def traces_of(recordings: Sequence[Recording], paths: Sequence[str]) -> dict[int, Given]:
    """The trace of each recording (by index) that has one. AutoinstrError for a trace of a process
    that is not in the run, UsageError for two of one process.

    A process is known by its number; where several of the run have it (on other machines, in other
    containers), by the rank as well."""
    found: dict[int, Given] = {}
    for path in paths:
        if not os.path.isfile(path):
            raise UsageError(f"--kineto {path}: there is no such file")
        given = Given(path, owner(path))
        at = _index(recordings, given)
        if at in found:
            raise UsageError(
                f"--kineto {path}: is of the same process as {found[at].path} (pid {given.owner.pid}); give one of them"
            )
        found[at] = given
    return found


def _index(recordings: Sequence[Recording], given: Given) -> int:
    pid, rank = given.owner
    alike = [at for at, one in enumerate(recordings) if one.pid == pid]
    ranks = [at for at in alike if rank is None or recordings[at].rank in (None, rank)]
    if len(ranks) == 1:
        return ranks[0]
    who = f"{given.path}: is of process {pid}" + (f", rank {rank}" if rank is not None else "")
    if ranks:
        raise AutoinstrError(
            f"{who}: {len(ranks)} processes of the run have that number, and no rank tells them apart"
        )
    there = ", ".join(
        f"{one.pid} ({one.role}{'' if one.rank is None else f', rank {one.rank}'})"
        for one in recordings[:20]
    )
    raise AutoinstrError(
        f"{who}, which is not in this run (there are: {there}): a trace of another run?"
    )


def ranks_of(recordings: Sequence[Recording], traces: dict[int, Given]) -> list[int]:
    """A rank for each: its own in torch.distributed, or what its trace says; those that have none,
    or one that is taken, get the next free ones, in order."""
    own: list[int | None] = []
    for at, recording in enumerate(recordings):
        rank = recording.rank
        if rank is None and at in traces:
            rank = traces[at].owner.rank
        own.append(rank if rank is not None and rank >= 0 and rank not in own else None)
    taken = {rank for rank in own if rank is not None}
    free = (number for number in range(len(own) + len(taken) + 1) if number not in taken)
    return [next(free) if rank is None else rank for rank in own]
