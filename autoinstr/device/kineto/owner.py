"""The process that a trace was made in, from the begin of the file."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

from autoinstr.device.kineto.trace_file import EVENTS, BadTrace, read_members
from autoinstr.device.kineto.values import is_host_category, is_integer, read_integer

NO_OPERATORS = (
    "has no operators: profile with torch.profiler.ProfilerActivity.CPU among the activities"
)


class TraceOwner(NamedTuple):
    """The process that a trace was made in.

    `rank` is None where the trace does not have it.
    """

    pid: int
    rank: int | None


def read_owner(path: str) -> TraceOwner:
    """Read a trace up to its first host event. Raise BadTrace if it has none."""
    rank = None
    with closing(read_members(path)) as trace_members:
        for key, value in trace_members:
            if not isinstance(value, dict):
                continue
            if key == "distributedInfo" and is_integer(value.get("rank")):
                rank = value["rank"]
            elif key == EVENTS and is_host_category(value.get("cat")):
                try:
                    return TraceOwner(read_integer(value.get("pid")), rank)
                except ValueError:
                    continue
    raise BadTrace(f"{path}: {NO_OPERATORS}")
