"""A real SGLang on a CPU, unedited: equal tokens, and its steps, requests and modules.

The environment is removed afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.tiny_model import LAYERS, make
from tests.conftest import REPO, clean_environment
from tests.programs import PROGRAMS
from tests.support import recorded

RELEASE = "0.5.23"
TOKENS = 8
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from tests.support.sglang_release import make_environment

    folder = tmp_path_factory.mktemp("sglang") / "environment"
    try:
        yield make_environment(RELEASE, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make(str(folder))
    return folder


def run(python: Path, model: Path, overlap: str, *command: str) -> dict[str, Any]:
    """Return what the program printed; `command` stands before it."""
    environ = clean_environment(
        PYTHONPATH=str(REPO), SGLANG_USE_CPU_ENGINE="1", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1"
    )
    program = [str(python), str(PROGRAMS / "sglang_engine.py"), str(model), overlap]
    done = subprocess.run(
        [*command, *program],
        capture_output=True,
        text=True,
        timeout=900,
        env=environ,
        cwd=model,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith('{"tokens"')]
    said: dict[str, Any] = json.loads(line)
    assert "autoinstr: " not in done.stderr
    return said


@pytest.mark.parametrize("overlap", ["false", "true"])
def test_engine(python: Path, model: Path, overlap: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    agent = [str(python), "-m", "autoinstr", "run", "--out", str(out), "--"]
    said = run(python, model, overlap, *agent)
    assert said == run(python, model, overlap)
    assert [len(ids) for ids in said["tokens"]] == [TOKENS] * 2
    recordings = recorded.recordings(out)
    roles = sorted(role for recording in recordings for role in recording.roles)
    assert roles == ["EngineCore", "MainProcess", "Process-2", "Worker"]  # the detokenizer's name
    [scheduler] = [one for one in recordings if one.role == "EngineCore"]
    assert (scheduler.rank, scheduler.world_size) == (0, 1)
    command = [*agent[:3], "report", str(out), "--format", "json", "-o", "-"]
    report = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=REPO).stdout)
    check_steps(report)
    modules = Counter(one.cls for one in recorded.ranges(scheduler))
    calls = Counter(call.message for call in recorded.named(scheduler))
    steps = len(report["steps"])
    assert modules["Qwen2Model"] == modules["LogitsProcessor"] == steps
    assert modules["Qwen2DecoderLayer"] == LAYERS * steps
    for name in ("run_batch", "forward_batch", "model_forward", "sample", "process_result"):
        assert calls[f"sgl.{name}"] == steps, name
    assert "sgl.next_batch" not in calls, "it is called in each turn, also when idle"


def test_a_window_is_counted_in_steps(python: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    agent = [str(python), "-m", "autoinstr", "run", "--window", "2:3", "--out", str(out), "--"]
    run(python, model, "true", *agent)
    [scheduler] = [one for one in recorded.recordings(out) if one.role == "EngineCore"]
    modules = Counter(one.cls for one in recorded.ranges(scheduler))
    assert modules["Qwen2Model"] == modules["LogitsProcessor"] == 3


def check_steps(report: dict[str, Any]) -> None:
    """Assert that steps and requests are complete: each token of an answer is of one step."""
    prompts = {row["id"]: row["prompt_tokens"] for row in report["requests"]}
    assert len(prompts) == 2
    for row in report["requests"]:
        assert (row["state"], row["reason"], row["output_tokens"]) == ("finished", "length", TOKENS)
        order = ("queued", "first_scheduled", "first_token", "finished")
        times = [row[f"{name}_ns"] for name in order]
        assert times == sorted(times)
        assert row["arrived_ns"] is None, "not read from SGLang"
    steps = report["steps"]
    assert sum(row["tokens"] for row in steps) == sum(prompts.values()) + 2 * (TOKENS - 1)
    assert sum(row["decodes"] for row in steps) == 2 * (TOKENS - 1)
    assert len({row["step"] for row in steps}) == len(steps)
    for row in steps:
        assert row["requests"] == row["prefills"] + row["decodes"] == len(row["request_ids"])
        assert row["schedule_ns"] is None
        assert 0 < row["execute_ns"] + row["update_ns"] <= row["duration_ns"]
    phases = Counter(row["phase"] for row in steps)
    roots = {
        row["phase"]: row["calls"]
        for row in report["rows"]
        if row["domain"] == "Module" and row["path"] == "" and row["class"] == "Qwen2Model"
    }
    assert roots == phases
