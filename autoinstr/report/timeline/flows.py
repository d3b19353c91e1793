"""Flows: the arrows between ranges and marks of vLLM's processes.

- A request has a flow from its own slice to the schedule of the first step that has it, then to its
  first token and to its first output.
- A step has one flow for each Worker: from schedule to execute_model in that Worker, and back to
  update_from_output.

The identity of a flow comes from what each process knows by itself: the id of the request and the
name of the step (`analysis/steps.py` joins steps by the same names). So each recording is written
without the others. A name that occurs again starts another flow. Perfetto's own format can
terminate a flow, so it separates them by time. Chrome's format cannot, so the number of the
occurrence is part of the flow's id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.labels import hash_track
from autoinstr.targets.step_parts import EXECUTE, LAUNCH, PART_KINDS, SCHEDULE, UPDATE

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording
    from autoinstr.report.timeline.serving_marks import ServingMark, ServingMarks

BEGIN, STEP, END = "s", "t", "f"  # the event types of Chrome's format
NO_WORKER = -1
# Distance between the ids of a step's flows to its Workers. It keeps them far from one another and
# from the flows of other steps.
_WORKER_STRIDE = 0x9E3779B97F4A7
_FIRST_MARKS = ("arrived", "queued")
_FLOW_KINDS = {LAUNCH: SCHEDULE}  # a launch begins the flows of its step
_MARK_POSITIONS = {"first_token": STEP, "first_output": END}


class Flow(NamedTuple):
    """One point of a flow, at a range or mark.

    `id` is a hash that a double can hold. It is larger than any id that Kineto gives to a flow.
    `position` is BEGIN, STEP or END. `occurrence` counts the earlier flows of the same name in the
    process.
    """

    id: int
    position: str
    occurrence: int


class Flows:
    """The flows of a run."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._salt = hash_track(recordings[0]) if recordings else 0
        engines = [
            index for index, recording in enumerate(recordings) if "EngineCore" in recording.roles
        ]
        # index of a Worker -> index of its EngineCore, or None where that is unknown
        self._engine_of_worker: dict[int, int | None] = {}
        for index, recording in enumerate(recordings):
            if "Worker" in recording.roles:
                parent = (recording.host, recording.header.get("ppid"))
                candidates = (
                    engine
                    for engine in engines
                    if engine == index
                    or (recordings[engine].host, recordings[engine].pid) == parent
                )
                self._engine_of_worker[index] = next(candidates, None)

    def make_request_id(self, request: str) -> int:
        """Return the flow id of a request."""
        return self._make_id("request", request)

    def list_flows(self, index: int, serving: ServingMarks) -> list[tuple[ServingMark, list[Flow]]]:
        """Return the ranges and marks that are on flows, with these flows.

        `index` is the index of the recording in the run.
        """
        workers = self._list_workers(index)
        counts: Counter[tuple[str, str | None]] = Counter()
        schedule_flows: dict[int, list[Flow]] = {}  # thread -> the flows of its latest schedule
        events = [
            (part, _FLOW_KINDS.get(PART_KINDS[part.message], PART_KINDS[part.message]))
            for part in serving.list_outermost_parts()
        ]
        events += [(mark, mark.message) for mark in serving.request_marks]
        flows_of_marks: list[tuple[ServingMark, list[Flow]]] = []
        for mark, kind in sorted(events, key=lambda event: event[0].start):
            flows: list[Flow] = []
            name = mark.owner or ""
            if kind in (SCHEDULE, EXECUTE, *_FIRST_MARKS):
                counts[kind, name] += 1
            if kind == SCHEDULE:
                flows = self._make_step_flows(name, workers, BEGIN, counts[SCHEDULE, name])
                schedule_flows[mark.thread] = flows
            elif kind == EXECUTE:
                flows = self._make_step_flows(name, [index], STEP, counts[EXECUTE, name])
            elif kind == UPDATE:
                flows = self._make_step_flows(name, workers, END, counts[SCHEDULE, name])
            elif kind == "scheduled" and mark.thread in schedule_flows:
                occurrence = max(counts["queued", name] - 1, 0)
                flow = Flow(self.make_request_id(name), STEP, occurrence)
                schedule_flows[mark.thread].append(flow)
            elif kind in _MARK_POSITIONS:
                occurrence = max(counts["queued", name], counts["arrived", name], 1) - 1
                flows = [Flow(self.make_request_id(name), _MARK_POSITIONS[kind], occurrence)]
            flows_of_marks.append((mark, flows))
        # A schedule range may get the flows of requests after it was added to the list.
        return [(mark, flows) for mark, flows in flows_of_marks if flows]

    def _list_workers(self, engine: int) -> list[int]:
        """Return the Workers of an engine: its child processes.

        Without child processes, return the Workers whose engine is unknown (on another host, or not
        in this run).
        """
        items = self._engine_of_worker.items()
        children = [worker for worker, parent in items if parent == engine]
        orphans = [worker for worker, parent in items if parent is None]
        return children or orphans or [NO_WORKER]

    def _make_step_flows(
        self, step: str, workers: list[int], position: str, count: int
    ) -> list[Flow]:
        """Return one flow for each Worker; none for a step without a name."""
        if not step:
            return []
        step_id, occurrence = self._make_id("step", step), max(count - 1, 0)
        return [
            Flow((step_id + _WORKER_STRIDE * worker) % (1 << 52) | 1 << 52, position, occurrence)
            for worker in workers
        ]

    def _make_id(self, kind: str, name: str) -> int:
        key = f"{self._salt}\0{kind}\0{name}".encode("utf-8", "surrogatepass")
        digest = blake2b(key, digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 12 | 1 << 52
