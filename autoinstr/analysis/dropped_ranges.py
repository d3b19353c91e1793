"""The remark about ranges that a recording dropped because it was full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.text import format_count

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording


def describe_dropped_ranges(recording: Recording) -> str:
    """Return "3 ranges dropped, because …"; "" if the recording dropped none."""
    if not recording.dropped_count:
        return ""
    ranges = format_count(recording.dropped_count, "range")
    return f"{ranges} dropped, because the recording was full (option max_mb)"
