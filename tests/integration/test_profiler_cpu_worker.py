"""vLLM 0.12 on a CPU, by stand-ins of its two modules: its Worker dies in each step if it has a
profiler, so the agent does not give it one. tests/vllm/test_versions.py runs the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python

ENVS = """\
import os
environment_variables = {"VLLM_TORCH_PROFILER_DIR": lambda: os.getenv("VLLM_TORCH_PROFILER_DIR")}
def compile_factors(): return {}
"""
WORKER = """\
{first_line}
class Worker:
    def annotate_profile(self, output):
        return self.profiler.{method}("execute_new_1_cached_0")
class CPUWorker(Worker): ...
"""
PROGRAM = """\
import json, os
import torch, vllm.envs
read = vllm.envs.environment_variables["VLLM_TORCH_PROFILER_DIR"]
folders = [read()]
import vllm.v1.worker.cpu_worker
print(json.dumps([*folders, read()]))
"""


@pytest.mark.parametrize(
    ("first_line", "method", "is_spared"),
    [
        ("", "annotate_context_manager", True),  # 0.12
        ("", "step", False),  # 0.11
        ("TorchProfilerWrapper = object", "annotate_context_manager", False),  # 0.13
    ],
)
@pytest.mark.parametrize("own_folder", ["", "mine"])
def test_a_worker_gets_no_profiler_that_ends_it(
    python: Python, tmp_path: Path, first_line: str, method: str, is_spared: bool, own_folder: str
) -> None:
    files = {
        "__init__.py": "",
        "v1/__init__.py": "",
        "v1/worker/__init__.py": "",
        "envs.py": ENVS,
        "v1/worker/cpu_worker.py": WORKER.format(first_line=first_line, method=method),
    }
    for name, text in files.items():
        file = tmp_path / "packages" / "vllm" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    path = (GATE, REPO / "tests" / "stub", tmp_path / "packages")
    env = {"VLLM_TORCH_PROFILER_DIR": own_folder} if own_folder else {}
    run = python.run("-c", PROGRAM, path=path, on=f"out={python.cwd / 'run'}", env=env)
    assert run.stderr == ""
    before, after = json.loads(run.stdout)
    if own_folder:
        assert (before, after) == (own_folder, own_folder), "the user's own stays"
    else:
        assert before.endswith("profile")
        assert after == (None if is_spared else before)
