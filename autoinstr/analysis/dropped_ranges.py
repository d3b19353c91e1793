"""The remark about ranges and attributes that a recording dropped because it was full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.text import format_count

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording


def describe_dropped_ranges(recording: Recording) -> str:
    """Return "3 ranges dropped, because …"; "" if the recording dropped nothing."""
    dropped = []
    if recording.dropped_count:
        dropped.append(format_count(recording.dropped_count, "range"))
    if recording.dropped_attributes_count:
        ranges = format_count(recording.dropped_attributes_count, "range")
        dropped.append(f"the attributes of {ranges}")
    return (
        f"{' and '.join(dropped)} dropped, because the recording was full (option max_mb)"
        if dropped
        else ""
    )
