"""What the agent makes of engine configurations, and that vLLM's compile-cache key does not know of
it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.vllm.engines import LIMIT_S, Place, ending_all

SCRIPT = str(Path(__file__).with_name("profiler_config.py"))


@pytest.fixture(scope="module")
def told(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    base = tmp_path_factory.mktemp("config")
    places = {
        name: Place(base / name, agent=name != "native") for name in ("native", "agent", "set")
    }
    places["set"].environ["AUTOINSTR_PROFILER"] = "delay_iterations=2;schedule=wait:4,active:1"
    started: list[subprocess.Popen[str]] = []
    found = {}
    with ending_all(started):
        started += [place.start(SCRIPT, str(model)) for place in places.values()]
        for (name, place), process in zip(places.items(), started):
            stdout, _ = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 0, place.end_of_log(stdout)
            found[name] = json.loads(stdout.splitlines()[-1])
            found[name]["folder"] = str(place.folder)
    return found


def test_a_profiler_that_nobody_chose_is_torchs_in_the_run_directory(
    told: dict[str, dict[str, Any]],
) -> None:
    assert told["native"]["none"]["profiler"] is None
    chosen = told["agent"]["none"]
    assert (chosen["profiler"], chosen["torch_profiler_dir"]) == (
        "torch",
        os.path.join(told["agent"]["folder"], "run", "profile"),
    )


def test_the_variable_is_read_when_the_engine_is_built(told: dict[str, dict[str, Any]]) -> None:
    assert told["native"]["set late"]["profiler"] is None, (
        "vLLM reads it itself: this test is not needed"
    )
    assert told["agent"]["set late"]["torch_profiler_dir"] == os.path.join(
        told["agent"]["folder"], "mine"
    )


def test_what_the_program_says_stays(told: dict[str, dict[str, Any]]) -> None:
    assert told["agent"]["explicit"] == told["native"]["explicit"]
    assert told["agent"]["own object"]["delay_iterations"] == 3
    assert told["agent"]["own object afterwards"] is None, "the program's own object was changed"


def test_the_hash_is_the_same(told: dict[str, dict[str, Any]]) -> None:
    for name in ("none", "own object", "explicit", "set late"):
        assert told["agent"][name]["hash"] == told["native"][name]["hash"]


def test_parameters_reach_the_configuration(told: dict[str, dict[str, Any]]) -> None:
    for name in ("none", "own object", "explicit"):
        assert (told["set"][name]["delay_iterations"], told["set"][name]["wait_iterations"]) == (
            2,
            4,
        )
