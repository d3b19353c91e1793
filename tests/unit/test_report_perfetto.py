"""The hand-written Perfetto trace, read back with Perfetto's own protobuf classes."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.blocks import format_title
from autoinstr.report.timeline import perfetto
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording, run_of
from tests.support.timelines import RECORDINGS

perfetto_trace_pb2 = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")

WALL, PERF = 1_795_389_621_000_000_123, 1_000


class Decoded:
    """Slices and instants as Perfetto draws them: an end ends the latest slice of its track."""

    def __init__(self, payload: bytes) -> None:
        trace = perfetto_trace_pb2.Trace()
        trace.ParseFromString(payload)
        self.tracks: dict[int, Any] = {}
        self.slices: list[
            tuple[int, str, int, int | None, int]
        ] = []  # track, name, start, end, depth
        self.instants: list[tuple[int, str, int]] = []
        self.attributes: dict[tuple[str, int], dict[str, Any]] = {}  # (name, time) -> fields
        self.wall_at_zero = 0
        stacks: dict[int, list[tuple[str, int]]] = {}
        state: dict[int, dict[str, Any]] = {}
        for packet in trace.packet:
            mine = state.setdefault(
                packet.trusted_packet_sequence_id, {"names": {}, "clock": None, "track": None}
            )
            if packet.sequence_flags & 1:
                mine.update(names={}, clock=None)
            if packet.HasField("trace_packet_defaults"):
                assert packet.trace_packet_defaults.timestamp_clock_id == 64
                mine["track"] = packet.trace_packet_defaults.track_event_defaults.track_uuid
            if packet.HasField("clock_snapshot"):
                clocks = {clock.clock_id: clock for clock in packet.clock_snapshot.clocks}
                if 64 in clocks:
                    assert clocks[64].is_incremental
                    mine["clock"] = clocks[6].timestamp
                else:
                    assert clocks[6].timestamp == 0
                    assert packet.clock_snapshot.primary_trace_clock == 6
                    self.wall_at_zero = clocks[1].timestamp
            if packet.HasField("track_descriptor"):
                assert packet.track_descriptor.uuid not in self.tracks
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
            for entry in packet.interned_data.event_names:
                mine["names"][entry.iid] = entry.name
            if packet.HasField("track_event"):
                assert packet.sequence_flags == 2
                mine["clock"] += packet.timestamp
                event, track, now = packet.track_event, mine["track"], mine["clock"]
                stack = stacks.setdefault(track, [])
                if event.debug_annotations:
                    assert event.type in (1, 3)
                    fields = {one.name: value_of(one) for one in event.debug_annotations}
                    self.attributes[mine["names"][event.name_iid], now] = fields
                if event.type == 1:
                    stack.append((mine["names"][event.name_iid], now))
                elif event.type == 2:
                    name, start = stack.pop()
                    self.slices.append((track, name, start, now, len(stack)))
                else:
                    assert event.type == 3
                    self.instants.append((track, mine["names"][event.name_iid], now))
        for track, stack in stacks.items():
            self.slices += [
                (track, name, start, None, depth) for depth, (name, start) in enumerate(stack)
            ]

    def where(self, track: int) -> tuple[int, int, str]:
        """Return (pid, tid, domain) of a track, from its parents."""
        lane = self.tracks[track]
        thread = self.tracks[lane.parent_uuid].thread
        process = self.tracks[self.tracks[lane.parent_uuid].parent_uuid].process
        assert process.pid == thread.pid
        return process.pid, thread.tid, lane.name.partition(",")[0]


def value_of(annotation: Any) -> Any:
    """Return the value of a DebugAnnotation, with its type."""
    if annotation.dict_entries:
        return {one.name: value_of(one) for one in annotation.dict_entries}
    if annotation.array_values:
        return [value_of(one) for one in annotation.array_values]
    which = annotation.WhichOneof("value")
    return [] if which is None else getattr(annotation, which)


def decode(*recordings: FakeRecording) -> Decoded:
    out = io.BytesIO()
    perfetto.write(run_of(*recordings), out)
    return Decoded(out.getvalue())


def expected(
    recording: FakeRecording, decoded: Decoded, pid: int, offset: int = WALL - PERF
) -> Counter[Any]:
    return Counter(
        (
            (pid, 4000 + event.thread, event.domain),
            format_title(recording.names[recording.number(event)])
            .encode("utf-8", "backslashreplace")
            .decode(),
            event.start + offset - decoded.wall_at_zero,
            None if event.end is None else event.end + offset - decoded.wall_at_zero,
        )
        for event in recording.events
        if event.kind == "range"
    )


def found(decoded: Decoded) -> Counter[Any]:
    return Counter(
        (decoded.where(track), name, start, end) for track, name, start, end, _ in decoded.slices
    )


@settings(max_examples=scale_examples(200))
@given(RECORDINGS, RECORDINGS, st.integers(1, 6))
def test_every_range_is_there_with_its_exact_begin_and_end(
    first: list[Event], second: list[Event], block: int
) -> None:
    one, two = FakeRecording(first, block=block, pid=7), FakeRecording(second, block=block, pid=8)
    decoded = decode(one, two)
    assert found(decoded) == expected(one, decoded, 7) + expected(two, decoded, 8)


@st.composite
def nested(draw: st.DrawFn) -> list[Event]:
    """Draw properly nested calls of one thread. Times are equal only where ranges are adjacent."""
    events: list[Event] = []
    now = 0

    def call(depth: int) -> None:
        nonlocal now
        at = len(events)
        start = now
        events.append(Event(start, start))
        now += draw(st.integers(1, 300_000))
        for _ in range(draw(st.integers(0, 3)) if depth < 4 else 0):
            call(depth + 1)
        now += draw(st.integers(1, 3))
        events[at] = Event(start, now, ".".join("x" * depth), f"Depth{depth}")

    for _ in range(draw(st.integers(1, 3))):
        call(0)
    return events


@settings(max_examples=scale_examples(100))
@given(nested(), st.integers(1, 9))
def test_nested_calls_stay_on_one_track_at_the_depth_they_ran(
    events: list[Event], block: int
) -> None:
    decoded = decode(FakeRecording(events, block=block))
    assert len({track for track, *_ in decoded.slices}) == 1
    assert sorted((start, depth) for _, _, start, _, depth in decoded.slices) == sorted(
        (event.start + WALL - PERF - decoded.wall_at_zero, int(event.cls[5:])) for event in events
    )


def test_tracks_are_named_after_role_rank_pid_thread_and_domain() -> None:
    decoded = decode(
        FakeRecording([Event(1, 2)], roles=["EngineCore", "Worker"], rank=1, world_size=2, pid=99)
    )
    assert [
        track.process.process_name for track in decoded.tracks.values() if track.HasField("process")
    ] == ["EngineCore+Worker rank 1 of 2, pid 99"]
    assert [
        (track.thread.tid, track.thread.thread_name)
        for track in decoded.tracks.values()
        if track.HasField("thread")
    ] == [(4001, "T1")]
    lanes = [track for track in decoded.tracks.values() if track.name]
    assert [(track.name, track.sibling_merge_behavior) for track in lanes] == [("Module", 2)]


def test_two_containers_with_the_same_numbers_do_not_mix() -> None:
    clock = [(WALL + 5_000_000_000, PERF)]
    decoded = decode(
        FakeRecording([Event(1, 9, "a")]),
        FakeRecording([Event(2, 12, "b")], host="other", clock_pairs=clock),
    )
    assert len({decoded.where(track)[0] for track, *_ in decoded.slices}) == 2
    assert [end - start for _, _, start, end, _ in decoded.slices] == [8, 10]
    assert [
        track.process.process_name for track in decoded.tracks.values() if track.HasField("process")
    ] == [
        "MainProcess on host, pid 77",
        "MainProcess on other, pid 77",
    ]


def test_marks_are_instants_on_the_track_of_their_domain() -> None:
    decoded = decode(
        FakeRecording(
            [
                Event(5, 30, "a"),
                Event(10, 10, kind="mark", message="here"),
                Event(20, 20, kind="mark", message="here"),
            ]
        )
    )
    zero = WALL - PERF - decoded.wall_at_zero
    assert [(name, time - zero) for _, name, time in decoded.instants] == [
        ("here", 10),
        ("here", 20),
    ]
    assert {track for track, *_ in decoded.instants} == {track for track, *_ in decoded.slices}


def test_a_trace_cut_anywhere_keeps_the_packets_before_the_cut() -> None:
    out = io.BytesIO()
    perfetto.write(
        run_of(FakeRecording([Event(10 * t, 10 * t + 5, f"layers.{t}") for t in range(20)])), out
    )
    whole = out.getvalue()
    begins = []
    for cut in range(0, len(whole), 7):
        at, packets = 0, []
        while at < cut:  # length-delimited packets: tag, length, body
            length, shift, head = 0, 0, at + 1
            while True:
                byte = whole[head]
                length |= (byte & 0x7F) << shift
                head, shift = head + 1, shift + 7
                if byte < 0x80:
                    break
            if head + length > cut:
                break
            packets.append(whole[at : head + length])
            at = head + length
        begins.append(len(Decoded(b"".join(packets)).slices))
    assert begins == sorted(begins)
    assert len(Decoded(whole).slices) == 20


def test_concatenated_traces_share_no_sequence_and_no_track() -> None:
    traces = []
    for pid in (1, 2):
        trace = perfetto_trace_pb2.Trace()
        out = io.BytesIO()
        perfetto.write(run_of(FakeRecording([Event(1, 2), Event(3, 4, thread=2)], pid=pid)), out)
        trace.ParseFromString(out.getvalue())
        traces.append(trace)
    events = [
        {p.trusted_packet_sequence_id for p in trace.packet if p.HasField("track_event")}
        for trace in traces
    ]
    tracks = [
        {p.track_descriptor.uuid for p in trace.packet if p.HasField("track_descriptor")}
        for trace in traces
    ]
    assert len(events[0]) == len(events[1]) == 2
    assert not events[0] & events[1]
    assert tracks[0] & tracks[1] == {
        0
    }  # the track of all tracks, which says how the others are ordered


JSON = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.text(min_size=1, max_size=4), inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=scale_examples(200))
@given(st.dictionaries(st.text(min_size=1, max_size=6), JSON, min_size=1, max_size=4))
def test_attributes_are_typed_annotations(fields: dict[str, Any]) -> None:
    events = [
        Event(10, 50, "a", fields=fields),
        Event(20, 40, "b"),
        Event(30, 30, kind="mark", message="m", fields=fields),
        Event(60, 70, "a"),
    ]
    decoded = decode(FakeRecording(events))
    zero = WALL - PERF - decoded.wall_at_zero
    assert decoded.attributes == {("a:Model", 10 + zero): fields, ("m", 30 + zero): fields}
    assert [type(value) for value in decoded.attributes["m", 30 + zero].values()] == [
        type(value) for value in fields.values()
    ]
    assert found(decoded) == expected(FakeRecording(events), decoded, 77)


def test_equal_values_of_different_types_keep_theirs() -> None:
    values = [1, True, 1.0, 0, False, 0.0]
    decoded = decode(
        FakeRecording(
            [
                Event(10 * at, 10 * at + 5, f"n{at}", fields={"n": value})
                for at, value in enumerate(values)
            ]
        )
    )
    assert [repr(fields["n"]) for fields in decoded.attributes.values()] == [
        repr(value) for value in values
    ]


def test_what_json_and_64_bits_cannot_hold_is_text() -> None:
    odd = {"big": 1 << 70, "low": -(1 << 70), "inf": float("inf"), "nothing": None, "empty": []}
    decoded = decode(FakeRecording([Event(10, 20, "a", fields=odd)]))
    (fields,) = decoded.attributes.values()
    assert fields == {
        "big": str(1 << 70),
        "low": str(-(1 << 70)),
        "inf": float("inf"),
        "nothing": "null",
        "empty": [],
    }


def test_ranges_of_one_name_keep_their_own_attributes_on_every_lane() -> None:
    events = [
        Event(10 * at, 10 * at + 15, "a", fields={"n": at} if at % 3 else None)
        for at in range(1, 20)
    ]
    open_one = Event(500, None, "a", fields={"n": "open"})
    decoded = decode(FakeRecording([*events, open_one, Event(5, 6, "a", thread=2)], block=4))
    zero = WALL - PERF - decoded.wall_at_zero
    assert {time - zero: fields["n"] for (_, time), fields in decoded.attributes.items()} == {
        **{10 * at: at for at in range(1, 20) if at % 3},
        500: "open",
    }
    assert len({track for track, *_ in decoded.slices}) == 3
