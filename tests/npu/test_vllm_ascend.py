"""The real vllm-ascend on the simulated device: the guide's script as it is, without the agent and
with it, and a profile of it.

One engine start serves all tests of a kind. What this leaves unproved: device times, kernels of a
real device (those here are one an operator), triton-ascend, custom kernels, formats, and graphs.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from tests.npu import ascend, simulated
from tests.npu.ascend import LAYERS, LIMIT_S, OFFLINE, Program
from tests.npu.exported import module_statistic, rows
from tests.npu.simulated import Call, Ran

pytestmark = pytest.mark.timeout(3 * LIMIT_S)
EAGER = json.dumps({"enforce_eager": True})
# How often a step calls each class: what vllm-ascend makes of Qwen2's.
CALLS = {
    "Qwen2ForCausalLM": 1,
    "Qwen2Model": 1,
    "AscendVocabParallelEmbedding": 1,
    "AscendLogitsProcessor": 1,
    "AscendSampler": 1,
}
CALLS |= dict.fromkeys(
    ["Qwen2DecoderLayer", "Qwen2Attention", "Qwen2MLP", "Attention", "AscendQKVParallelLinear"],
    LAYERS,
)
CALLS |= dict.fromkeys(
    ["AscendRotaryEmbedding", "AscendMergedColumnParallelLinear", "AscendSiluAndMul"], LAYERS
)
CALLS |= {"AscendRowParallelLinear": 2 * LAYERS, "AscendRMSNorm": 2 * LAYERS + 1}
ON_STREAM = {
    "npu.worker.execute_model",
    "npu.runner.execute_model",
    "npu.worker.sample_tokens",
    "npu.runner.sample_tokens",
}


class Runs(NamedTuple):
    """The same script without the agent, and under it with start_profile and stop_profile; what
    transformers answers to its prompts."""

    native: Ran
    agent: Ran
    driverless: Ran  # as `agent`, where the profiler cannot start
    said: dict[str, list[str]]
    reference: list[list[int]]


@pytest.fixture(scope="module")
def runs(cann: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("offline")
    script = folder / "offline.py"
    script.write_text(OFFLINE)
    # Of all that vllm-ascend collects, stacks cost torch_npu's analysis half a minute.
    quick = {"AUTOINSTR_PROFILER": "with_stack=off;with_modules=off"}
    native = Program(cann, folder / "native", script, model, EAGER)
    agent = Program(cann, folder / "agent", script, model, EAGER, "profile", agent=True, **quick)
    both = {
        **quick,
        "AUTOINSTR_EMITTER": "mstx,recorder",
    }  # the recorder sees what comes before the profile, too
    driverless = Program(
        without_driver(cann, folder / "cann"),
        folder / "driverless",
        script,
        model,
        EAGER,
        "profile",
        agent=True,
        **both,
    )
    ran = ascend.run_all([native, agent, driverless])
    return Runs(
        *ran, {"agent": agent.said(), "driverless": driverless.said()}, ascend.reference(model)
    )


def without_driver(cann: Path, folder: Path) -> Path:
    """A CANN without the library that the profiler opens when it starts."""
    shutil.copytree(cann, folder, symlinks=True)
    (folder / "lib64" / "libascend_hal.so").unlink()
    return folder


@pytest.fixture(scope="module")
def session(runs: Runs) -> Path:
    """The folder of the one session, where the script wants it."""
    [folder] = (runs.agent.folder / "vllm_profile").glob("*_ascend_pt")
    return folder


@pytest.fixture(scope="module")
def steps(session: Path) -> int:
    """How many steps of the model were profiled, by the kernels of attention."""
    [log] = session.glob("PROF_*/host/tasks.jsonl")
    kernels = Counter(json.loads(line)["name"] for line in log.read_text().splitlines())
    attention = kernels["cannsim_npu_fused_infer_attention_score"]
    assert attention and not attention % LAYERS
    return attention // LAYERS


def test_tokens_are_those_of_transformers(runs: Runs) -> None:
    assert runs.native.given["tokens"] == runs.reference
    assert (
        len(Counter(token for answer in runs.reference for token in answer)) > 6
    )  # the model says different things


def test_the_agent_changes_no_token_and_has_nothing_to_say(runs: Runs) -> None:
    assert runs.agent.given["tokens"] == runs.native.given["tokens"]
    assert runs.said["agent"] == [] and not list(runs.agent.folder.glob("autoinstr-runs"))


def test_without_the_agent_nothing_is_marked(runs: Runs) -> None:
    assert runs.native.calls == []


def test_every_range_ends_where_it_began(runs: Runs) -> None:
    """In its process and domain; those of modules in their thread and within what they began in, as
    Futures' do not."""
    ended = all_ranges(runs)
    assert (
        len(ended) == len(runs.agent.of("start")) == len(runs.agent.of("end"))
        and len({start.pid for start, _ in ended}) == 1
    )
    assert all(start.domain == end.domain for start, end in ended)
    opened: list[Call] = []
    for call in runs.agent.of("start", "end", domain="Module"):
        if call.call == "start":
            opened.append(call)
        else:
            begun = opened.pop()
            assert (begun.id, begun.tid) == (call.id, call.tid)
    assert not opened


def all_ranges(runs: Runs) -> list[tuple[Call, Call]]:
    return [both for domain in ("Module", "vllm") for both in runs.agent.pairs(domain)]


def test_modules_are_ranges_on_the_host_once_a_call(runs: Runs, steps: int) -> None:
    modules = runs.agent.of("start", domain="Module")
    assert Counter(call.message for call in modules) == {
        name: steps * count for name, count in CALLS.items()
    }
    assert {call.stream for call in modules} == {0}
    assert {call.domain for call in runs.agent.of("start")} == {"Module", "vllm"}


