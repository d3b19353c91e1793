"""Capture and the environment of vLLM releases that are not installed: stand-ins of their shape,
with torch's real profiler."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS

# Eager and lazy ones have a delay of two steps: the second of three is the first in a session of
# the program's own.
FULL = [["rank0", *(f"session {session} step {step}" for step in range(3))] for session in range(2)]
DELAYED = [
    ["rank0", f"session {session} step 1", f"session {session} step 2"] for session in range(2)
]
SESSIONS = {"bare": FULL, "eager": DELAYED, "lazy": DELAYED}
ABSORBED = ["rank0", "captured", "between", *(f"session 0 step {step}" for step in range(3))]


def ran(python: Python, *arguments: str, on: str | None = "1", **env: str) -> dict[str, Any]:
    folder = python.cwd / "traces"
    folder.mkdir(exist_ok=True)
    done = python.run(PROGRAMS / "older_vllm.py", folder, *arguments, on=on, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [line for line in done.stderr.splitlines() if line.startswith("autoinstr: ")]
    assert not [line for line in said if "no nn.Module and no target was called" not in line], (
        said
    )  # some only look at an environment
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By the value of capture; native is without the agent."""
    pythons = {
        how: Python(sys.executable, tmp_path_factory.mktemp(how))
        for how in ("native", "only", "through")
    }
    return {
        how: ran(python, on=None if how == "native" else "1", AUTOINSTR_CAPTURE=how)
        for how, python in pythons.items()
    }


@pytest.mark.parametrize("shape", list(SESSIONS))
def test_the_stand_in_is_what_it_says_without_us(
    told: dict[str, dict[str, Any]], shape: str
) -> None:
    assert told["native"][shape] == {"returned": 42, "traces": SESSIONS[shape]}
    assert told["native"]["environment"] is None


@pytest.mark.parametrize("shape", list(SESSIONS))
def test_only(told: dict[str, dict[str, Any]], shape: str) -> None:
    own = ["capture_rank0" if shape == "lazy" else "rank0", "captured"]
    assert told["only"][shape] == {"returned": 42, "traces": [own, *SESSIONS[shape]]}


@pytest.mark.parametrize("shape", list(SESSIONS))
def test_through(told: dict[str, dict[str, Any]], shape: str) -> None:
    assert told["through"][shape] == {"returned": 42, "traces": [ABSORBED, SESSIONS[shape][1]]}


def test_the_environment_is_set_before_the_routes_are_decided(
    python: Python, tmp_path: Path
) -> None:
    """And a folder of ours makes no compile cache of its own; one of the user's is as it is without
    us."""
    out = tmp_path / "run"
    ours = ran(python, "no workers", AUTOINSTR_OUT=str(out))
    assert ours["environment"] == str(out / "profile")
    assert ours["factors"] == {"VLLM_TORCH_PROFILER_DIR": None, "OTHER": "1"}
    given = ran(python, "no workers", VLLM_TORCH_PROFILER_DIR="./mine")
    assert (given["environment"], given["factors"]["VLLM_TORCH_PROFILER_DIR"]) == (
        "./mine",
        "./mine",
    )
    off = ran(python, "no workers", AUTOINSTR_PROFILER="enable=off")
    assert off["environment"] is None
