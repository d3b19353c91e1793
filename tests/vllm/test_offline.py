"""An unedited offline vLLM script: same tokens, three recordings, every module call."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from autoinstr.recording.reader import Recording
from examples.tiny_model import LAYERS
from tests.support import recorded
from tests.vllm.conftest import Pair
from tests.vllm.engines import ROLES, get_executor, map_roles, module_calls

OF_A_LAYER = {
    "": "Qwen2DecoderLayer",
    ".input_layernorm": "RMSNorm",
    ".self_attn": "Qwen2Attention",
    ".self_attn.qkv_proj": "QKVParallelLinear",
    ".self_attn.attn": "Attention",
    ".self_attn.o_proj": "RowParallelLinear",
    ".post_attention_layernorm": "RMSNorm",
    ".mlp": "Qwen2MLP",
    ".mlp.gate_up_proj": "MergedColumnParallelLinear",
    ".mlp.act_fn": "SiluAndMul",
    ".mlp.down_proj": "RowParallelLinear",
}


@pytest.fixture(scope="module")
def processes(eager: Pair) -> dict[str, Recording]:
    """The recordings by role."""
    return map_roles(eager.agent.place.out)


@pytest.fixture(scope="module")
def worker(processes: dict[str, Recording]) -> list[recorded.Range]:
    assert not processes["Worker"].find_open_ranges()
    return module_calls(processes["Worker"])


def test_the_token_ids_are_the_same(eager: Pair) -> None:
    assert eager.agent.tokens == eager.native.tokens
    assert [len(ids) for ids in eager.agent.tokens] == [32] * 4


def test_the_agent_says_nothing(eager: Pair) -> None:
    said = eager.agent.place.log() + eager.agent.stdout
    assert "Initializing a V1 LLM engine" in said
    assert [
        line for line in said.splitlines() if line.startswith("autoinstr") or " autoinstr: " in line
    ] == []


def test_each_process_knows_what_it_is(processes: dict[str, Recording]) -> None:
    is_whole = get_executor(processes) == "uni"
    assert [processes[role].rank for role in ("MainProcess", "EngineCore", "Worker")] == [
        None,
        0 if is_whole else None,
        0,
    ]
    assert processes["Worker"].world_size == 1
    assert len({one.pid for one in processes.values()}) == 3 - is_whole
    for one in processes.values():
        assert one.versions["vllm"].startswith("0."), one.versions


def test_a_decoder_layer_is_called_layers_times_forward_passes(
    eager: Pair, worker: list[recorded.Range]
) -> None:
    """Forward passes are counted in the same run by a plugin of vLLM, which knows nothing of us."""
    truth = eager.agent.place.counts()
    calls = Counter(one.cls for one in worker)
    # 32 if vLLM schedules all prompts together from the first step on, 33 if the engine begins
    # before it has all; both were seen
    assert truth["Qwen2ForCausalLM"] >= 32
    assert calls["Qwen2ForCausalLM"] == truth["Qwen2ForCausalLM"]
    assert (
        calls["Qwen2DecoderLayer"]
        == truth["Qwen2DecoderLayer"]
        == LAYERS * truth["Qwen2ForCausalLM"]
    )


def test_a_class_that_overrides_call_is_there(eager: Pair, worker: list[recorded.Range]) -> None:
    """@support_torch_compile gives Qwen2Model a __call__ of its own, which never comes to
    torch's."""
    found = [one for one in worker if one.cls == "Qwen2Model"]
    assert len(found) == eager.agent.place.counts()["Qwen2ForCausalLM"]
    assert {one.path for one in found} == {"model"}


def test_every_path_starts_at_the_root_and_is_called_in_every_pass(
    eager: Pair, worker: list[recorded.Range]
) -> None:
    passes = eager.agent.place.counts()["Qwen2ForCausalLM"]
    inside = {(one.path, one.cls): 0 for one in worker if one.root == "Qwen2ForCausalLM#1"}
    for one in worker:
        if one.root == "Qwen2ForCausalLM#1":
            inside[one.path, one.cls] += 1
    truth = {
        ("", "Qwen2ForCausalLM"): passes,
        ("model", "Qwen2Model"): passes,
        ("model.embed_tokens", "VocabParallelEmbedding"): passes,
    }
    truth.update(
        {
            (f"model.layers.{layer}{path}", cls): passes
            for layer in range(LAYERS)
            for path, cls in OF_A_LAYER.items()
        }
    )
    # vLLM makes one rotary embedding for all layers: it has its first name, and the calls of all of
    # them
    truth["model.layers.0.self_attn.rotary_emb", "RotaryEmbedding"] = LAYERS * passes
    truth["model.norm", "RMSNorm"] = passes
    truth["logits_processor", "LogitsProcessor"] = inside.get(
        ("logits_processor", "LogitsProcessor"), 0
    )
    assert inside == truth
    assert truth["logits_processor", "LogitsProcessor"] >= 32
    others = {(one.root, one.path) for one in worker if one.root != "Qwen2ForCausalLM#1"}
    # Before 0.28, greedy sampling calls the second module too.
    assert others - {("Sampler#1", "topk_topp_sampler")} == {("Sampler#1", "")}


def test_ranges_nest_as_the_calls_did(worker: list[recorded.Range]) -> None:
    recorded.assert_nested(worker)
    models = [one for one in worker if one.cls == "Qwen2Model"]
    for name, count in (("Qwen2DecoderLayer", LAYERS), ("VocabParallelEmbedding", 1)):
        inner = [one for one in worker if one.cls == name]
        assert [
            sum(outer.start <= one.start and one.end <= outer.end for one in inner)
            for outer in models
        ] == [count] * len(models)


def test_the_report_has_the_same_counts(eager: Pair, worker: list[recorded.Range]) -> None:
    command = [
        sys.executable,
        "-m",
        "autoinstr",
        "report",
        str(eager.agent.place.out),
        "--format",
        "json",
        "-o",
        "-",
    ]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    report = json.loads(said.stdout)
    assert sorted(role for one in report["processes"] for role in one["roles"]) == ROLES
    rows: Counter[tuple[str, str, str]] = Counter()
    for row in report["rows"]:  # one for each phase
        if row["domain"] == "Module":
            rows[row["root"], row["path"], row["class"]] += row["calls"]
    assert rows == Counter((one.root, one.path, one.cls) for one in worker)
