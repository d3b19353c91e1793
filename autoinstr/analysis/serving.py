"""The requests and the engine steps of a run, collected one recording after the other, and their
columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick, read_intact_blocks
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.engine_step import EngineStep
from autoinstr.analysis.phases import Phases
from autoinstr.analysis.request import Request
from autoinstr.analysis.requests import RequestCollector
from autoinstr.analysis.same_work import find_leaders
from autoinstr.analysis.steps import StepCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

REQUEST_COLUMNS = (
    "id", "external", "process", "arrived_ns", "queued_ns", "first_scheduled_ns", "first_token_ns",
    "first_output_ns", "finished_ns", "completed_ns", "prompt_tokens", "output_tokens",
    "cached_tokens", "preemptions", "reason", "state", "queue_ns", "ttft_ns", "engine_ttft_ns",
    "tpot_ns", "e2e_ns", "engine_e2e_ns",
)  # fmt: skip
STEP_COLUMNS = (
    "index", "process", "step", "phase", "start_ns", "duration_ns", "requests", "prefills",
    "decodes", "tokens", "running", "waiting", "kv_usage", "schedule_ns", "execute_ns", "sample_ns",
    "update_ns", "gap_ns", "request_ids",
)  # fmt: skip


class ServingCollector:
    """Collects requests and steps from recordings. Times are nanoseconds since 1970."""

    def __init__(self, run: Run) -> None:
        axis = Axis(run.recordings)
        self._offsets = [axis.base_ns + offset for offset in axis.offsets]
        self._leaders = find_leaders(run.recordings)
        self._requests = RequestCollector()
        self._steps = StepCollector()

    def add(self, process: int, attributes: RecordingAttributes) -> None:
        """Add the recording of this index.

        Its records must have been read before: that sets the ends of the step parts."""
        self._requests.add(process, attributes, self._offsets[process])
        self._steps.add(process, attributes, self._offsets[process])

    def list_requests(self) -> list[Request]:
        """Return the requests in order of arrival."""
        return self._requests.build_requests(self._leaders)

    def list_steps(self) -> list[EngineStep]:
        """Return the steps in order of start."""
        return self._steps.build_steps(self._leaders)


def read_requests(run: Run, tick: ProgressTick = ignore_tick) -> list[Request]:
    """Read the requests of a run. Only attributes are read; `tick` counts marks."""
    return _collect(run, read_request_marks, tick).list_requests()


def read_steps(run: Run, tick: ProgressTick = ignore_tick) -> list[EngineStep]:
    """Read the engine steps of a run."""
    return _collect(run, read_step_parts, tick).list_steps()


def _collect(
    run: Run, read: Callable[[Recording, ProgressTick], RecordingAttributes], tick: ProgressTick
) -> ServingCollector:
    serving = ServingCollector(run)
    indices = iter(range(len(run.recordings)))
    for attributes in run.read([read for _ in run.recordings], tick):
        serving.add(next(indices), attributes)
        del attributes  # free the memory before the next recording is read
    return serving


def read_request_marks(recording: Recording, tick: ProgressTick) -> RecordingAttributes:
    """Return the marks of requests of one recording."""
    attributes = collect_attributes(recording)
    attributes.parts.clear()
    attributes.ranges.clear()
    tick(sum(map(len, attributes.requests.values())))
    return attributes


def read_step_parts(recording: Recording, tick: ProgressTick) -> RecordingAttributes:
    """Return the parts of steps of one recording, with their ends."""
    attributes = collect_attributes(recording)
    attributes.requests.clear()
    phases = Phases(recording, attributes)
    for thread, words in read_intact_blocks(recording) if attributes.parts else ():
        phases.find_ends(thread, words[0::3], words[1::3], words[2::3])
        tick(len(words) // 3)
    attributes.ranges.clear()
    return attributes


def build_request_entry(request: Request) -> dict[str, Any]:
    """Return one request as an object of the JSON report; `adapter` only if it has one."""
    columns = list_request_columns([request])
    return {column: getattr(request, column) for column in columns}


def list_request_columns(requests: Iterable[Request]) -> tuple[str, ...]:
    """Return the columns of these requests: `adapter` only if some request has one."""
    has_adapter = any(request.adapter is not None for request in requests)
    return (*REQUEST_COLUMNS, "adapter") if has_adapter else REQUEST_COLUMNS


def build_step_entry(step: EngineStep) -> dict[str, Any]:
    """Return one step as an object of the JSON report."""
    return {column: getattr(step, column) for column in STEP_COLUMNS}
