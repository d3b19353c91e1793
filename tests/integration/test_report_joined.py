"""Flows, counters and requests of a served run, as Perfetto's trace processor finds them in our
timelines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoinstr.analysis.runs import find_run
from tests.integration.test_report_recordings import written
from tests.support.annotated import Entry, mark, step_of, work_of, write
from tests.support.trace_processor import Trace, loaded

BASE = (
    1_795_389_621_000_000_000 - 1_000
)  # of tests.support.annotated.write: wall clock at perf_counter 0
# Engine 2 with two Workers, engine 12 with one. Steps overlap, and a@0 is scheduled again after a
# preemption.
STEPS = (
    (1_000, "a@0", "prefill"),
    (1_080, "a@7", "decode"),
    (2_000, "b@0", "prefill"),
    (3_000, "a@0", "prefill"),
)
OUTPUT = {"a": 1_200, "b": 2_200, "c": 1_210}
OTHER = ((1_010, "c@0", "prefill"), (1_500, "c@5", "decode"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "run"
    front = [Entry(200, 6_000, "front.loop")]
    for number, request in enumerate("abcd"):
        front.append(
            mark(
                300 + number,
                "request.arrived",
                request=request,
                **({"waited_ns": 50} if request == "a" else {}),
            )
        )
        if request != "d":
            front += [
                mark(OUTPUT[request], "request.first_output", request=request),
                mark(5_000, "request.completed", request=request),
            ]
    for pid, steps, requests in ((2, STEPS, "abd"), (12, OTHER, "c")):
        engine: list[Entry] = [mark(400, "request.queued", request=one) for one in requests]
        for start, step, phase in steps:
            schedule, update = step_of(start, step, phase, 2 if step == "b@0" else 1, 2)
            # A scheduler of vllm-ascend that calls the one it is made from: the inner one is no
            # step of its own.
            engine += [
                schedule,
                schedule._replace(start=start + 1, end=start + 9, message="npu.sched.ascend"),
                update,
            ]
        for request in requests.replace("d", ""):
            first = next(start for start, step, _ in steps if step == f"{request}@0")
            engine += [
                mark(first + 10, "request.scheduled", request=request),
                mark(first + 100, "request.first_token", request=request),
            ]
            engine.append(
                mark(
                    4_900,
                    "request.finished",
                    request=request,
                    reason="length",
                    output_tokens=4,
                    preemptions=0,
                )
            )
        write(str(folder), engine, pid=pid, header={"roles": ["EngineCore"]})
    workers = ((3, 2, 0, STEPS), (4, 2, 1, STEPS), (13, 12, 0, OTHER))
    for pid, parent, rank, steps in workers:
        work = [
            entry
            for start, step, phase in steps
            for entry in work_of(start + 20 + rank, step, phase)
        ]
        write(
            str(folder),
            work,
            pid=pid,
            header={"roles": ["Worker"], "rank": rank, "world_size": 2, "ppid": parent},
        )
    write(str(folder), front, pid=1, header={"roles": ["APIServer"]})
    return folder


@pytest.fixture(scope="module", params=["pftrace", "chrome"])
def trace(run: Path, request: pytest.FixtureRequest) -> Iterator[Trace]:
    with loaded(written(str(run), request.param)) as found:
        assert found.complaints() == []
        yield found


def zero(run: Path) -> int:
    """Return the perf_counter time of the zero of the trace."""
    return int(json.loads(written(str(run), "chrome"))["baseTimeNanoseconds"]) - BASE


def places(trace: Trace, run: Path) -> dict[int, tuple[int, str, int]]:
    """Map each slice to (pid, name, perf_counter time). A slice on its own track below a thread has
    the thread's pid."""
    tracks = {row[0]: row[1:] for row in trace.query("select id, parent_id, name from track")}
    pids = dict(trace.query("select t.id, p.pid from process_track t join process p using (upid)"))
    pids.update(
        trace.query(
            "select t.id, p.pid from thread_track t join thread using (utid) join process p using "
            "(upid)"
        )
    )

    def pid_of(track: int) -> int:
        while track not in pids:
            track = tracks[track][0]
            if track is None:
                return 0
        return pids[track] if pids[track] < 1 << 29 else 0

    base = zero(run)
    return {
        one: (pid_of(track), name, ts + base)
        for one, track, name, ts in trace.query("select id, track_id, name, ts from slice")
    }


def test_flows_go_from_request_to_schedule_to_every_worker_of_that_engine_and_back(
    trace: Trace, run: Path
) -> None:
    at = places(trace, run)
    found = Counter(
        (at[out], at[into]) for out, into in trace.query("select slice_out, slice_in from flow")
    )
    expected: list[tuple[tuple[int, str, int], tuple[int, str, int]]] = []
    for engine, steps, workers in ((2, STEPS, ((3, 0), (4, 1))), (12, OTHER, ((13, 0),))):
        for start, _, _ in steps:
            schedule, update = (
                (engine, "sched.schedule", start),
                (engine, "sched.update_from_output", start + 90),
            )
            for pid, rank in workers:
                execute = (pid, "worker.execute_model", start + 20 + rank)
                expected += [(schedule, execute), (execute, update)]
    for request, engine, arrived, step in (
        ("a", 2, 250, 1_000),
        ("b", 2, 301, 2_000),
        ("c", 12, 302, 1_010),
    ):
        schedule, first = (
            (engine, "sched.schedule", step),
            (engine, "request.first_token", step + 100),
        )
        chain = [
            (0, request, arrived),
            schedule,
            first,
            (1, "request.first_output", OUTPUT[request]),
        ]
        expected += list(zip(chain, chain[1:]))
    assert found == Counter(expected)


