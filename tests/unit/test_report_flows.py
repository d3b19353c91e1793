"""Flows of ranges and marks, where the processes have an unusual layout."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from autoinstr.report.timeline.annotations import Annotations
from autoinstr.report.timeline.flows import Flows
from tests.support.report_fakes import Event, FakeRecording


def part(start: int, message: str, step: str | None) -> Event:
    fields = {"phase": "decode", **({"step": step} if step else {})}
    return Event(start, start + 5, "", "", domain="vllm", message=message, fields=fields)


def of_request(time: int, message: str, request: str) -> Event:
    return Event(
        time,
        time,
        "",
        "",
        domain="vllm",
        kind="mark",
        message=f"request.{message}",
        fields={"request": request},
    )


def joined(*recordings: FakeRecording) -> list[list[tuple[int, str, str]]]:
    """Return the flows with several points: (recording, message, position), in order."""
    flows = Flows(recordings)  # type: ignore[arg-type]
    found: dict[tuple[int, int], list[tuple[int, str, str]]] = defaultdict(list)
    for at, recording in enumerate(recordings):
        served = Annotations(recording, lambda fields: b"").serving  # type: ignore[arg-type]
        for mention, its in flows.list_flows(at, served):
            for flow in its:
                assert 1 << 52 <= flow.id < 1 << 53
                found[flow.id, flow.occurrence].append((at, mention.message, flow.position))
    return sorted(on for on in found.values() if len(on) > 1)


ENGINE = [part(10, "sched.schedule", "a@0"), part(50, "sched.update_from_output", "a@0")]
WORKER = [part(20, "worker.execute_model", "a@0"), part(21, "runner.execute_model", "a@0")]


def through(engine: int, worker: int) -> list[tuple[int, str, str]]:
    there = [(engine, "sched.schedule", "s"), (engine, "sched.update_from_output", "f")]
    return sorted(
        [*there, (worker, "worker.execute_model", "t")],
        key=lambda one: (one[0], one[2] == "f", one[1]),
    )


def test_a_worker_in_the_process_of_its_engine() -> None:
    both = FakeRecording([*ENGINE, *WORKER], roles=["EngineCore", "Worker"])
    assert joined(both) == [
        [
            (0, "sched.schedule", "s"),
            (0, "worker.execute_model", "t"),
            (0, "sched.update_from_output", "f"),
        ]
    ]


def test_workers_are_their_parents_and_those_of_nobody_are_every_engines_that_has_none() -> None:
    def process(
        events: list[Event], role: str, pid: int, parent: int = 0, host: str = "host"
    ) -> FakeRecording:
        return FakeRecording(events, roles=[role], pid=pid, host=host, header={"ppid": parent})

    engine, child = process(ENGINE, "EngineCore", 2), process(WORKER, "Worker", 3, parent=2)
    same_number = process(WORKER, "Worker", 4, parent=2, host="other")
    assert joined(engine, child, same_number) == [through(0, 1)]
    remote = process(ENGINE, "EngineCore", 12)
    assert joined(remote, same_number) == [through(0, 1)]
    # The engine that has a Worker is not joined to the one whose engine is not known; the other one
    # is.
    assert joined(engine, child, remote, same_number) == sorted([through(0, 1), through(2, 3)])
    # Without any Worker the two halves of a step are still one.
    assert joined(engine) == [[(0, "sched.schedule", "s"), (0, "sched.update_from_output", "f")]]


def test_a_step_without_a_name_and_what_is_inside_another_part_is_on_no_flow() -> None:
    idle = [part(1, "sched.schedule", None), part(3, "sched.update_from_output", None)]
    inner = [part(11, "npu.sched.ascend", "a@0"), part(51, "npu.sched.ascend_update", "a@0")]
    assert joined(FakeRecording([*idle, *ENGINE, *inner], roles=["EngineCore"])) == [
        [(0, "sched.schedule", "s"), (0, "sched.update_from_output", "f")]
    ]


def test_names_that_come_again_are_flows_of_their_own() -> None:
    def again(events: list[Event]) -> list[Event]:
        return [
            *events,
            *(
                event._replace(start=event.start + 100, end=(event.end or 0) + 100)
                for event in events
            ),
        ]

    requests = [
        of_request(5, "queued", "a"),
        of_request(16, "scheduled", "a"),
        of_request(55, "first_token", "a"),
    ]
    front = [of_request(4, "arrived", "a"), of_request(60, "first_output", "a")]
    engine = FakeRecording(again([*ENGINE, *requests]), roles=["EngineCore"], pid=2)
    worker = FakeRecording(again(WORKER), roles=["Worker"], pid=3, header={"ppid": 2})
    api = FakeRecording(again(front), roles=["APIServer"], pid=1)
    request = [(0, "sched.schedule", "t"), (0, "first_token", "t"), (2, "first_output", "f")]
    assert joined(engine, worker, api) == sorted([through(0, 1), request] * 2)


def test_levels_are_written_where_they_change() -> None:
    def scheduled(start: int, **fields: Any) -> Event:
        return part(start, "sched.schedule", f"a@{start}")._replace(
            fields={"step": f"a@{start}", **fields}
        )

    events = [
        scheduled(10, prefills=1, decodes=2, tokens=9, kv_usage=0.5),
        scheduled(20, prefills=2, decodes=1, tokens=9, kv_usage=float("nan")),
        scheduled(30, prefills=0, decodes=4, tokens="many", kv_usage=0.25),
        scheduled(40, decodes=4, tokens=9),
    ]
    served = Annotations(FakeRecording(events), lambda fields: b"").serving  # type: ignore[arg-type]
    assert served.list_counter_changes() == {
        "batch size": [(10, 3), (30, 4)],
        "tokens in step": [(10, 9)],
        "KV cache usage (%)": [(10, 50.0), (30, 25.0)],
    }
