"""Match traces with recordings, and assign a rank to each process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.device_join import find_recording
from autoinstr.base.errors import UsageError
from autoinstr.device.kineto.owner import TraceOwner, read_owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.recording.reader import Recording


class ProcessTrace(NamedTuple):
    """A trace of `--kineto`, and the process that it was made in."""

    path: str
    owner: TraceOwner


def match_traces(recordings: Sequence[Recording], paths: Sequence[str]) -> dict[int, ProcessTrace]:
    """Return index of a recording -> its trace, for recordings that have a trace.

    A process is identified by its pid. If several processes of the run have one pid (on other
    machines or in other containers), the rank decides. Raise AutoinstrError for a trace of a
    process that is not in the run, UsageError for two traces of one process.
    """
    traces: dict[int, ProcessTrace] = {}
    for path in paths:
        if not os.path.isfile(path):
            raise UsageError(f"--kineto {path}: there is no such file")
        trace = ProcessTrace(path, read_owner(path))
        index = find_recording(recordings, trace.path, *trace.owner)
        if index in traces:
            raise UsageError(
                f"--kineto {path}: is of the same process as {traces[index].path} "
                f"(pid {trace.owner.pid}); give only one of them"
            )
        traces[index] = trace
    return traces


def assign_ranks(recordings: Sequence[Recording], traces: dict[int, ProcessTrace]) -> list[int]:
    """Return a rank for each recording: from torch.distributed, else from its trace.

    Recordings without a rank, or with a rank that another one has, get the next free ranks, in
    order.
    """
    known_ranks: list[int | None] = []
    for index, recording in enumerate(recordings):
        rank = recording.rank
        if rank is None and index in traces:
            rank = traces[index].owner.rank
        is_free = rank is not None and rank >= 0 and rank not in known_ranks
        known_ranks.append(rank if is_free else None)
    assigned_ranks = {rank for rank in known_ranks if rank is not None}
    limit = len(known_ranks) + len(assigned_ranks) + 1
    free_ranks = (rank for rank in range(limit) if rank not in assigned_ranks)
    return [next(free_ranks) if rank is None else rank for rank in known_ranks]
