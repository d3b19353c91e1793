"""The FLOPs of a profile equal those that torch.utils.flop_counter counts of the same run, and its
memory equals torch's own sums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, Python

PROGRAM = REPO / "tests" / "programs" / "counted_flops.py"
TYPES = """
    bert gpt2 llama qwen2 qwen3 mistral gemma gemma2 phi phi3 opt bloom gpt_neox t5 bart mbart
    pegasus roberta albert electra distilbert deberta deberta-v2 mpnet convbert roformer mpt
    stablelm starcoder2 cohere olmo olmo2 granite vit deit beit dinov2 clip_vision_model
    siglip_vision_model whisper mamba fnet nystromformer rembert mobilebert layoutlm persimmon
    glm exaone4 gpt_bigcode biogpt umt5 forward rwkv
"""


def compare(python: Python, tmp_path: Path, *names: str) -> None:
    """Compare the sum of all runs, and the modules of those that only ran forward."""
    run = tmp_path / "run"
    run.mkdir()
    trace = run / "trace.json"
    done = python.run(PROGRAM, trace, *names, env={"AUTOINSTR_OUT": str(run)}, timeout=600)
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout.splitlines()[-1])
    report_json = ("report", run, "--format", "json", "-o", "-")
    done = python.run("-m", "autoinstr", *report_json, path=(REPO,), on=None)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    [profile] = report["device"]["profiles"]
    assert (profile["flops"], profile["flops_missing"]) == (expected["total"], None)
    assert profile["memory"]["net_bytes"] == expected["net_bytes"] > 0
    flops: dict[str, int] = {}
    for row in report["rows"]:
        if row["device"] and row["device"]["flops"]:
            name = row["root"].partition("#")[0]
            path = f"{name}.{row['path']}" if row["path"] else name
            flops[path] = flops.get(path, 0) + row["device"]["flops"]
    assert expected["modules"]
    for path, count in expected["modules"].items():
        assert (path, flops.get(path, 0)) == (path, count)


def test_the_flops_are_those_of_torch(python: Python, tmp_path: Path) -> None:
    compare(python, tmp_path, "bert", "vit", "forward", "gpt2", "albert")


@pytest.mark.long
def test_the_flops_of_many_architectures_are_those_of_torch(python: Python, tmp_path: Path) -> None:
    compare(python, tmp_path, *TYPES.split())
