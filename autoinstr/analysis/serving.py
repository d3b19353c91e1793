"""The requests and the steps of a run, as data: gathered one recording after the other, with their
columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.attributes import read
from autoinstr.analysis.blocks import Tick, no_tick, readable_blocks
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.phases import Phases
from autoinstr.analysis.requests import Request, Requests
from autoinstr.analysis.steps import Step, Steps

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import Notes
    from autoinstr.recording.reader import Run

REQUEST_COLUMNS = (
    "id", "external", "process", "arrived_ns", "queued_ns", "first_scheduled_ns", "first_token_ns", "first_output_ns", "finished_ns",
    "completed_ns", "prompt_tokens", "output_tokens", "cached_tokens", "preemptions", "reason", "state",
    "queue_ns", "ttft_ns", "engine_ttft_ns", "tpot_ns", "e2e_ns", "engine_e2e_ns",
)  # fmt: skip
STEP_COLUMNS = (
    "index", "process", "step", "phase", "start_ns", "duration_ns", "requests", "prefills", "decodes", "tokens", "running", "waiting",
    "kv_usage", "schedule_ns", "execute_ns", "sample_ns", "update_ns", "gap_ns", "request_ids",
)  # fmt: skip


class Serving:
    """What the recordings added so far say of requests and steps. Times are nanoseconds since
    1970."""

    def __init__(self, run: Run) -> None:
        axis = Axis(run.recordings)
        self._offsets = [axis.base_ns + offset for offset in axis.offsets]
        self._requests = Requests()
        self._steps = Steps()

    def add(self, process: int, notes: Notes) -> None:
        """Add the recording of this index; its records must have been read (parts of steps learn
        there when they ended)."""
        self._requests.add(process, notes, self._offsets[process])
        self._steps.add(process, notes, self._offsets[process])

    def requests(self) -> list[Request]:
        """In order of arrival."""
        return self._requests.rows()

    def steps(self) -> list[Step]:
        """In order of start."""
        return self._steps.rows()


def requests_of(run: Run, tick: Tick = no_tick) -> list[Request]:
    """The requests of a run, from attributes alone."""
    serving = Serving(run)
    for at, recording in enumerate(run.recordings):
        notes = read(recording)
        notes.parts.clear()
        tick(sum(map(len, notes.requests.values())))
        serving.add(at, notes)
        del notes  # before the next recording's are read
    return serving.requests()


def steps_of(run: Run, tick: Tick = no_tick) -> list[Step]:
    """The steps of a run."""
    serving = Serving(run)
    for at, recording in enumerate(run.recordings):
        notes = read(recording)
        notes.requests.clear()
        phases = Phases(recording, notes)
        for thread, words in readable_blocks(recording) if notes.parts else ():
            phases.find_ends(thread, words[0::3], words[1::3], words[2::3])
            tick(len(words) // 3)
        serving.add(at, notes)
        del notes, phases  # before the next recording's are read
    return serving.steps()


def request_entry(row: Request) -> dict[str, Any]:
    """One request for a program."""
    return {column: getattr(row, column) for column in REQUEST_COLUMNS}


def step_entry(row: Step) -> dict[str, Any]:
    """One step for a program."""
    return {column: getattr(row, column) for column in STEP_COLUMNS}
