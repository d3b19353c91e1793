"""Capture and the environment of vLLM releases that are not installed: stand-ins of their shape, with torch's real profiler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS

# Eager and lazy ones have a delay of two steps: the second of three is the first in a session of the program's own.
SESSIONS = {
    "bare": [["rank0", *(f"session {session} step {step}" for step in range(3))] for session in range(2)],
    "eager": [["rank0", f"session {session} step 1", f"session {session} step 2"] for session in range(2)],
    "lazy": [["rank0", f"session {session} step 1", f"session {session} step 2"] for session in range(2)],
}
ABSORBED = ["rank0", "captured", "between", *(f"session 0 step {step}" for step in range(3))]


def ran(python: Python, shape: str, folder: Path, on: str | None, **env: str) -> dict[str, Any]:
    folder.mkdir()
    done = python.run(PROGRAMS / "older_vllm.py", shape, folder, on=on, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "autoinstr: " not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("shape", list(SESSIONS))
def test_the_stand_in_is_what_it_says_without_us(python: Python, tmp_path: Path, shape: str) -> None:
    told = ran(python, shape, tmp_path / "native", None)
    assert told["traces"] == SESSIONS[shape]
    assert told["environment"] is None


@pytest.mark.parametrize("shape", list(SESSIONS))
def test_only(python: Python, tmp_path: Path, shape: str) -> None:
    told = ran(python, shape, tmp_path / "traces", "1", AUTOINSTR_CAPTURE="only")
    assert told["traces"] == [["capture_rank0" if shape == "lazy" else "rank0", "captured"], *SESSIONS[shape]]
    assert told["returned"] == 42


@pytest.mark.parametrize("shape", list(SESSIONS))
def test_through(python: Python, tmp_path: Path, shape: str) -> None:
    told = ran(python, shape, tmp_path / "traces", "1", AUTOINSTR_CAPTURE="through")
    assert told["traces"] == [ABSORBED, SESSIONS[shape][1]]
    assert told["returned"] == 42


def test_the_environment_is_set_before_the_routes_are_decided(python: Python, tmp_path: Path) -> None:
    """And a folder of ours makes no compile cache of its own; one of the user's is as it is without us."""
    out = tmp_path / "run"
    told = ran(python, "bare", tmp_path / "ours", "1", AUTOINSTR_OUT=str(out))
    assert told["environment"] == str(out / "profile")
    assert told["factors"] == {"VLLM_TORCH_PROFILER_DIR": None, "OTHER": "1"}
    told = ran(python, "bare", tmp_path / "given", "1", VLLM_TORCH_PROFILER_DIR="./mine")
    assert (told["environment"], told["factors"]["VLLM_TORCH_PROFILER_DIR"]) == ("./mine", "./mine")
    told = ran(python, "bare", tmp_path / "off", "1", AUTOINSTR_PROFILER="enable=off")
    assert told["environment"] is None
