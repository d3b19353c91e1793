"""`--format speedscope`: write a JSON file for <https://www.speedscope.app>.

The format is speedscope's own (file-format-schema.json). Each lane (`lanes.py`) is one profile,
from its first range to its last. All profiles share one list of names, which the recordings define
in advance. Times are whole nanoseconds since the run began.

A profile must be contiguous in the file, but the domains and lanes of a thread come interleaved. So
the first lane of a thread goes straight into the file. The other lanes go to a temporary file until
the thread is complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

from autoinstr import __version__
from autoinstr.analysis.blocks import (
    NO_END_NS,
    ProgressTick,
    find_last_time_if_open,
    format_title,
    ignore_tick,
)
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import count_hosts, format_process_label, format_thread_label
from autoinstr.report.timeline.lanes import format_lane_label, write_lanes
from autoinstr.report.timeline.spool import SpooledText, SpoolFile

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def write(run: Run, stream: BinaryIO, tick: ProgressTick = ignore_tick) -> list[str]:
    """Write the file. Return notes for the user.

    Memory: the names of the run, one block of ranges at a time, and 64 KiB for each lane of a
    thread.
    """
    recordings = run.recordings
    axis = Axis(recordings)
    hosts = count_hosts(recordings)
    run_start = min(
        (
            recording.clock_pairs[0][1] + offset
            for recording, offset in zip(recordings, axis.offsets)
        ),
        default=0,
    )
    frames: dict[str, int] = {}  # title -> index in the file's list of names
    for recording in recordings:
        for name in recording.names.values():
            if name.kind != "mark":
                frames.setdefault(format_title(name), len(frames))
    head = {
        "$schema": SCHEMA,
        "exporter": f"autoinstr@{__version__}",
        "name": os.path.basename(os.path.abspath(run.path)),
    }
    frame_list = ",\n".join(json.dumps({"name": frame}) for frame in frames)
    shared = f'"shared": {{"frames": [\n{frame_list}\n]}}'
    stream.write(f'{json.dumps(head)[:-1]}, {shared}, "profiles": ['.encode())
    with closing(_ProfileWriter(stream)) as writer:
        for recording, offset in zip(recordings, axis.offsets):
            label = f"{format_process_label(recording, hosts)}, pid {recording.pid}"
            profiles = _ProcessProfiles(writer, recording, label, frames, offset - run_start)
            write_lanes(recording, profiles.open_lane, tick)
    stream.write(f'\n], "activeProfileIndex": {writer.busiest}}}\n'.encode())
    if not writer.unended:
        return []
    ranges = "1 range has" if writer.unended == 1 else f"{writer.unended:,} ranges have"
    return [f"{ranges} no end: shown up to the last time that the process recorded"]


class _ProfileWriter:
    """Write the profiles of a file, one after the other.

    `unended` counts the ranges that never ended. `busiest` is the index of the profile with the
    most ranges.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.unended = 0
        self.busiest = 0
        self._largest_range_count = 0
        self._profile_count = 0
        self._current_thread: tuple[Recording, int] | None = None
        self._spool_file = SpoolFile()

    def spool_lane(self, recording: Recording, thread: int) -> SpooledText | None:
        """Return where a lane's events wait; None for the first lane of a thread."""
        if self._current_thread == (recording, thread):
            return SpooledText(self._spool_file)
        self._current_thread = recording, thread
        self.close()
        self._spool_file = SpoolFile()
        return None

    def close(self) -> None:
        """Remove the temporary file."""
        self._spool_file.close()

    def begin_profile(self, label: str) -> None:
        """Begin a profile in the file."""
        separator = "," if self._profile_count else ""
        head = f'"type":"evented","name":{json.dumps(label)},"unit":"nanoseconds","events":['
        self.stream.write(f"{separator}\n{{{head}".encode())
        self._profile_count += 1

    def end_profile(self, first: int, last: int, range_count: int) -> None:
        """End the profile. speedscope shows the profile with the most ranges first."""
        self.stream.write(f'],"startValue":{first},"endValue":{last}}}'.encode())
        if range_count > self._largest_range_count:
            self._largest_range_count, self.busiest = range_count, self._profile_count - 1


