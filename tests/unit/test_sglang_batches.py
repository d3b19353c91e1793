"""Steps and requests of SGLang, with objects shaped like those of its scheduler (0.5.4 to 0.5.23).
tests/integration/test_sglang.py runs SGLang itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace as Made
from typing import Any

import pytest

from autoinstr.targets import request_events, sglang_batches
from autoinstr.targets.events import EVENTS
from autoinstr.targets.getters import GETTERS
from tests.support.annotated import Entry, write
from tests.unit.test_steps import rows

RUN, PROCESS = "sgl.run_batch", "sgl.process_result"


@pytest.fixture(autouse=True)
def _forget_all() -> Iterator[None]:
    yield
    request_events.reset_in_child()
    sglang_batches._launched.clear()


def make_mode(name: str) -> Any:
    modes = {
        "is_decode": name == "decode",
        "is_extend": name in ("extend", "mixed"),
        "is_idle": name == "idle",
    }
    return Made(**{method: lambda value=value: value for method, value in modes.items()})


def make_request(name: str, prompt: int, *, output: int = 0) -> Any:
    request = Made(rid=name, origin_input_ids=[7] * prompt, output_ids=[5] * output)
    request.finished_reason = None
    request.finished = lambda: request.finished_reason is not None
    return request


def make_batch(mode: str, requests: list[Any], **fields: Any) -> Any:
    made = {"reqs": requests, "forward_mode": make_mode(mode), "decoding_reqs": None}
    made["spec_algorithm"] = Made(is_none=lambda: True)
    return Made(**{**made, **fields})


def read(word: str, scheduler: Any, *args: Any) -> dict[str, Any] | None:
    return GETTERS[word](scheduler, args, {}, None)


def mark(word: str, instance: Any, *args: Any, result: Any = None) -> list[Any]:
    return list(EVENTS[word](instance, args, {}, result))


def test_a_batch_says_what_its_step_is() -> None:
    scheduler = Made(waiting_queue=[1, 2])
    first, second = make_request("a", 9), make_request("b", 5, output=2)
    prompt = make_batch("extend", [first], prefix_lens=[4], extend_num_tokens=5)
    assert read("sglang_launched", scheduler, prompt) == {
        "phase": "prefill",
        "prefills": 1,
        "decodes": 0,
        "tokens": 5,
        "step": "a@4",
        "requests": ["a"],
        "waiting": 2,
    }
    fields = read("sglang_launched", scheduler, make_batch("decode", [second]))
    assert fields is not None
    assert (fields["phase"], fields["tokens"], fields["step"]) == ("decode", 1, "b@7")
    both = {"prefix_lens": [0, 6], "extend_num_tokens": 10, "decoding_reqs": [second]}
    mixed = read("sglang_launched", scheduler, make_batch("mixed", [first, second], **both))
    assert mixed is not None
    assert (mixed["phase"], mixed["prefills"], mixed["decodes"]) == ("mixed", 1, 1)
    drafts = make_batch("decode", [second], spec_algorithm=Made(is_none=lambda: False))
    assert "tokens" not in (read("sglang_launched", scheduler, drafts) or {})
    assert read("sglang_launched", scheduler, make_batch("idle", [])) == {"phase": "idle"}
    assert read("sglang_launched", scheduler, make_batch("prebuilt", [first])) is None


def test_with_overlap_results_go_to_their_own_step() -> None:
    scheduler, entry = Made(waiting_queue=[]), make_request("a", 9)
    prompt = make_batch("extend", [entry], prefix_lens=[0], extend_num_tokens=9)
    decode = make_batch("decode", [entry])
    mark("sglang_launched_marks", scheduler, prompt)
    mark("sglang_launched_marks", scheduler, decode)  # before the results of the prompt
    for expected in ({"phase": "prefill", "step": "a@0"}, {"phase": "decode", "step": "a@9"}):
        assert read("sglang_processed", scheduler, decode, None) == expected
        entry.output_ids.append(5)
        mark("sglang_processed_marks", scheduler, decode, None)
    assert read("sglang_processed", scheduler, decode, None) is None, "its launch was not seen"


def test_a_request_from_queue_to_end() -> None:
    entry, rejected = make_request("a", 9), make_request("x", 3)
    scheduler = Made(waiting_queue=[entry])
    assert mark("sglang_queued_marks", scheduler, rejected) == []
    assert mark("sglang_queued_marks", scheduler, entry) == [
        ("request.queued", {"request": "a", "prompt_tokens": 9})
    ]
    assert mark("sglang_queued_marks", scheduler, entry) == [], "it comes back after a retraction"
    prompt = make_batch("extend", [entry], prefix_lens=[4], extend_num_tokens=5)
    assert mark("sglang_launched_marks", scheduler, prompt) == [
        ("request.scheduled", {"request": "a", "cached_tokens": 4})
    ]
    assert mark("sglang_processed_marks", scheduler, prompt, None) == [], "a chunk has no token"
    assert mark("sglang_retracted_marks", prompt, result=([entry], 0.5)) == [
        ("request.preempted", {"request": "a"})
    ]
    assert mark("sglang_launched_marks", scheduler, prompt) == []
    entry.output_ids.append(5)
    assert mark("sglang_processed_marks", scheduler, prompt, None) == [
        ("request.first_token", {"request": "a"})
    ]
    entry.output_ids.append(5)
    entry.finished_reason = Made(to_json=lambda: {"type": "length"})
    end = {"request": "a", "reason": "length", "output_tokens": 2, "preemptions": 1}
    assert mark("sglang_processed_marks", scheduler, prompt, None) == [("request.finished", end)]
    assert mark("sglang_processed_marks", scheduler, prompt, None) == [], "with overlap, once more"


def test_a_step_lasts_from_its_launch_to_its_results(tmp_path: Path) -> None:
    launched = {"phase": "prefill", "step": "a@0", "prefills": 1, "decodes": 0, "tokens": 9}
    processed = {"phase": "prefill", "step": "a@0"}
    entries = [
        Entry(1_000, 1_300, RUN, launched, domain="sglang"),
        Entry(1_400, 1_700, RUN, {**launched, "step": "a@9"}, domain="sglang"),
        Entry(1_720, 1_800, PROCESS, processed, domain="sglang"),
    ]
    write(str(tmp_path), entries, header={"roles": ["EngineCore", "Worker"]})
    first, second = rows(tmp_path)
    assert (first["duration_ns"], first["execute_ns"], first["update_ns"]) == (800, 300, 80)
    assert (first["schedule_ns"], first["requests"], first["tokens"]) == (None, 1, 9)
    assert (second["duration_ns"], second["execute_ns"]) == (None, 300)
