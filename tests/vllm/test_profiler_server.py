"""An API server without any flag for the profiler: start and stop over HTTP, as a server that was
given --profiler-config answers; with when=profiling each process has ranges only while a profile
runs, in the bounds that vLLM itself keeps."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from tests.support import recorded
from tests.vllm.engines import Place, ending_all
from tests.vllm.profiled import SERVER, Client, Span, kinds, starts, steps, traces

ROLES = ("APIServer", "EngineCore", "Worker")
BOUNDED = {"profile_prefix": "bounded", "delay_iterations": 3, "max_iterations": 4}
AFTER = 12  # tokens of the request after the maximum was reached


class Session(NamedTuple):
    """What a server was asked and how it answered."""

    statuses: dict[str, int]
    plain: tuple[Span, ...]  # profiles without bounds
    bounded: Span
    over: Span  # a request after the bounded profile has stopped by itself, and before stop_profile
    folder: Path  # of the traces


def drive(client: Client, folder: Path) -> Session:
    """The same for a native server and for one with the agent."""
    now = time.perf_counter_ns
    asked: dict[str, int] = {}

    def ask(what: str, path: str, body: dict[str, object] | None = None) -> None:
        asked[what] = client.post(path, body)

    ask("a stop without a start", "/stop_profile")
    client.generate(4)
    begun = now()
    ask("a start", "/start_profile")
    ask("a second start", "/start_profile")
    client.generate(8)
    ask("a stop", "/stop_profile")
    first = Span(begun, now())
    ask("a second stop", "/stop_profile")
    ask("a bad start", "/start_profile", {"delay_iterations": -1})
    client.generate(4)
    begun = now()
    ask("a start with bounds", "/start_profile", BOUNDED)
    client.generate(24)
    time.sleep(1)  # a hundred looks of those that follow the Worker
    quiet = now()
    client.generate(AFTER)
    over = Span(quiet, now())
    ask("a stop after the maximum", "/stop_profile")
    bounded = Span(begun, now())
    client.generate(4)
    begun = now()
    ask("another start", "/start_profile")
    client.generate(4)
    ask("another stop", "/stop_profile")
    return Session(asked, (first, Span(begun, now())), bounded, over, folder)


class Both(NamedTuple):
    native: Session
    agent: Session
    place: Place
    processes: dict[str, Recording]


@pytest.fixture(scope="module")
def both(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    base = tmp_path_factory.mktemp("profiler")
    places = [
        Place(base / name, agent=name == "agent", forked=name == "native")
        for name in ("native", "agent")
    ]
    places[1].environ["AUTOINSTR_WHEN"] = "profiling"
    # No test here looks at stacks, and the server waits while they are written.
    places[1].environ["AUTOINSTR_PROFILER"] = "with_stack=false"
    native_traces = base / "traces"
    flags = [
        "--profiler-config.profiler=torch",
        "--profiler-config.torch_profiler_with_stack=false",
        f"--profiler-config.torch_profiler_dir={native_traces}",
    ]
    clients = [Client(model) for _ in places]
    started: list[subprocess.Popen[str]] = []
    with ending_all(started):
        for place, client in zip(places, clients):
            options = [] if place.agent else flags
            started.append(
                place.start(
                    *SERVER, "--model", str(model), f"--port={client.port}", *options, pipe=False
                )
            )
        for place, client, server in zip(places, clients, started):
            client.wait(server, place)
        native = drive(clients[0], native_traces)
        agent = drive(clients[1], places[1].out / "profile")
        for server in started:
            server.terminate()
        for server in started:
            server.wait(timeout=60)
    return Both(
        native, agent, places[1], {one.role: one for one in recorded.recordings(places[1].out)}
    )


def test_every_request_is_answered_as_natively(both: Both) -> None:
    assert both.agent.statuses == both.native.statuses
    assert both.agent.statuses["a start"] == both.agent.statuses["a stop"] == 200


def test_the_same_traces_are_there(both: Both) -> None:
    assert kinds(both.agent.folder) == kinds(both.native.folder)
    assert kinds(both.agent.folder)["rank0"] == 2
    assert kinds(both.agent.folder)["bounded_rank0"] == 1


def test_the_agent_says_nothing(both: Both) -> None:
    assert [
        line
        for line in both.place.log().splitlines()
        if line.startswith("autoinstr: ") or " autoinstr: " in line
    ] == []


@pytest.mark.parametrize("role", ROLES)
def test_ranges_are_recorded_while_profiling_and_only_then(both: Both, role: str) -> None:
    found = starts(both.processes[role])
    profiles = (*both.agent.plain, both.agent.bounded)
    assert [sum(profile.holds(moment) for moment in found) > 0 for profile in profiles] == [
        True
    ] * 3
    assert [
        moment for moment in found if not any(profile.holds(moment) for profile in profiles)
    ] == []


@pytest.mark.parametrize("role", ROLES)
def test_after_the_maximum_no_process_records(both: Both, role: str) -> None:
    assert [
        moment for moment in starts(both.processes[role]) if both.agent.over.holds(moment)
    ] == []


def test_the_worker_records_the_steps_that_vllm_profiles(both: Both) -> None:
    """To the step: vLLM marks each profiled step in its own trace."""
    calls = [
        one.start
        for one in recorded.ranges(both.processes["Worker"])
        if one.cls == "Qwen2ForCausalLM"
    ]
    (bounded,) = traces(both.agent.folder)["bounded_rank0"]
    assert steps(bounded) >= BOUNDED["max_iterations"]
    assert sum(both.agent.bounded.holds(moment) for moment in calls) == steps(bounded)
    for profile, trace in zip(both.agent.plain, traces(both.agent.folder)["rank0"]):
        assert sum(profile.holds(moment) for moment in calls) == steps(trace)


def test_the_engine_begins_when_the_delayed_worker_does(both: Both) -> None:
    """Not with start_profile: three steps pass first. The engine schedules a step after the one in
    which the Worker's profiler starts."""
    engine = [
        one
        for one in starts(both.processes["EngineCore"], "vllm", "sched.schedule")
        if both.agent.bounded.holds(one)
    ]
    worker = [
        one.start
        for one in recorded.ranges(both.processes["Worker"])
        if both.agent.bounded.holds(one.start)
    ]
    assert engine
    assert min(engine) > min(worker)