class _ProcessProfiles:
    """The profiles of one process."""

    def __init__(
        self,
        writer: _ProfileWriter,
        recording: Recording,
        label: str,
        frames: dict[str, int],
        shift_ns: int,
    ) -> None:
        self._writer = writer
        self._recording = recording
        self._label = label
        self._frames = {
            number: frames[format_title(name)]
            for number, name in recording.names.items()
            if name.kind != "mark"
        }
        self._shift_ns = shift_ns
        self._last_ns = find_last_time_if_open(recording)

    def open_lane(self, thread: int, domain: str, lane: int) -> _SpeedscopeLane:
        """Return a lane."""
        thread_name = format_thread_label(self._recording, thread)
        return _SpeedscopeLane(
            self._writer,
            f"{self._label}, {thread_name}, {format_lane_label(domain, lane)}",
            self._frames,
            self._shift_ns,
            self._last_ns,
            self._writer.spool_lane(self._recording, thread),
        )


class _SpeedscopeLane:
    """One profile. Implements lanes.Lane."""

    def __init__(
        self,
        writer: _ProfileWriter,
        label: str,
        frames: dict[int, int],
        shift_ns: int,
        last_ns: int,
        spooled: SpooledText | None,
    ) -> None:
        self._writer = writer
        self._label = label
        self._frames = frames
        self._shift_ns = shift_ns
        self._last_ns = last_ns
        self._spooled = spooled
        self._events = writer.stream if spooled is None else spooled
        # (end, start of the close event) of the open ranges
        self._open_ranges: list[tuple[int, str]] = [(NO_END_NS, "")]
        self._event_heads: dict[int, tuple[str, str]] = {}
        self._first: int | None = None
        self._range_count = 0

    def add_ranges(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Write each range that nests in the open ranges. Return the others.

        Open ranges that end before a range begins are closed first.
        """
        overlapping: list[tuple[int, int, int]] = []
        events: list[str] = []
        add, open_ranges, heads, shift = (
            events.append,
            self._open_ranges,
            self._event_heads,
            self._shift_ns,
        )
        separator = ","
        if self._first is None:
            self._first, separator = starts[0] + shift, ""
            if self._spooled is None:
                self._writer.begin_profile(self._label)
        for number in set(names).difference(heads):
            frame = self._frames[number]
            heads[number] = (
                f'{{"type":"O","frame":{frame},"at":',
                f'{{"type":"C","frame":{frame},"at":',
            )
        top = open_ranges[-1][0]
        for name, start, end in zip(names, starts, ends):
            while top <= start:
                add(f"{open_ranges.pop()[1]}{top + shift}}}")
                top = open_ranges[-1][0]
            if end > top:
                overlapping.append((name, start, end))
                continue
            open_head, close_head = heads[name]
            add(f"{open_head}{start + shift}}}")
            open_ranges.append((end, close_head))
            top = end
        self._range_count += len(names) - len(overlapping)
        if events:
            self._events.write(f"{separator}{','.join(events)}\n".encode())
        return overlapping

    def add_marks(self, names: Sequence[int], times: Sequence[int]) -> None:
        """Drop the marks: the format has no instants."""

    def close(self) -> None:
        """Close the open ranges. A range without an end is closed at the last recorded time."""
        if self._first is None:
            return
        events: list[str] = []
        last = self._first
        while len(self._open_ranges) > 1:
            end, close_head = self._open_ranges.pop()
            if end == NO_END_NS:
                self._writer.unended += 1
                end = self._last_ns
            last = max(last, end + self._shift_ns)
            events.append(f",{close_head}{end + self._shift_ns}}}")
        self._events.write("".join(events).encode())
        if self._spooled is not None:
            self._writer.begin_profile(self._label)
            self._spooled.copy_to(self._writer.stream)
        self._writer.end_profile(self._first, last, self._range_count)