def test_parts_of_a_step_are_on_the_stream(runs: Runs, steps: int) -> None:
    functions = runs.agent.of("start", domain="vllm")
    assert {call.message for call in functions if call.stream} == ON_STREAM
    assert {call.stream for call in functions if call.stream} == {stream_of_kernels(runs)}
    counts = Counter(call.message for call in functions)
    assert (
        counts["npu.runner.forward"] == counts["npu.runner.sample_tokens"] == steps
        and counts["npu.attn.impl"] == steps * LAYERS
    )


def stream_of_kernels(runs: Runs) -> int:
    [log] = runs.agent.folder.glob("vllm_profile/*/PROF_*/host/tasks.jsonl")
    [stream] = {json.loads(line)["stream"] for line in log.read_text().splitlines()}
    return int(stream)


def test_what_vllm_ascend_puts_in_vllms_place_is_what_has_ranges(runs: Runs) -> None:
    """Its Worker, model runner, scheduler and attention; of vLLM's own what it inherits or
    calls."""
    found = {call.message for call in runs.agent.of("start", domain="vllm")}
    assert found >= {
        "npu.sched.balance",
        "npu.attn.impl",
        "npu.runner.prepare_inputs",
        "npu.runner.build_attn_metadata",
        "npu.runner.sample",
    }
    assert found >= {
        "sched.schedule",
        "engine.step_bq",
        "exec.execute_model.uni",
        "kv.allocate_slots",
        "sched.update_from_output",
    }
    assert not {name for name in found if name.startswith(("worker.", "runner.execute"))}


def test_start_up_has_ranges_in_vllm_ascends_classes(runs: Runs) -> None:
    recordings = [
        Recording(path) for path in (runs.driverless.folder / "autoinstr-runs").rglob("*.airec")
    ]
    found = {
        name.message
        for recording in recordings
        for name in recording.names.values()
        if name.domain == "vllm"
    }
    worker = {
        f"npu.worker.{part}"
        for part in ("init_device", "load_model", "determine_memory", "warm_up_atb", "warmup")
    }
    runner = {f"npu.runner.{part}" for part in ("load_model", "profile_run", "dummy_run")}
    assert worker | runner | {"engine.init", "engine.init_kv", "llm.generate"} <= found
    assert not {
        name
        for name in found
        if name.startswith("worker.") or name in ("runner.load_model", "runner.dummy_run")
    }


def test_requests_are_marked_once(runs: Runs) -> None:
    marks = Counter(call.message.partition(" ")[0] for call in runs.agent.of("mark", domain="vllm"))
    assert marks == dict.fromkeys(
        ["request.queued", "request.scheduled", "request.first_token", "request.finished"],
        len(ascend.PROMPTS),
    )


def test_the_hard_coded_profiler_collects_mstx_and_writes_a_database(
    session: Path, runs: Runs
) -> None:
    """vllm-ascend asks for text alone, and no ranges."""
    config = json.loads((session / "profiler_info_0.json").read_text())["config"]
    experimental = config["experimental_config"]
    assert experimental["_mstx"] is True and set(experimental["_export_type"]) == {"text", "db"}
    assert (
        experimental["_profiler_level"] == "Level1"
        and config["common_config"]["with_modules"] is False
    )
    assert [call.domain for call in runs.agent.of("acl")].count("aclprofStart") == 1


def test_the_database_has_every_range(session: Path, runs: Runs) -> None:
    [database] = (session / "ASCEND_PROFILER_OUTPUT").glob("ascend_pytorch_profiler*.db")
    query = """SELECT d.value, m.value, count(*) FROM MSTX_EVENTS e
               JOIN STRING_IDS m ON m.id = e.message
               JOIN STRING_IDS d ON d.id = e.domainId GROUP BY 1, 2"""
    found = {(domain, message): count for domain, message, count in rows(database, query)}
    assert found == Counter((call.domain, call.message) for call in runs.agent.of("start", "mark"))


def test_msprof_analyze_prints_the_module_table(session: Path, steps: int, tmp_path: Path) -> None:
    try:
        out = module_statistic(session.parent, tmp_path / "statistic")
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    table = rows(
        out / "cluster_analysis.db",
        "SELECT parentModule, module, opName, kernelList, opCount FROM ModuleStatistic",
    )
    paths = {"/".join(filter(None, row[:2])) for row in table}
    layer = "Qwen2ForCausalLM/Qwen2Model/Qwen2DecoderLayer"
    assert {
        f"{layer}/Qwen2Attention/AscendQKVParallelLinear",
        f"{layer}/Qwen2MLP/AscendSiluAndMul",
    } <= paths
    attention = Counter[str]()  # the prompts' kernels are a row of their own
    for parent, module, _, kernels, calls in table:
        if "cannsim_npu_fused_infer_attention_score" in kernels:
            attention[f"{parent}/{module}"] += calls
    assert attention == {f"{layer}/Qwen2Attention/Attention": steps * LAYERS}


def test_a_profiler_that_cannot_start_costs_one_line(runs: Runs) -> None:
    """The answers are the same, nothing is marked, and torch_npu's own messages stay."""
    [line] = runs.said["driverless"]
    assert (
        line.startswith("autoinstr: torch_npu's profiler did not start error=")
        and "libascend_hal.so" in line
    )
    assert runs.driverless.given["tokens"] == runs.reference and not runs.driverless.of(
        "start", "mark"
    )
    assert "Call start failed" in runs.driverless.stdout
