"""Compiled models of transformers, with and without the agent: outputs and gradients are the same
to the bit, and so are graphs, breaks and recompiles, also when ranges are switched."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstr.analysis.stats import collect_stats
from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import recordings

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers"
)
# "+": with backward. Layers of transformers call `super().__call__`, which torch._dynamo guards.
FEW = ["llama+", "bert", "t5"]
GROUPS = [
    ["qwen2+", "qwen3", "gpt2+", "mistral"],
    ["gemma+", "gemma2", "phi+", "opt+"],
    ["bloom", "gpt_neox+", "bart+", "roberta"],
    ["albert+", "electra+", "distilbert", "mpnet+"],
    ["vit+", "deit", "clip_vision_model", "olmo2"],
    ["granite", "stablelm+", "starcoder2", "mixtral"],
]


def run(folder: Path, how: str, backend: str, names: list[str]) -> dict[str, Any]:
    """Return what the program prints."""
    environ = {
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "XDG_CACHE_HOME": str(folder / "side"),
        "HF_HUB_OFFLINE": "1",
    }
    if how != "native":
        environ["AUTOINSTR_OUT"] = str(folder / how)
    python = Python(sys.executable, folder)
    program = PROGRAMS / "compiled_architectures.py"
    on = None if how == "native" else "1"
    done = python.run(program, how, backend, *names, on=on, env=environ, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "autoinstr" not in done.stderr, done.stderr[-3000:]
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


def compare(folder: Path, backend: str, names: list[str], *, with_agent: bool) -> None:
    native = run(folder, "native", backend, names)
    assert all(outcome["graphs"] for outcome in native.values())
    for how in ("agent", "switched") if with_agent else ("switched",):
        if backend == "inductor":  # keep the kernels, which are named by their text
            for part in ("fxgraph", "aotautograd"):
                shutil.rmtree(folder / "inductor" / part, ignore_errors=True)
        found = run(folder, how, backend, names)
        for name, outcome in native.items():
            assert found[name] == outcome, (name, how)
        (recording,) = recordings(folder / how)
        rows = collect_stats(recording).rows
        # All but the models themselves ran in compiled code.
        assert sum("compiled" in row.basis for row in rows) > 5 * len(names), how


@pytest.mark.timeout(600)
def test_three_architectures_are_the_same_also_when_switched(tmp_path: Path) -> None:
    compare(tmp_path, "eager", FEW, with_agent=False)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("names", GROUPS, ids="-".join)
def test_many_architectures_are_the_same(tmp_path: Path, backend: str, names: list[str]) -> None:
    compare(tmp_path, backend, names, with_agent=True)
