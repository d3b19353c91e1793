"""vLLM with compilation on: same tokens, same cache key, and a cache that is good for runs without
the agent."""

from __future__ import annotations

import re
from pathlib import Path

from autoinstr.analysis.stats import StatsRow, collect_stats
from tests.support import recorded
from tests.vllm.conftest import Pair
from tests.vllm.engines import Offline


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


LATER_LAYERS = ("model.layers.2", "model.layers.3")


def read_modules(run: Offline) -> dict[tuple[str, str], StatsRow]:
    """The rows of modules of the one Worker, all phases together."""
    (worker,) = [one for one in recorded.recordings(run.place.out) if one.role == "Worker"]
    rows: dict[tuple[str, str], StatsRow] = {}
    for row in collect_stats(worker).rows:
        if row.name.domain == "Module":
            rows[row.name.path, row.name.cls] = row
    assert not worker.problems
    return rows


def test_the_compiled_run_shows_the_modules_of_the_eager_run(compiled: Pair, eager: Pair) -> None:
    """Each module has ranges, or is named in a kernel that it shares with others."""
    eager_rows, rows = read_modules(eager.agent), read_modules(compiled.agent)
    # The eager run has two layers more. Only the warm-up of a compiled one samples with top-k.
    expected = {key for key in eager_rows if not key[0].startswith(LATER_LAYERS)}
    assert set(rows) - {("topk_topp_sampler", "TopKTopPSampler")} == expected
    steps = rows["", "Qwen2ForCausalLM"].calls
    assert steps >= 1 + 32  # a warm-up pass compiles it
    for (path, cls), row in rows.items():
        assert sum(row.basis.values()) == row.calls
        if not path.startswith("model."):
            assert row.basis == {"eager": row.calls}
        elif row.calls:
            times = 2 if cls == "RotaryEmbedding" else 1  # the two layers have one in common
            assert (row.basis, row.calls) == ({"compiled": row.calls}, times * steps), path
        else:
            assert row.shared_kernels and not row.total_ns, path
    own = [path for (path, _), row in rows.items() if "compiled" in row.basis]
    # Eight modules of a layer have kernels of their own, and the layers have one in common. With
    # AMX the others share all of theirs.
    assert len(own) >= 2 * 8 + 1
