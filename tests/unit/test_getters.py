"""Test getters with objects that have the fields of vLLM's scheduler outputs.

tests/vllm tests the real ones."""

from __future__ import annotations

from types import SimpleNamespace as Object
from typing import Any

import pytest

from autoinstr.targets.getters import GETTERS, describe_step


def output(
    tokens: dict[str, int],
    new: dict[str, int],
    computed: dict[str, int],
    speculative: dict[str, list[int]] | None = None,
    **more: Any,
) -> Any:
    cached = Object(req_ids=list(computed), num_computed_tokens=list(computed.values()), **more)
    fresh = [Object(req_id=name, num_computed_tokens=done) for name, done in new.items()]
    return Object(
        total_num_scheduled_tokens=sum(tokens.values()),
        num_scheduled_tokens=tokens,
        scheduled_new_reqs=fresh,
        scheduled_cached_reqs=cached,
        scheduled_spec_decode_tokens=speculative or {},
    )


@pytest.mark.parametrize(
    ("step", "phase", "prefills", "decodes"),
    [
        (output({"a": 9, "b": 4}, {"a": 0, "b": 0}, {}), "prefill", 2, 0),
        (output({"a": 1, "b": 1}, {}, {"a": 9, "b": 4}), "decode", 0, 2),
        (output({"a": 1, "c": 7}, {"c": 0}, {"a": 9}), "mixed", 1, 1),
        (output({"a": 5}, {}, {"a": 512}), "prefill", 1, 0),  # the next chunk of a long prompt
        (output({"a": 4}, {}, {"a": 9}, {"a": [1, 2, 3]}), "decode", 0, 1),  # three draft tokens
        (
            output({"a": 1}, {}, {"a": 8}, is_context_phase=lambda name: True),
            "prefill",
            1,
            0,
        ),  # a prompt's last token, said by vLLM itself
        (output({}, {}, {}), "idle", 0, 0),
    ],
)
def test_phase(step: Any, phase: str, prefills: int, decodes: int) -> None:
    fields = describe_step(step)
    assert (fields["phase"], fields["prefills"], fields["decodes"]) == (phase, prefills, decodes)
    assert fields["tokens"] == step.total_num_scheduled_tokens


def test_a_step_has_one_name_everywhere_and_another_than_the_next() -> None:
    first, second = (describe_step(output({"a": 1}, {}, {"a": done}))["step"] for done in (9, 10))
    assert (first, second) == ("a@9", "a@10")


def test_a_getter_finds_the_scheduler_output_among_arguments_and_result() -> None:
    step = output({"a": 1}, {}, {"a": 9})
    scheduled = GETTERS["scheduled"]
    assert (
        scheduled(None, (step,), {}, None)
        == scheduled(None, (), {"scheduler_output": step}, None)
        == scheduled(None, (), {}, step)
    )
    assert scheduled(None, (1,), {}, None) is None


def test_requests_are_found_by_id_or_as_objects() -> None:
    request = GETTERS["request"]
    assert request(None, ("r1", "prompt"), {}, None) == {"request": "r1"}
    assert request(None, ("prompt",), {"request_id": "r2"}, None) == {"request": "r2"}
    assert request(None, (Object(request_id="r3"), 0), {}, None) == {"request": "r3"}
    assert request(None, (), {}, None) is None
