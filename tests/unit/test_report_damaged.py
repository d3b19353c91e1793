"""Timelines of files of the real writer that were cut off or damaged. They show exactly what the
reader finds in the files."""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.blocks import format_title
from autoinstr.analysis.runs import find_run
from autoinstr.recording.reader import Recording
from autoinstr.report.timeline import chrome, perfetto, speedscope
from tests.support.annotated import Entry, write
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event
from tests.support.timelines import RECORDINGS
from tests.unit import test_report_speedscope
from tests.unit.test_report_perfetto import Decoded

WALL, PERF = 1_795_389_621_000_000_000, 1_000

# (thread, domain, name, start, end); end None: it has none
Range = tuple[int, str, str, int, Any]


def in_file(recording: Recording) -> list[Range]:
    """Return the records that the reader finds."""
    found: list[Range] = []
    for thread, words, still_open in recording.read_blocks_with_open_ranges():
        records = [
            (name, start, end) for name, start, end in zip(words[0::3], words[1::3], words[2::3])
        ]
        for name, start, end in [*records, *((one.name, one.start_ns, None) for one in still_open)]:
            found.append(
                (
                    recording.threads[thread].tid,
                    recording.names[name].domain,
                    format_title(recording.names[name]),
                    start,
                    end,
                )
            )
    return found


def in_pftrace(payload: bytes) -> Counter[Range]:
    decoded = Decoded(payload)
    shift = WALL - PERF - decoded.wall_at_zero
    found: Counter[Range] = Counter()
    for track, name, start, end, _ in decoded.slices:
        _, tid, domain = decoded.where(track)
        found[tid, domain, name, start - shift, None if end is None else end - shift] += 1
    return found


def in_chrome(payload: bytes) -> Counter[Range]:
    trace = json.loads(payload, parse_float=Decimal)
    shift = WALL - PERF - trace["baseTimeNanoseconds"]
    rows = {
        event["tid"]: event["args"]["tid"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name"
    }
    found: Counter[Range] = Counter()
    for event in trace["traceEvents"]:
        if event["ph"] in "XB":
            start = int(event["ts"] * 1000) - shift
            end = start + int(event["dur"] * 1000) if event["ph"] == "X" else None
            found[rows[event["tid"]], event["cat"], event["name"], start, end] += 1
    return found


def in_speedscope(payload: bytes) -> Counter[Range]:
    found: Counter[Range] = Counter()
    for (label, name, start, end), count in test_report_speedscope.found(
        json.loads(payload)
    ).items():
        thread, domain = label.split(", ")[2:]
        found[
            4000 + int(thread.removeprefix("thread-")), domain, name, start + PERF, end + PERF
        ] += count
    return found


def written(writer: Any, folder: str) -> bytes:
    out = io.BytesIO()
    writer.write(find_run(folder), out)
    return out.getvalue()


@settings(max_examples=scale_examples(60))
@given(RECORDINGS, st.data())
def test_timelines_show_what_is_left(events: list[Event], data: st.DataObject) -> None:
    entries = [
        Entry(
            one.start,
            one.end,
            one.path,
            None,
            one.thread,
            one.domain,
            "range",
            one.path,
            one.cls if one.domain == "Module" else "",
        )
        for one in events
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(
            write(
                folder, entries, clock=(WALL, PERF), close=data.draw(st.booleans(), label="closed")
            )
        )
        whole = file.read_bytes()
        assert len(in_file(find_run(folder).recordings[0])) == len(events)
        cut = data.draw(st.integers(4096, len(whole)), label="cut at")
        broken = bytearray(whole[:cut])
        for at in data.draw(
            st.lists(st.integers(4096, max(4096, cut - 1)), max_size=3), label="bytes changed"
        ):
            if at < cut:
                broken[at] ^= data.draw(st.integers(1, 255))
        file.write_bytes(broken)
        recording = find_run(folder).recordings[0]
        left = in_file(recording)
        last = max((start if end is None else end for *_, start, end in left), default=0)
        assert in_chrome(written(chrome, folder)) == Counter(left)
        assert in_pftrace(written(perfetto, folder)) == Counter(
            (tid, domain, name.encode("utf-8", "backslashreplace").decode(), start, end)
            for tid, domain, name, start, end in left
        )
        assert in_speedscope(written(speedscope, folder)) == Counter(
            (tid, domain, name, start, last if end is None else end)
            for tid, domain, name, start, end in left
        )
