"""Older releases of vllm-ascend, each with its vLLM, over the same torch_npu: the guide's script
under the agent.

`requirements/ascend.sh VERSION` makes the environment of one. What this leaves unproved: the
torch_npu and CANN they were made for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import REPO
from tests.npu import ascend, simulated
from tests.npu.ascend import LAYERS, LIMIT_S, OFFLINE, Program
from tests.npu.simulated import Ran

pytestmark = [pytest.mark.long, pytest.mark.timeout(2 * LIMIT_S)]
# Release -> what of a step is on the stream: sampling is a call of its own from 0.12 on.
EXECUTE, SAMPLE = (
    {f"npu.{where}.{what}" for where in ("worker", "runner")}
    for what in ("execute_model", "sample_tokens")
)
RELEASES = {"0.18.0": EXECUTE | SAMPLE, "0.13.0": EXECUTE | SAMPLE, "0.11.0": EXECUTE}


class Run(NamedTuple):
    version: str
    ran: Ran
    said: list[str]
    reference: list[list[int]]


@pytest.fixture(scope="module", params=list(RELEASES))
def run(
    request: pytest.FixtureRequest, cann: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    version: str = request.param
    venv = REPO / f".venv-ascend-{version}"
    try:
        ascend.require_ascend(venv)
    except simulated.Unavailable:
        pytest.skip(f"no {venv.name}: `requirements/ascend.sh {version}` makes it")
    folder = tmp_path_factory.mktemp("older")
    model, script = ascend.make_model(folder / "model"), folder / "offline.py"
    script.write_text(OFFLINE)
    quick = {"AUTOINSTR_PROFILER": "with_stack=off;with_modules=off"}
    program = Program(
        cann,
        folder / "agent",
        script,
        model,
        json.dumps({"enforce_eager": True}),
        "profile",
        agent=True,
        venv=venv,
        **quick,
    )
    [ran] = ascend.run_all([program])
    return Run(version, ran, program.said(), ascend.reference(model))


def test_tokens_are_those_of_transformers_and_the_agent_is_silent(run: Run) -> None:
    assert run.ran.given["tokens"] == run.reference and run.said == []


def test_modules_are_ranges_once_a_call(run: Run) -> None:
    counts = Counter(call.message for call in run.ran.of("start", domain="Module"))
    steps = counts["Qwen2ForCausalLM"]
    assert steps >= 6 and counts["Qwen2Model"] == counts["AscendSampler"] == steps
    assert (
        counts["Qwen2DecoderLayer"]
        == counts["Attention"]
        == counts["AscendSiluAndMul"]
        == LAYERS * steps
    )
    assert len(run.ran.pairs("Module")) == sum(counts.values())


def test_functions_of_vllm_ascend_have_ranges(run: Run) -> None:
    functions = run.ran.of("start", domain="vllm")
    steps = Counter(call.message for call in functions)["npu.runner.forward"]
    assert steps == sum(
        call.message == "Qwen2ForCausalLM" for call in run.ran.of("start", domain="Module")
    )
    assert {call.message for call in functions if call.stream} == RELEASES[run.version]
    assert {"npu.runner.prepare_inputs", "npu.attn.impl", "sched.schedule"} <= {
        call.message for call in functions
    }
    assert not {call.message for call in functions if call.message.startswith("worker.")}


def test_the_profile_has_ranges_in_its_database(run: Run) -> None:
    [session] = (run.ran.folder / "vllm_profile").glob("*_ascend_pt")
    [info] = session.glob("profiler_info*.json")
    config = json.loads(info.read_text())["config"]["experimental_config"]
    assert config["_mstx"] is True and "db" in config["_export_type"]
    assert list((session / "ASCEND_PROFILER_OUTPUT").glob("ascend_pytorch_profiler*.db"))
