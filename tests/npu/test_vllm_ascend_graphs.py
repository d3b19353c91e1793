"""vllm-ascend with graphs: steps of the prompts run the compiled model, the others replay. Which
step did what, and what can be seen in it.

What this leaves unproved: the results of a replay (those here are wrong: tests/npu/cann/graphs.c),
and its kernels in a profile."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.npu import ascend, simulated
from tests.npu.ascend import LAYERS, LIMIT_S, OFFLINE, Program
from tests.npu.simulated import Ran

pytestmark = [pytest.mark.long, pytest.mark.timeout(2 * LIMIT_S)]
GRAPHS = json.dumps({"compilation_config": {"cudagraph_mode": "FULL_DECODE_ONLY"}})
# This torch is newer than the one that vllm-ascend compiles with: their caches do not fit.
ENVIRON = {"TORCHINDUCTOR_AUTOGRAD_CACHE": "0", "VLLM_DISABLE_COMPILE_CACHE": "1"}


class Run(NamedTuple):
    ran: Ran
    said: list[str]
    reference: list[list[int]]


@pytest.fixture(scope="module")
def run(cann: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    try:
        ascend.require_ascend()
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("graphs")
    model, script = ascend.make_model(folder / "model"), folder / "offline.py"
    script.write_text(OFFLINE)
    quick = {"AUTOINSTR_PROFILER": "with_stack=off;with_modules=off"}
    program = Program(
        cann, folder / "agent", script, model, GRAPHS, "profile", agent=True, **quick, **ENVIRON
    )
    [ran] = ascend.run_all([program])
    return Run(ran, program.said(), ascend.reference(model))


def test_the_compiled_model_says_the_same_as_transformers(run: Run) -> None:
    """Up to the first token: the others come from replays."""
    assert [answer[0] for answer in run.ran.given["tokens"]] == [
        answer[0] for answer in run.reference
    ]


def test_each_step_is_the_model_or_a_replay(run: Run) -> None:
    modules = Counter(call.message for call in run.ran.of("start", domain="Module"))
    steps, model = modules["AscendSampler"], modules["Qwen2ForCausalLM"]
    replays = [
        call
        for call in run.ran.of("mark", domain="vllm")
        if call.message.startswith("graph.replay")
    ]
    assert model and replays and model + len(replays) == steps
    # Modules inside of the compiled model are not called; their statements have ranges.
    inside = {
        "AscendVocabParallelEmbedding": 1,
        "Qwen2DecoderLayer": LAYERS,
        "AscendRMSNorm": 2 * LAYERS + 1,
        "Qwen2Attention": LAYERS,
        "AscendQKVParallelLinear": LAYERS,
        "AscendRotaryEmbedding": LAYERS,
        "AscendRowParallelLinear": 2 * LAYERS,
        "Qwen2MLP": LAYERS,
        "AscendMergedColumnParallelLinear": LAYERS,
        "AscendSiluAndMul": LAYERS,
    }
    assert modules == {
        "AscendSampler": steps,
        "AscendLogitsProcessor": steps,
        "Qwen2ForCausalLM": model,
        "Qwen2Model": model,
        **{cls: count * model for cls, count in inside.items()},
    }
    functions = Counter(call.message for call in run.ran.of("start", domain="vllm"))
    assert (
        functions["npu.attn.impl"] == LAYERS * model
        and functions["npu.graph_call"] == functions["npu.runner.forward"] == steps
    )


def test_one_line_says_that_modules_of_replays_are_not_seen(run: Run) -> None:
    [line] = run.said
    assert "steps replay graphs: the modules inside are not called" in line and "mode=FULL" in line
