"""Prefill is what computes tokens that a request has already, also after a preemption."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace as Made
from typing import Any

import pytest

from autoinstr.targets import step_fields
from autoinstr.targets.step_fields import describe_step


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    step_fields._memory.recomputed.clear()
    yield
    step_fields._memory.recomputed.clear()


def make_output(
    tokens: int, computed: int, *, drafts: int = 0, finished: tuple[str, ...] = (), **cached: Any
) -> Any:
    """Return the output of a step of the known request "a", which has output tokens."""
    return Made(
        total_num_scheduled_tokens=tokens,
        num_scheduled_tokens={"a": tokens},
        scheduled_new_reqs=[],
        scheduled_cached_reqs=Made(
            req_ids=["a"],
            num_computed_tokens=[computed],
            is_context_phase=lambda request: False,
            **cached,
        ),
        scheduled_spec_decode_tokens={"a": [0] * drafts} if drafts else {},
        finished_req_ids=set(finished),
    )


def list_phases(*outputs: Any) -> list[str]:
    return [describe_step(output)["phase"] for output in outputs]


def test_a_request_that_begins_again_is_in_prefill_until_it_has_what_it_had() -> None:
    """41 tokens were computed or sampled when it was preempted, and a step has 20."""
    none: dict[str, Any] = {"resumed_req_ids": set(), "all_token_ids": {}}
    assert list_phases(
        make_output(20, 0, resumed_req_ids={"a"}, all_token_ids={"a": [1] * 41}),
        make_output(20, 20, **none),
        make_output(1, 40, **none),
        make_output(1, 41, **none),
        make_output(1, 42, **none),
    ) == ["prefill", "prefill", "prefill", "decode", "decode"]


def test_the_newer_model_runner_gets_it_as_a_new_request() -> None:
    again = make_output(20, 0)
    again.scheduled_new_reqs = [
        Made(
            req_id="a",
            num_computed_tokens=0,
            prompt_token_ids=[1] * 9,
            prefill_token_ids=[1] * 21,
        )
    ]
    assert list_phases(again, make_output(1, 20), make_output(1, 21)) == [
        "prefill",
        "prefill",
        "decode",
    ]


def test_before_0_12_a_flag_says_that_it_begins_again() -> None:
    assert list_phases(
        make_output(1, 0, resumed_from_preemption=[True]),
        make_output(16, 1, resumed_from_preemption=[False]),
        make_output(1, 17, resumed_from_preemption=[False]),
    ) == ["prefill", "prefill", "decode"]


def test_more_tokens_than_a_token_and_its_drafts_are_no_decoding() -> None:
    assert list_phases(make_output(4, 90, drafts=3), make_output(5, 94, drafts=3)) == [
        "decode",
        "prefill",
    ]


def test_a_finished_request_is_forgotten() -> None:
    describe_step(make_output(20, 0, resumed_req_ids={"a"}, all_token_ids={"a": [1] * 41}))
    assert step_fields._memory.recomputed == {"a": 41}
    describe_step(make_output(1, 5, finished=("a",)))
    assert step_fields._memory.recomputed == {}


def test_a_step_is_read_once_though_others_are_under_way() -> None:
    class Output:
        pass

    first, second = Output(), Output()
    first.__dict__.update(vars(make_output(1, 5)))
    second.__dict__.update(vars(make_output(1, 6)))
    fields = describe_step(first)
    describe_step(second)
    first.__dict__["num_scheduled_tokens"] = {}
    assert describe_step(first) is fields
