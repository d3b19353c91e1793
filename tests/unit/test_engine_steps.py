"""Test which calls of vLLM count as steps. tests/vllm tests `window` on real vLLM."""

from __future__ import annotations

from types import SimpleNamespace as Made
from typing import Any

import pytest

from autoinstr.instrument.steps.engine import EngineSteps
from autoinstr.targets.rows import load_builtin_targets
from autoinstr.targets.step_parts import DUMMY_RUN_TARGETS, STEP_TARGETS

RUNNER, EXECUTOR, FRONT, MADE_UP = 0, 1, 2, -1
WORK, IDLE = Made(total_num_scheduled_tokens=3), Made(total_num_scheduled_tokens=0)


class Process:
    """Counts steps of functions that stand for vLLM's."""

    def __init__(self) -> None:
        self.steps = 0
        self.counter = EngineSteps(self.step)

    def step(self) -> None:
        self.steps += 1

    def call(self, rank: int, inner: Any = None) -> Any:
        def function(self: Any, *args: Any, **kwargs: Any) -> Any:
            return inner(self, *args, **kwargs) if inner else args

        return self.counter._make_wrapper(function, rank)


def test_every_name_is_a_rows() -> None:
    names = {row.name for row in load_builtin_targets()}
    assert {*DUMMY_RUN_TARGETS, *(name for some in STEP_TARGETS for name in some)} <= names


def test_steps_with_tokens_count_and_idle_ones_do_not() -> None:
    process = Process()
    run = process.call(RUNNER)
    assert run(None, WORK) == (WORK,)
    run(None, IDLE)
    run(None, scheduler_output=WORK)
    run(None, "something else")
    assert process.steps == 2


def test_a_step_on_made_up_input_does_not_count() -> None:
    process = Process()
    process.call(MADE_UP, process.call(RUNNER))(None, WORK)
    assert process.steps == 0
    process.call(RUNNER)(None, WORK)
    assert process.steps == 1


def test_a_subclass_that_calls_its_base_class_is_one_step() -> None:
    process = Process()
    process.call(RUNNER, process.call(RUNNER))(None, WORK)
    assert process.steps == 1


def test_where_worker_and_engine_are_one_process_the_runner_counts() -> None:
    process = Process()
    for _ in range(3):
        process.call(EXECUTOR, process.call(RUNNER))(None, WORK)
    assert process.steps == 3
    process.call(EXECUTOR)(None, WORK)  # and from now on nothing else
    process.call(FRONT)(None, [object()])
    assert process.steps == 3


def test_the_front_end_counts_deliveries_that_hold_something() -> None:
    process = Process()
    process.call(FRONT)(None, [])
    process.call(FRONT)(None, [object()])
    process.call(FRONT)(None, engine_core_outputs=[object()])
    assert process.steps == 2


def test_a_step_that_fails_is_none_and_its_error_passes() -> None:
    process = Process()

    def fail(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        process.call(RUNNER, fail)(None, WORK)
    assert process.steps == 0
    process.call(RUNNER)(None, WORK)
    assert process.steps == 1
