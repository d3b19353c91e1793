"""vllm-ascend's API server with two Workers over the simulated HCCL, under the agent: profiles by
HTTP while it answers, as the guide does.

One server serves all tests. What this leaves unproved: HCCL's own transport, times and failures.
"""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.npu import ascend, simulated
from tests.npu.analysed import analyse
from tests.npu.ascend import LAYERS, LIMIT_S, PROMPTS, Program
from tests.npu.simulated import Call, read_log
from tests.vllm.engines import ending_all
from tests.vllm.profiled import Client

pytestmark = pytest.mark.timeout(3 * LIMIT_S)
RANKS = 2
CYCLES = 2
SERVER = [
    "-m",
    "vllm.entrypoints.openai.api_server",
    "--host=127.0.0.1",
    "--max-model-len=256",
    "--max-num-seqs=8",
    "--dtype=float32",
]
SERVER += ["--enforce-eager"]
QUICK = {
    "AUTOINSTR_PROFILER": "with_stack=off;with_modules=off"
}  # stacks cost torch_npu's analysis half a minute


class Answered(NamedTuple):
    """Token ids of one prompt's answer, and what the server was doing then."""

    prompt: int
    tokens: list[int]
    profiling: bool


class Served(NamedTuple):
    program: Program
    statuses: list[int]
    answers: list[Answered]
    reference: list[list[int]]
    sessions: list[Path]
    status: int


