"""What happened while ranges were off is neither guessed nor booked on what was seen before.

The functions stand for vLLM's, and are wrapped as its targets are. tests/vllm tests real vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace as Made
from typing import Any

import pytest

from autoinstr.agent.recording_file import create_recording
from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.stats import collect_stats
from autoinstr.emitters.recorder import Recorder
from autoinstr.instrument.functions import closure
from autoinstr.instrument.functions.ranges import FunctionRanges
from autoinstr.instrument.steps.engine import EngineSteps
from autoinstr.recording.reader import Recording
from autoinstr.targets import request_events, step_fields
from autoinstr.targets.rows import Target, load_builtin_targets


class Output:
    """A SchedulerOutput of one request."""

    def __init__(self, request: str, computed: int, tokens: int = 1) -> None:
        new = [Made(req_id=request, num_computed_tokens=0)] if not computed else []
        self.num_scheduled_tokens = {request: tokens}
        self.total_num_scheduled_tokens = tokens
        self.scheduled_new_reqs = new
        self.scheduled_cached_reqs = Made(
            req_ids=[request] if computed else [], num_computed_tokens=[computed]
        )
        self.scheduled_spec_decode_tokens: dict[str, Any] = {}


class Worker:
    """A process with a scheduler and a worker, whose functions are targets."""

    def __init__(self, folder: Path) -> None:
        self.recorder = Recorder(
            lambda: create_recording(str(folder), {}, max_bytes=1 << 20), lambda error: None
        )
        self.ranges = FunctionRanges(self.recorder, lambda error: None)
        self.pending: list[Future[int]] = []
        self.switch(True)
        self.execute = self.wrap("runner.execute_model", lambda self, output: None)
        self.sample = self.wrap("runner.sample_tokens", lambda self: "tokens")
        self.update = self.wrap("sched.update_from_output", lambda self, output, tokens: {})
        self.send = self.wrap("exec.execute_model.mp", lambda self, output: self.make_future())
        self.ask = self.wrap("exec.sample_tokens.mp", lambda self: self.make_future())
        self.add = self.wrap("sched.add_request", lambda self, request: None)

    def make_future(self) -> Future[int]:
        self.pending.append(Future())
        return self.pending[-1]

    def wrap(self, name: str, function: Any) -> Any:
        row: Target = next(row for row in load_builtin_targets() if row.name == name)
        number = self.ranges.add_target(row)
        if row.kind == "future":
            call = closure.make_future_closure(self.ranges, number, function)
        else:
            call = closure.make_call_closure(self.ranges, number, function, True)
        return lambda *args: call(self, *args)

    def switch(self, on: bool) -> None:
        if not on:
            self.ranges.note_unseen_time()
        self.ranges.switch(self.recorder if on else None, True)

    def read_steps(self, message: str) -> list[str | None]:
        """The step of each range with this name, None for one that names no step."""
        assert self.recorder.writer is not None
        recording = Recording(self.recorder.writer.path)
        names = recording.names
        fields = {(name, start): found for _, name, start, found in recording.read_attributes()}
        return [
            fields.get((words[at], words[at + 1]), {}).get("step")
            for _, words in recording.read_blocks()
            for at in range(0, len(words), 3)
            if names[words[at]].message == message
        ]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    step_fields.forget_steps()
    request_events.reset_in_child()
    made = Worker(tmp_path)
    yield made
    made.ranges.switch(None, True)
    made.recorder.close()
    request_events.reset_in_child()


def test_sampling_of_a_step_whose_model_ran_unseen_names_no_step(worker: Worker) -> None:
    worker.execute(Output("a", 0, 7))
    worker.sample()
    worker.switch(False)
    worker.execute(Output("a", 7))
    worker.switch(True)  # `ctl on` between the model and the sampling
    worker.sample()
    worker.execute(Output("a", 8))
    worker.sample()
    assert worker.read_steps("runner.sample_tokens") == ["a@0", None, "a@8"]


def test_ranges_may_end_inside_the_sampling_of_the_last_step(worker: Worker) -> None:
    """A window ends with the sampling of the runner, inside that of the worker."""
    outer = worker.wrap("worker.sample_tokens", lambda self: worker.switch(False))
    worker.execute(Output("a", 0, 7))
    outer()
    assert worker.read_steps("worker.sample_tokens") == ["a@0"]


def test_sampling_after_the_update_of_an_older_step_names_its_own(worker: Worker) -> None:
    """Asynchronous scheduling with a grammar: the update of step n comes between the model and the
    sampling of step n + 1."""
    first, second = Output("a", 0, 7), Output("a", 7)
    worker.execute(first)
    worker.sample()
    worker.execute(second)
    worker.update(first, "tokens")
    worker.sample()
    assert worker.read_steps("runner.sample_tokens") == ["a@0", "a@7"]


def test_a_future_that_ends_late_names_the_step_that_asked_for_it(worker: Worker) -> None:
    for output in (Output("a", 0, 7), Output("a", 7)):
        worker.send(output)
        worker.ask()
    for future in worker.pending:
        future.set_result(1)
    assert worker.read_steps("exec.sample_tokens.mp") == ["a@0", "a@7"]
    assert worker.read_steps("exec.execute_model.mp") == ["a@0", "a@7"]


def step_of(request: str, *tokens: int, reason: str | None = None) -> dict[int, Any]:
    made = Made(request_id=request, new_token_ids=list(tokens), finish_reason=reason)
    return {0: Made(outputs=[made])}


def list_marks(event: Any, *args: Any, result: Any = None) -> list[tuple[str, dict[str, Any]]]:
    return list(event(None, args, {}, result))


def test_tokens_of_a_time_without_ranges_are_unknown(worker: Worker) -> None:
    for request in ("half", "late"):
        worker.add(Made(request_id=request, num_prompt_tokens=3))
    assert list_marks(request_events.mark_produced, result=step_of("half", 1))
    worker.switch(False)
    worker.switch(True)
    produced = [
        mark
        for output in (step_of("half", 5, reason="length"), step_of("late", 5, 6, reason="stop"))
        for mark in list_marks(request_events.mark_produced, result=output)
    ]
    assert produced == [
        ("request.finished", {"request": "half", "reason": "length"}),
        ("request.finished", {"request": "late", "reason": "stop"}),
    ]


def test_an_output_after_a_time_without_ranges_is_not_the_first() -> None:
    request_events.reset_in_child()
    list_marks(
        request_events.mark_arrived, Made(request_id="a", prompt_token_ids=None, arrival_time=0)
    )
    request_events.note_unseen_time()
    nothing = Made(reqs_to_abort=[])
    outputs = step_of("a", 3, reason="stop")[0].outputs
    assert list_marks(request_events.mark_delivered, outputs, result=nothing) == [
        ("request.completed", {"request": "a", "reason": "stop"})
    ]


def test_the_first_schedule_after_a_time_without_ranges_says_so() -> None:
    from autoinstr.targets.getters import GETTERS

    scheduler = Made(get_request_counts=lambda: (1, 0), kv_cache_manager=Made(usage=0.5))
    step_fields.take_unseen_time()
    step_fields.note_unseen_time()
    fields = [GETTERS["queues"](scheduler, (), {}, None) for _ in range(2)]
    assert ["unseen_before" in (found or {}) for found in fields] == [True, False]


def test_a_window_includes_the_sampling_of_its_steps() -> None:
    """From vLLM 0.11.1 on, the model's call returns None, and sampling is a call of its own."""
    steps: list[str] = []
    counter = EngineSteps(lambda: steps.append("counted"))
    counter._sampling_ranks.add(0)
    work = Made(total_num_scheduled_tokens=3)
    execute = counter._make_wrapper(lambda output: steps.append("model"), 0)
    sample = counter._make_sample_wrapper(lambda: steps.append("sample"), 0)
    execute(work)
    sample()
    execute(work)
    execute(work)  # the step before was not sampled
    sample()
    assert steps == [
        *("model", "sample", "counted"),
        *("model", "counted", "model", "sample", "counted"),
    ]


def test_what_a_draft_model_computes_has_a_phase_of_its_own(worker: Worker) -> None:
    """Target and draft model may be of one class."""
    propose = worker.wrap("spec.propose.eagle", lambda self: worker.wrap("logits", id)())
    propose()
    assert worker.recorder.writer is not None
    recording = Recording(worker.recorder.writer.path)
    stats = collect_stats(recording, collect_attributes(recording))
    assert {(row.name.message, row.phase) for row in stats.rows} == {
        ("spec.propose.eagle", "draft"),
        ("logits", "draft"),
    }
