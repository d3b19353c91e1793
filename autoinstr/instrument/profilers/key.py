"""The key of a running profiler.

The agent keeps keys, not counts: a stop without a start, a second start and a second stop change
nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class ProfilerKey(NamedTuple):
    """Identify one profiler of this process."""

    kind: str  # a word of emitters/profiler_kinds.py
    identity: int = 0  # id() of the profiler; 0 where a process has one profiler of the kind