def test_every_request_has_its_phases_within_it(trace: Trace, run: Path) -> None:
    at = places(trace, run)
    rows = trace.query("select id, parent_id, dur from slice order by ts, depth")
    requests = {at[one][1]: one for one, parent, _ in rows if parent is None and at[one][0] == 0}
    assert sorted(requests) == ["a", "b", "c", "d"]
    lasted = {one: dur for one, _, dur in rows}
    shown = {
        name: [
            (at[child][1], at[child][2], lasted[child])
            for child, parent, _ in rows
            if parent == one
        ]
        for name, one in requests.items()
    }
    assert (at[requests["a"]][2], lasted[requests["a"]]) == (250, 4_750)
    assert shown["a"] == [("queue", 400, 610), ("prefill", 1_010, 90), ("decode", 1_100, 3_800)]
    assert shown["b"] == [("queue", 400, 1_610), ("prefill", 2_010, 90), ("decode", 2_100, 2_800)]
    assert (
        shown["d"] == [("queue", 400, -1)] and lasted[requests["d"]] == -1
    )  # never scheduled, never ended
    tracks = dict(trace.query("select id, track_id from slice"))
    assert (
        len({tracks[one] for one in requests.values()}) == 4
    )  # at the same time, so beside one another


def test_counters_have_what_schedules_said(trace: Trace, run: Path) -> None:
    base = zero(run)
    rows = trace.query(
        "select p.pid, t.name, c.ts, c.value from counter c join process_counter_track t on t.id "
        "= c.track_id join process p using (upid)"
    )
    found = {(pid, name.removesuffix(" value"), ts + base): value for pid, name, ts, value in rows}
    first = {
        "batch size": 3,
        "tokens in step": 5,
        "running requests": 3,
        "waiting requests": 1,
        "KV cache usage (%)": 25,
    }
    # Engine 2 has the same levels in every step but one, which is not written again.
    assert found == {
        **{
            (pid, name, start): value
            for pid, start in ((2, 1_000), (12, 1_010))
            for name, value in first.items()
        },
        (2, "batch size", 2_000): 4,
        (2, "running requests", 2_000): 4,
        (2, "tokens in step", 2_000): 8,
        (2, "batch size", 3_000): 3,
        (2, "running requests", 3_000): 3,
        (2, "tokens in step", 3_000): 5,
    }
    assert len(rows) == len(found)


def test_the_perfetto_trace_says_in_which_order_tracks_are_shown(run: Path) -> None:
    pb2 = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    trace = pb2.Trace()
    trace.ParseFromString(written(str(run), "pftrace"))
    tracks = {
        packet.track_descriptor.uuid: packet.track_descriptor
        for packet in trace.packet
        if packet.HasField("track_descriptor")
    }
    root = tracks.pop(0)
    explicit = (
        pb2.TrackDescriptor.PROCESS_ORDERING_EXPLICIT,
        pb2.TrackDescriptor.THREAD_ORDERING_EXPLICIT,
    )
    assert (root.process_ordering, root.thread_ordering) == explicit

    def children(parent: int) -> list[Any]:
        found = sorted(
            (one for one in tracks.values() if one.parent_uuid == parent),
            key=lambda one: one.sibling_order_rank,
        )
        assert len({one.sibling_order_rank for one in found}) == len(found)
        assert (
            len(found) < 2
            or tracks.get(parent, root).child_ordering == pb2.TrackDescriptor.EXPLICIT
        )
        return found

    top = children(0)
    recordings = find_run(str(run)).recordings
    engines = [
        f"requests of EngineCore, pid {recording.pid}"
        for recording in recordings
        if recording.role == "EngineCore"
    ]
    assert [one.name for one in top[:2]] == engines
    assert [one.process.pid for one in top[2:]] == [recording.pid for recording in recordings]
    engine = children(top[[one.process.pid for one in top].index(2)].uuid)
    assert [one.name or one.thread.thread_name for one in engine] == [
        *(
            "batch size",
            "tokens in step",
            "running requests",
            "waiting requests",
            "KV cache usage (%)",
        ),
        "thread-0",
    ]
    assert [one.name for one in children(engine[-1].uuid)] == ["vllm"]
    assert sum(len(children(one)) for one in [0, *tracks]) == len(tracks)


def test_a_flow_whose_other_end_is_not_in_the_run_harms_nothing(run: Path) -> None:
    from autoinstr.analysis.runs import select_processes
    from tests.integration.test_report_recordings import written_run

    for which in ("Worker", "EngineCore"):
        for kind in ("pftrace", "chrome"):
            with loaded(written_run(select_processes(find_run(str(run)), which), kind)) as trace:
                assert trace.complaints() == []
                assert trace.query("select count(*) as found from slice")[0][0] > 4
