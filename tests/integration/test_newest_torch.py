"""The tests of the hot path, compilation, profilers and Ascend, with a newer torch and torch_npu.

The environment lies over the one that runs the tests, and is removed afterwards."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, clean_environment
from tests.support.torch_releases import install, make_overlay, rename_cuda_options, replace_cuda

TORCH, TORCH_NPU = "2.14.1", "2.14.0"
FILES = {
    "torch": [
        *("test_mutations.py", "test_modules_behaviour.py", "test_swap.py", "test_tracing.py"),
        *("test_compile.py", "test_compiled_ranges.py", "test_training_compile.py"),
        *("test_profiler_imports.py", "test_profiler_parameters.py", "test_profiler_traces.py"),
    ],
    "npu": ["test_mstx.py", "test_emitter.py", "test_profiler.py", "test_parameters.py"],
}


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("part", list(FILES))
def test_part(part: str, tmp_path: Path) -> None:
    python, site = make_overlay(tmp_path / "environment")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = REPO / "tests" / ("npu" if part == "npu" else "integration")
    try:
        install([f"torch=={TORCH}"], version, site, "--no-deps")
        replace_cuda(site / "torch")
        runs, environ = python, {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
        if part == "npu":
            install([f"torch_npu=={TORCH_NPU}"], version, site, "--no-deps")
            rename_cuda_options(site / "torch")
            runs, environ = Path(sys.executable), {"TESTS_NPU_PYTHON": str(python)}
        options = ["-q", "-rs", "-m", "not long", "-p", "no:cacheprovider", "--timeout=1800"]
        done = subprocess.run(
            [runs, "-m", "pytest", *options, *(folder / name for name in FILES[part])],
            env=clean_environment(**environ),
            cwd=REPO,
            capture_output=True,
            text=True,
        )
    finally:
        shutil.rmtree(tmp_path / "environment", ignore_errors=True)
    print(f"torch {TORCH}, {part}: {done.stdout.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 30
