"""`--format speedscope`: a JSON file for <https://www.speedscope.app>, in its own format
(file-format-schema.json).

Each lane (lanes.py) is a profile of its own, from its first range to its last; all share one list
of names, which the recordings know beforehand. Times are whole nanoseconds since the run began. A
thread's domains and lanes come mixed, and a profile has to be written in one piece: the first lane
of a thread goes straight into the file, what others have waits in a temporary one until the thread
is over."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

from autoinstr import __version__
from autoinstr.analysis.blocks import FOREVER, Tick, last_time_if_open, no_tick, title
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import host_count, process_label, thread_label
from autoinstr.report.timeline.lanes import lane_label, lay
from autoinstr.report.timeline.spool import Spool, Spooled

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording, Run

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def write(run: Run, stream: BinaryIO, tick: Tick = no_tick) -> list[str]:
    """Write the whole file; returns what a reader should know beside. Memory: the names of the run,
    one block of ranges at a time, and 64 KiB for each lane of a thread."""
    recordings = run.recordings
    axis = Axis(recordings)
    hosts = host_count(recordings)
    begun = min(
        (one.clock_pairs[0][1] + offset for one, offset in zip(recordings, axis.offsets)), default=0
    )
    frames: dict[str, int] = {}
    for recording in recordings:
        for name in recording.names.values():
            if name.kind != "mark":
                frames.setdefault(title(name), len(frames))
    head = {
        "$schema": SCHEMA,
        "exporter": f"autoinstr@{__version__}",
        "name": os.path.basename(os.path.abspath(run.path)),
    }
    listed = ",\n".join(json.dumps({"name": frame}) for frame in frames)
    stream.write(
        f'{json.dumps(head)[:-1]}, "shared": {{"frames": [\n{listed}\n]}}, "profiles": ['.encode()
    )
    with closing(_Profiles(stream)) as profiles:
        for recording, offset in zip(recordings, axis.offsets):
            numbers = {
                number: frames[title(name)]
                for number, name in recording.names.items()
                if name.kind != "mark"
            }
            process = f"{process_label(recording, hosts)}, pid {recording.pid}"
            last = last_time_if_open(recording)

            def make(
                thread: int,
                domain: str,
                lane: int,
                recording: Recording = recording,
                shift: int = offset - begun,
                numbers: dict[int, int] = numbers,
                process: str = process,
                last: int = last,
            ) -> _Profile:
                label = f"{process}, {thread_label(recording, thread)}, {lane_label(domain, lane)}"
                return _Profile(
                    profiles, label, numbers, shift, last, profiles.place(recording, thread)
                )

            lay(recording, make, tick)
    stream.write(f'\n], "activeProfileIndex": {profiles.busiest}}}\n'.encode())
    if not profiles.cut:
        return []
    what = "1 range has" if profiles.cut == 1 else f"{profiles.cut:,} ranges have"
    return [f"{what} no end: shown up to the last thing that the process recorded"]


class _Profiles:
    """What the profiles of a file share."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.cut = 0  # ranges that never ended
        self.busiest = 0
        self._most = 0
        self._count = 0
        self._thread: tuple[Recording, int] | None = None
        self._spool = Spool()

    def place(self, recording: Recording, thread: int) -> Spooled | None:
        """Where the next lane's events wait; None: nowhere, it is the first of its thread."""
        if self._thread == (recording, thread):
            return Spooled(self._spool)
        self._thread = recording, thread
        self.close()
        self._spool = Spool()
        return None

    def close(self) -> None:
        """Give the temporary file up."""
        self._spool.close()

    def begin(self, label: str) -> None:
        """Begin a profile in the file."""
        head = f'{{"type":"evented","name":{json.dumps(label)},"unit":"nanoseconds","events":['
        self.stream.write(("," if self._count else "").encode() + f"\n{head}".encode())
        self._count += 1

    def end(self, first: int, last: int, ranges: int) -> None:
        """End it; the profile with the most ranges is shown first."""
        self.stream.write(f'],"startValue":{first},"endValue":{last}}}'.encode())
        if ranges > self._most:
            self._most, self.busiest = ranges, self._count - 1


class _Profile:
    """One profile. See lanes.Lane."""

    def __init__(
        self,
        profiles: _Profiles,
        label: str,
        numbers: dict[int, int],
        shift_ns: int,
        last_ns: int,
        waiting: Spooled | None,
    ) -> None:
        self._profiles = profiles
        self._label = label
        self._numbers = numbers
        self._shift_ns = shift_ns
        self._last_ns = last_ns
        self._waiting = waiting
        self._events = profiles.stream if waiting is None else waiting
        self._opened: list[tuple[int, str]] = [
            (FOREVER, "")
        ]  # when it ends, and the event for that
        self._words: dict[int, tuple[str, str]] = {}
        self._first: int | None = None
        self._ranges = 0

    def feed(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Open every range that nests in the open ones, after closing those that end before it."""
        rest: list[tuple[int, int, int]] = []
        out: list[str] = []
        add, opened, words, shift = out.append, self._opened, self._words, self._shift_ns
        before = ","
        if self._first is None:
            self._first, before = starts[0] + shift, ""
            if self._waiting is None:
                self._profiles.begin(self._label)
        for number in set(names).difference(words):
            frame = self._numbers[number]
            words[number] = (
                f'{{"type":"O","frame":{frame},"at":',
                f'{{"type":"C","frame":{frame},"at":',
            )
        top = opened[-1][0]
        for name, start, end in zip(names, starts, ends):
            while top <= start:
                add(f"{opened.pop()[1]}{top + shift}}}")
                top = opened[-1][0]
            if end > top:
                rest.append((name, start, end))
                continue
            begin, close = words[name]
            add(f"{begin}{start + shift}}}")
            opened.append((end, close))
            top = end
        self._ranges += len(names) - len(rest)
        if out:
            self._events.write(f"{before}{','.join(out)}\n".encode())
        return rest

    def mark(self, names: Sequence[int], times: Sequence[int]) -> None:
        """The format has no instants."""

    def finish(self) -> None:
        """Close what is open, where it has no end at the last time seen."""
        if self._first is None:
            return
        out: list[str] = []
        last = self._first
        while len(self._opened) > 1:
            end, close = self._opened.pop()
            if end == FOREVER:
                self._profiles.cut += 1
                end = self._last_ns
            last = max(last, end + self._shift_ns)
            out.append(f",{close}{end + self._shift_ns}}}")
        self._events.write("".join(out).encode())
        if self._waiting is not None:
            self._profiles.begin(self._label)
            self._waiting.copy_to(self._profiles.stream)
        self._profiles.end(self._first, last, self._ranges)
