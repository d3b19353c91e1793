"""vLLM with compilation on: same tokens, same cache key, and a cache that is good for runs without
the agent."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.support import recorded
from tests.vllm.conftest import Pair
from tests.vllm.engines import Offline, module_calls


def keys(run: Offline) -> list[str]:
    """The directories of vLLM's compile cache that are named by a hash: of the configuration, or
    (ten digits) of the traced sources too."""
    base = run.place.cache / "torch_compile_cache"
    return sorted(
        str(path.relative_to(base))
        for path in base.glob("**/*")
        if re.fullmatch("[0-9a-f]{10}|[0-9a-f]{64}", path.name)
    )


def files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("**/*") if path.is_file()]


def test_the_token_ids_are_the_same(compiled: Pair) -> None:
    assert compiled.agent.tokens == compiled.native.tokens
    assert [len(ids) for ids in compiled.agent.tokens] == [32] * 4


def test_it_was_compiled(compiled: Pair, mode: str) -> None:
    """Or the tests below say nothing."""
    for run in compiled:
        assert "saved AOT compiled function" in run.place.log() + run.stdout
        modes = set(re.findall(r"CompilationMode\.(\w+)", run.place.log() + run.stdout))
        assert modes == {{"default": "DYNAMO_TRACE_ONCE", "piecewise": "VLLM_COMPILE"}[mode]}


def test_the_cache_key_is_the_same(compiled: Pair) -> None:
    assert keys(compiled.native)
    assert keys(compiled.agent) == keys(compiled.native)


def test_nothing_of_ours_is_in_the_cache(compiled: Pair) -> None:
    ours = re.compile(rb"autoinstr[./](instrument|emitters|recording|session|bootstrap)")
    found = files(compiled.agent.place.cache)
    assert len(found) >= 3
    assert [path for path in found if ours.search(path.read_bytes())] == []


def test_a_cache_loads_with_and_without_the_agent(
    compiled: Pair, exchanged: Pair, mode: str
) -> None:
    for run in exchanged:
        log = run.place.log() + run.stdout
        failures = set(
            re.findall(r"Compiling model again due to a load failure from \S+, reason: (.*)", log)
        )
        if mode == "piecewise":
            assert not failures
            assert "Directly load AOT compilation" in log
            assert "saved AOT compiled function" not in log
        # vLLM 0.32 cannot load what it saves in this mode, not even its own cache without us; ours
        # is to add no other reason
        else:
            assert failures == {"'function' object has no attribute 'finalize_loading'"}
        assert run.tokens == compiled.native.tokens
    assert keys(exchanged.agent) == keys(exchanged.native) == keys(compiled.native)


def test_what_is_outside_the_compiled_model_is_recorded(compiled: Pair) -> None:
    """Inside it there is no module call any more: the layers are one compiled function."""
    (worker,) = [
        one for one in recorded.recordings(compiled.agent.place.out) if one.role == "Worker"
    ]
    calls = Counter((one.path, one.cls) for one in module_calls(worker))
    model = {
        ("", "Qwen2ForCausalLM"),
        ("model", "Qwen2Model"),
        ("logits_processor", "LogitsProcessor"),
    }
    assert set(calls) == model | {("", "Sampler"), ("topk_topp_sampler", "TopKTopPSampler")}
    assert (
        calls["", "Qwen2ForCausalLM"] == calls["model", "Qwen2Model"] >= 1 + 32
    )  # a warm-up pass compiles it
