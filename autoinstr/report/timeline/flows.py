"""Which ranges and marks of vLLM's processes belong together: the arrows of a timeline, which
viewers call flows.

- A request: from its own slice to the schedule of the first step that has it, its first token, its
first output.
- A step, once for each Worker: from schedule to execute_model in that Worker, and back to
update_from_output.

Flows are named by what each process knows by itself, the id of the request and the name of the step
(as steps.py joins them), so that each recording is written without a look at the others. A name
that comes again is a flow of its own: Perfetto's own format ends flows, and so goes by the time;
where a flow does not end (Chrome's), it is the n-th of its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.attributes import EXECUTE, PARTS, SCHEDULE, UPDATE
from autoinstr.analysis.labels import track_uuid

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording
    from autoinstr.report.timeline.serving_marks import Mention, Served

BEGIN, NEXT, END = "s", "t", "f"  # as Chrome has them
NO_WORKER = -1
# the flows of a step to its Workers: far from one another, and from those of other steps
_APART = 0x9E3779B97F4A7
_FIRST_MARKS = ("arrived", "queued")
_OF_MARKS = {"first_token": NEXT, "first_output": END}


class Flow(NamedTuple):
    """That a range or mark is on a flow. `id`: a hash that a double can hold, larger than any
    number that Kineto gives a flow; `nth`: how many of this name this process had before."""

    id: int
    place: str
    nth: int


class Flows:
    """The flows of a run."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._salt = track_uuid(recordings[0]) if recordings else 0
        engines = [at for at, one in enumerate(recordings) if "EngineCore" in one.roles]
        self._engine_of: dict[int, int | None] = {}  # Worker -> EngineCore, where one can tell
        for at, one in enumerate(recordings):
            if "Worker" in one.roles:
                parent = (one.host, one.header.get("ppid"))
                own = (
                    engine
                    for engine in engines
                    if engine == at or (recordings[engine].host, recordings[engine].pid) == parent
                )
                self._engine_of[at] = next(own, None)

    def request(self, request: str) -> int:
        """The flow of a request."""
        return self._id("request", request)

    def of(self, at: int, served: Served) -> list[tuple[Mention, list[Flow]]]:
        """The ranges and marks in the recording of this index that are on flows."""
        found: list[tuple[Mention, list[Flow]]] = []
        workers = self._workers(at)
        count: Counter[tuple[str, str | None]] = Counter()
        schedules: dict[int, list[Flow]] = {}  # thread -> the flows of its latest schedule
        events = [(one, PARTS[one.message]) for one in served.outermost()] + [
            (one, one.message) for one in served.marks
        ]
        for one, kind in sorted(events, key=lambda event: event[0].start):
            flows: list[Flow] = []
            name = one.of or ""
            if kind in (SCHEDULE, EXECUTE, *_FIRST_MARKS):
                count[kind, name] += 1
            if kind == SCHEDULE:
                flows = schedules[one.thread] = self._steps(
                    name, workers, BEGIN, count[SCHEDULE, name]
                )
            elif kind == EXECUTE:
                flows = self._steps(name, [at], NEXT, count[EXECUTE, name])
            elif kind == UPDATE:
                flows = self._steps(name, workers, END, count[SCHEDULE, name])
            elif kind == "scheduled" and one.thread in schedules:
                schedules[one.thread].append(
                    Flow(self.request(name), NEXT, max(count["queued", name] - 1, 0))
                )
            elif kind in _OF_MARKS:
                nth = max(count["queued", name], count["arrived", name], 1) - 1
                flows = [Flow(self.request(name), _OF_MARKS[kind], nth)]
            found.append((one, flows))
        return [(one, flows) for one, flows in found if flows]

    def _workers(self, engine: int) -> list[int]:
        """The Workers of an engine: its children, else those whose engine is not known (of another
        host, or not in this run)."""
        mine = [worker for worker, its in self._engine_of.items() if its == engine]
        return (
            mine
            or [worker for worker, its in self._engine_of.items() if its is None]
            or [NO_WORKER]
        )

    def _steps(self, step: str, workers: list[int], place: str, count: int) -> list[Flow]:
        """The flows of a step that has a name."""
        if not step:
            return []
        first, nth = self._id("step", step), max(count - 1, 0)
        return [
            Flow((first + _APART * worker) % (1 << 52) | 1 << 52, place, nth) for worker in workers
        ]

    def _id(self, kind: str, name: str) -> int:
        text = f"{self._salt}\0{kind}\0{name}"
        return (
            int.from_bytes(
                blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
            )
            >> 12
            | 1 << 52
        )
