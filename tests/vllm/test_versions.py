"""Older releases of vLLM, each with its own torch: the tests of this folder, unchanged.

The environment of a release is removed afterwards."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPO, clean_environment
from tests.vllm.engines import LIMIT_S

RELEASES = ["0.12.0", "0.14.1", "0.16.0", "0.19.1", "0.22.1", "0.25.1", "0.28.0", "0.30.0"]
# Tokens and module counts; steps, phases and reports; requests and windows.
FILES = ["test_offline.py", "test_reports.py", "test_requests.py"]


@pytest.mark.long
@pytest.mark.timeout(6 * LIMIT_S)
@pytest.mark.parametrize("release", RELEASES)
def test_release(release: str, tmp_path: Path) -> None:
    from tests.support.vllm_releases import make_environment

    folder = tmp_path / "environment"
    try:
        python, torch = make_environment(release, folder)
        options = ["-q", "-rs", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}"]
        done = subprocess.run(
            [python, "-m", "pytest", *options, *(f"tests/vllm/{name}" for name in FILES)],
            # Releases before 0.20 take half of the memory for each engine otherwise.
            env=clean_environment(VLLM_CPU_KVCACHE_SPACE="1"),
            cwd=REPO,
            capture_output=True,
            text=True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"vLLM {release}, torch {torch}: {done.stdout.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 15
