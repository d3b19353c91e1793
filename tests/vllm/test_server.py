"""An API server under the agent, ended as operators end it: SIGTERM, upon which vLLM kills its own
children milliseconds later."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from examples.tiny_model import LAYERS
from tests.vllm.engines import module_calls
from tests.vllm.served import PROMPTS, Served


def test_the_server_ended_as_without_us_and_nothing_of_it_lives(served: Served) -> None:
    assert served.status == 0, served.place.end_of_log()
    alive = [
        one.pid
        for one in served.processes.values()
        if Path(f"/proc/{one.pid}").exists() and one.pid != os.getpid()
    ]
    assert [pid for pid in alive if " Z " not in Path(f"/proc/{pid}/stat").read_text()] == []


def test_all_three_processes_are_recorded_and_the_worker_was_killed(served: Served) -> None:
    assert sorted(served.processes) == ["APIServer", "EngineCore", "Worker"]
    assert served.processes["APIServer"].is_complete
    assert not served.processes["Worker"].is_complete


def test_each_token_of_the_answers_is_a_forward_pass_of_the_recording(served: Served) -> None:
    """The answers say how many tokens there were. Not compiled and on a CPU, vLLM makes no pass of
    its own at the start."""
    assert served.tokens == sum(count for _, count in PROMPTS)
    assert served.passes == served.tokens
    calls = Counter(one.cls for one in module_calls(served.processes["Worker"]))
    assert calls["Qwen2ForCausalLM"] > served.passes_before


def test_nothing_is_lost_at_the_kill(served: Served) -> None:
    """Each call that had begun is there, ended or as open. The plugin counts after our start: a
    kill between the two leaves one more."""
    worker = served.processes["Worker"]
    calls = Counter(one.cls for one in module_calls(worker))
    still_open = Counter(worker.names[one.name].cls for one in worker.find_open_ranges())
    truth = served.place.counts()
    for cls in ("Qwen2ForCausalLM", "Qwen2DecoderLayer"):
        assert calls[cls] + still_open[cls] - truth[cls] in (0, 1), (cls, calls, still_open, truth)
        assert still_open[cls] <= 1
    assert calls["Qwen2DecoderLayer"] >= LAYERS * calls["Qwen2ForCausalLM"]
