"""`make gpu-acceptance` without a GPU: it says that there is none, and tries itself on the CPU.

What needs a GPU stays unproven here: CUPTI's sums, CUDA's events, replayed graphs, nvtx."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.conftest import REPO, Python

PROGRAM = REPO / "tools" / "gpu_acceptance.py"


def test_without_a_gpu_one_line_says_so(python: Python) -> None:
    done = python.run(PROGRAM, path=(), on=None)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("gpu-acceptance: there is no GPU for ")


def test_an_unknown_check_is_named(python: Python) -> None:
    done = python.run(PROGRAM, "--only", "eagre", path=(), on=None)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--only eagre: is none of eager, " in done.stderr


@pytest.mark.long
def test_a_trial_on_a_cpu_proves_nothing_about_a_gpu(python: Python, tmp_path: Path) -> None:
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    words = ["--cpu", "--only", "eager,training,torch,graph"]
    done = python.run(PROGRAM, *words, path=(), on=None, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "gpu-acceptance.md").read_text()
    assert report.strip() == done.stdout.strip()
    assert report.startswith("# autoinstr on a GPU: A TRIAL ON A CPU, which proves nothing")
    for question in (
        "eager: results are those without the agent",
        "eager: every module that torch's hooks saw has a row with its calls",
        "eager: GFLOP is torch.utils.flop_counter's",
        "eager: params are named_parameters'",
        "training: forward and backward have kernels of modules",
        "torch emitter: the trace has a range for each module call",
    ):
        assert f"| {question} | agrees, on a CPU | " in report
    assert "| graph | not tried | a CPU has no graphs |" in report
    assert "FAILED" not in report
