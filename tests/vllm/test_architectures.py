"""Other architectures in vLLM's own compiled mode: a Llama and a mixture of experts.

The engines of one architecture run at the same time: eager, compiled, and compiled natively."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.vllm.engines import LIMIT_S, Offline, Place, run_offline
from tests.vllm.test_compile import read_modules

pytestmark = pytest.mark.long
HERE = Path(__file__).parent
ROOTS = {"llama": "LlamaForCausalLM", "moe": "MixtralForCausalLM"}


class Engines(NamedTuple):
    """Three runs of the unedited script."""

    root: str
    native: Offline
    compiled: Offline
    eager: Offline


@pytest.fixture(scope="module", params=list(ROOTS))
def engines(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Engines:
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, str(HERE / "architecture.py"), request.param]
    subprocess.run([*command, str(model), str(folder / "model")], check=True, timeout=LIMIT_S)
    places = [Place(folder / name, agent=name == "agent") for name in ("native", "agent")]
    native, compiled = run_offline(folder / "model", places)
    (eager,) = run_offline(folder / "model", [Place(folder / "eager", agent=True)], "--eager")
    return Engines(ROOTS[request.param], native, compiled, eager)


def test_the_token_ids_are_the_same(engines: Engines) -> None:
    assert engines.compiled.tokens == engines.native.tokens
    assert [len(ids) for ids in engines.compiled.tokens] == [32] * 4


def test_every_module_has_ranges_or_is_named_in_a_shared_kernel(engines: Engines) -> None:
    eager_rows, rows = read_modules(engines.eager), read_modules(engines.compiled)
    assert set(rows) - {("topk_topp_sampler", "TopKTopPSampler")} == set(eager_rows)
    steps = rows["", engines.root].calls
    assert steps >= 32
    for (path, cls), row in rows.items():
        if path.startswith("model.") and not row.calls:
            assert row.shared_kernels and not row.total_ns, path
        elif path.startswith("model.layers."):
            times = 2 if cls == "RotaryEmbedding" else 1  # the two layers have one in common
            assert (row.basis, row.calls) == ({"compiled": row.calls}, times * steps), path
    assert any(path.startswith("model.layers.1.") and row.calls for (path, _), row in rows.items())