def complete(client: Client, model: Path, prompt: int) -> list[int]:
    body = {
        "model": str(model),
        "prompt": PROMPTS[prompt],
        "max_tokens": 6,
        "temperature": 0,
        "ignore_eos": True,
        "return_token_ids": True,
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{client.port}/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        tokens: list[int] = json.loads(answer.read())["choices"][0]["token_ids"]
    return tokens


def drive(client: Client, model: Path, cycles: int) -> tuple[list[int], list[Answered]]:
    """Start and stop while two clients ask, each the same prompts again and again."""
    answers: list[Answered] = []
    profiling, ended = threading.Event(), threading.Event()

    def ask(first: int) -> None:
        turn = first
        while not ended.is_set():
            before = profiling.is_set()
            answers.append(
                Answered(
                    turn % len(PROMPTS),
                    complete(client, model, turn % len(PROMPTS)),
                    before and profiling.is_set(),
                )
            )
            turn += 1

    clients = [threading.Thread(target=ask, args=(first,), daemon=True) for first in (0, 2)]
    for one in clients:
        one.start()
    statuses = []
    for _ in range(cycles):
        statuses.append(client.post("/start_profile"))
        profiling.set()
        so_far = len(answers)
        while len(answers) < so_far + 4 and all(one.is_alive() for one in clients):
            time.sleep(0.05)
        profiling.clear()
        statuses.append(client.post("/stop_profile"))
    ended.set()
    for one in clients:
        one.join(LIMIT_S)
    return statuses, answers


def serve(cann: Path, model: Path, folder: Path, ranks: int, cycles: int, **env: str) -> Served:
    """A server under the agent, from its start to its end."""
    client = Client(model)
    arguments = [
        *SERVER,
        f"--tensor-parallel-size={ranks}",
        "--model",
        str(model),
        "--port",
        str(client.port),
    ]
    server = Program(
        cann,
        folder,
        *arguments,
        agent=True,
        devices=ranks,
        VLLM_TORCH_PROFILER_DIR="./vllm_profile",
        **QUICK,
        **env,
    )
    with ending_all([server.process]):
        client.wait(server.process, server)
        statuses, answers = drive(client, model, cycles)
        server.process.send_signal(signal.SIGTERM)
        status = server.process.wait(LIMIT_S)
    return Served(
        server,
        statuses,
        answers,
        ascend.reference(model),
        sorted((folder / "vllm_profile").glob("*_ascend_pt")),
        status,
    )


@pytest.fixture(scope="module")
def served(cann: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return serve(cann, model, tmp_path_factory.mktemp("served") / "server", RANKS, CYCLES)


def logs(served: Served) -> list[list[Call]]:
    """The mstx calls of each session of each rank."""
    found = []
    for session in served.sessions:
        [log] = session.glob("PROF_*/host/mstx.jsonl")
        found.append(read_log(log))
    return found


def test_every_answer_is_that_of_transformers(served: Served) -> None:
    assert all(answer.tokens == served.reference[answer.prompt] for answer in served.answers)
    assert {answer.profiling for answer in served.answers} == {True, False}


def test_profiles_start_and_stop_by_http_without_a_flag(served: Served) -> None:
    assert served.statuses == [200] * 2 * CYCLES
    ranks = Counter(session.name.partition("_")[0] for session in served.sessions)
    assert ranks == {f"rank{rank}": CYCLES for rank in range(RANKS)}


def test_each_worker_marks_the_same_steps_in_each_session(served: Served) -> None:
    for log in logs(served):
        modules = Counter(
            call.message for call in log if call.call == "start" and call.domain == "Module"
        )
        steps = modules["Qwen2Model"]
        assert steps > 4 and modules["Qwen2DecoderLayer"] == modules["Attention"] == LAYERS * steps
    assert len({call.pid for log in logs(served) for call in log}) == RANKS


def test_no_range_reaches_beyond_its_session(served: Served) -> None:
    """Those that a stop comes upon are ended before it; those that a start comes upon are not
    there."""
    for log in logs(served):
        starts, ends = ([call.id for call in log if call.call == kind] for kind in ("start", "end"))
        assert sorted(starts) == sorted(ends)


def test_sharing_the_work_is_seen_as_collectives(served: Served) -> None:
    """Each layer adds up twice what its Workers have: in the domain of torch, within the module
    that waits for it."""
    for log in logs(served):
        kinds = Counter(
            call.message for call in log if call.call == "start" and call.domain == "torch"
        )
        assert kinds["dist.all_reduce"] >= 2 * LAYERS * 4


def test_one_report_has_all_ranks_and_sessions(served: Served, cann: Path) -> None:
    """Each is analysed, which the Workers cannot do, and none hides another of its rank; calls are
    those of its own log."""
    try:
        done = analyse(
            cann, served.program.folder / "vllm_profile", "--format", "json", timeout=LIMIT_S
        )
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    told = done.told
    labels = [
        f"rank {rank} #{session}" for rank in range(RANKS) for session in range(1, CYCLES + 1)
    ]
    assert [(one["label"], one["problem"]) for one in told["profiles"]] == [
        (label, None) for label in labels
    ], done.done.stderr
    kept_apart = "2 profiles name rank {} (one after the other: sessions); each has its own figures"
    assert told["remarks"] == [kept_apart.format(rank) for rank in range(RANKS)]
    for at, (profile, log) in enumerate(zip(told["profiles"], logs(served))):
        assert profile["folder"] == str(served.sessions[at])
        calls: Counter[str] = Counter()
        for row in told["rows"]:
            if row["profile"] == at and row["calls"]:
                calls[row["module"]] += row["calls"]
        assert calls == Counter(
            call.message for call in log if call.call == "start" and call.domain == "Module"
        )
        attention = [
            row for row in told["rows"] if row["profile"] == at and row["module"] == "Attention"
        ]
        assert [row["path"] for row in attention] == [
            "Qwen2ForCausalLM/Qwen2Model/Qwen2DecoderLayer/Qwen2Attention/Attention"
        ]
        assert attention[0]["device_ns"] > 0 and attention[0]["kernels"] > 0


def test_the_agent_is_silent_and_the_server_ends_as_it_should(served: Served) -> None:
    assert served.program.said() == [] and served.status == 0
    assert "not simulated" not in served.program.out + served.program.err


@pytest.mark.long
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_ten_profiles_of_an_engine_that_was_spawned_or_forked(
    cann: Path, model: Path, tmp_path: Path, method: str
) -> None:
    served = serve(
        cann, model, tmp_path / "server", 1, 10, VLLM_WORKER_MULTIPROCESSING_METHOD=method
    )
    assert served.statuses == [200] * 20 and len(served.sessions) == 10
    test_every_answer_is_that_of_transformers(served)
    test_no_range_reaches_beyond_its_session(served)
    test_the_agent_is_silent_and_the_server_ends_as_it_should(served)
    assert all(any(call.message == "Attention" for call in log) for log in logs(served))
