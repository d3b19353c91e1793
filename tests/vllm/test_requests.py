"""One request at a time: same tokens, marks that agree with vLLM's own statistics; and `window`,
counted in steps of vLLM. EngineCore and Worker are forked, as on accelerators."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from tests.support import recorded
from tests.vllm.engines import Offline, Place, get_executor, map_roles, module_calls, run_offline
from tests.vllm.request_stats import REQUESTS

SCRIPT = Path(__file__).with_name("request_stats.py")
SKIP, COUNT = 5, 4
STEPS = sum(count for _, count in REQUESTS)  # one at a time: each token is a step


class Runs(NamedTuple):
    native: Offline
    agent: Offline
    windowed: Offline


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    base = tmp_path_factory.mktemp("requests")
    places = [
        Place(base / name, agent=name == "agent", forked=True) for name in ("native", "agent")
    ]
    window = ["--window", f"{SKIP}:{COUNT}"]
    places.append(Place(base / "windowed", agent=True, flags=window, forked=True))
    return Runs(*run_offline(model, places, script=SCRIPT))


def by_role(run: Offline) -> dict[str, Recording]:
    return map_roles(run.place.out)


@pytest.fixture(scope="module")
def processes(runs: Runs) -> dict[str, Recording]:
    return by_role(runs.agent)


def marks(recording: Recording, request: str) -> dict[str, recorded.Named]:
    """The marks of one request, by the id that the client knows or the one in the process."""
    found = [
        one
        for one in recorded.named(recording, "mark")
        if one.fields["request"].split("-")[0] == request
    ]
    assert len({one.message for one in found}) == len(found), found
    return {one.message: one for one in found}


def test_the_token_ids_are_the_same(runs: Runs) -> None:
    assert runs.native.tokens == runs.agent.tokens == runs.windowed.tokens
    assert [len(ids) for ids in runs.agent.tokens] == [count for _, count in REQUESTS]


def test_each_request_has_its_marks_in_the_process_where_they_happen(
    runs: Runs, processes: dict[str, Recording]
) -> None:
    for one in runs.agent.said["requests"]:
        engine, front = (
            marks(processes["EngineCore"], one["id"]),
            marks(processes["MainProcess"], one["id"]),
        )
        assert list(engine) == [
            "request.queued",
            "request.scheduled",
            "request.first_token",
            "request.finished",
        ]
        assert list(front) == ["request.arrived", "request.first_output", "request.completed"]
        assert (
            engine["request.queued"].fields["prompt_tokens"]
            == front["request.arrived"].fields["prompt_tokens"]
            == one["prompt_tokens"]
        )
        assert engine["request.finished"].fields["output_tokens"] == one["output_tokens"]
        assert (
            engine["request.finished"].fields["reason"]
            == front["request.completed"].fields["reason"]
            == one["reason"]
            == "length"
        )
        arrived = front["request.arrived"].start - front["request.arrived"].fields["waited_ns"]
        later = [
            engine["request.queued"],
            engine["request.first_token"],
            front["request.first_output"],
            front["request.completed"],
        ]
        times = [arrived, *(at.start for at in later)]
        assert times == sorted(times)


def test_the_times_are_those_of_vllms_own_statistics(
    runs: Runs, processes: dict[str, Recording]
) -> None:
    """Same clock: vLLM's times lie inside the calls in which it takes them, and our marks right
    after those calls."""
    engine = processes["EngineCore"]
    calls = recorded.named(engine)
    takes = {
        "queued": "sched.add_request",
        "scheduled": "sched.schedule",
        "first_token": "sched.update_from_output",
    }
    for one in runs.agent.said["requests"]:
        its = marks(engine, one["id"])
        for word, function in takes.items():
            time = round(one[word] * 1e9)
            (call,) = [
                call
                for call in calls
                if call.message == function and call.start <= time <= call.end
            ]
            mark = its[f"request.{word}"]
            later = [
                other.start
                for other in calls
                if other.thread == call.thread and other.start > call.end
            ]
            assert call.end <= mark.start <= min(later), (word, one)


def test_requests_run_one_after_the_other(runs: Runs, processes: dict[str, Recording]) -> None:
    ends = [
        marks(processes["EngineCore"], one["id"])["request.finished"].start
        for one in runs.agent.said["requests"]
    ]
    starts = [
        marks(processes["EngineCore"], one["id"])["request.scheduled"].start
        for one in runs.agent.said["requests"]
    ]
    assert all(end < start for end, start in zip(ends, starts[1:]))


def test_every_step_says_what_it_is(processes: dict[str, Recording]) -> None:
    """A prompt is one step, every further token one more; the Worker's ranges name the step of
    EngineCore's."""
    steps = [
        one.fields
        for one in recorded.named(processes["EngineCore"])
        if one.message == "sched.schedule" and one.fields["tokens"]
    ]
    assert Counter(fields["phase"] for fields in steps) == {
        "prefill": len(REQUESTS),
        "decode": STEPS - len(REQUESTS),
    }
    assert all((fields["prefills"], fields["decodes"]) in ((1, 0), (0, 1)) for fields in steps)
    assert [fields["tokens"] for fields in steps if fields["phase"] == "decode"] == [1] * (
        STEPS - len(REQUESTS)
    )
    assert (
        steps[0]["running"] == 1
        and {fields["waiting"] for fields in steps} <= {0, 1, 2, 3}
        and 0 < steps[0]["kv_usage"] < 1
    )
    assert len({fields["step"] for fields in steps}) == STEPS
    for name in ("worker.execute_model", "runner.execute_model"):
        seen = [
            one.fields
            for one in recorded.named(processes["Worker"])
            if one.message == name and one.fields["tokens"]
        ]
        assert [(one["step"], one["phase"]) for one in seen] == [
            (one["step"], one["phase"]) for one in steps
        ]
    executor = get_executor(processes)
    names = (("Worker", "worker.sample_tokens"), ("EngineCore", f"exec.sample_tokens.{executor}"))
    for role, name in names:
        seen = [one.fields for one in recorded.named(processes[role]) if one.message == name]
        assert [one["step"] for one in seen] == [one["step"] for one in steps]


def test_a_window_is_counted_in_steps_of_vllm(runs: Runs) -> None:
    """The model is also run while the engine starts (on other machines), and modules are called
    outermost twice a step: neither counts."""
    processes = by_role(runs.windowed)
    worker = processes["Worker"]
    assert Counter(one.cls for one in module_calls(worker))["Qwen2ForCausalLM"] == COUNT
    assert Counter(one.message for one in recorded.named(worker))["worker.execute_model"] == COUNT
    assert Counter(one.message for one in recorded.named(processes["EngineCore"]))[
        f"exec.execute_model.{get_executor(processes)}"
    ] in (COUNT, COUNT + 1)
    assert Counter(one.message for one in recorded.named(processes["MainProcess"]))[
        "output.process"
    ] in (COUNT, COUNT + 1)


def test_a_window_shows_the_steps_that_it_names(
    runs: Runs, processes: dict[str, Recording]
) -> None:
    """The same steps as those of a run without a window: ids of requests differ by a random part,
    and positions do not."""

    def positions(recording: Recording) -> list[str]:
        found = [
            one.fields
            for one in recorded.named(recording)
            if one.message == "worker.execute_model" and one.fields["tokens"]
        ]
        return [f"{one['step'].split('-')[0]}@{one['step'].split('@')[1]}" for one in found]

    assert (
        positions(by_role(runs.windowed)["Worker"])
        == positions(processes["Worker"])[SKIP : SKIP + COUNT]
    )


def test_nothing_of_vllms_own_says_otherwise(runs: Runs) -> None:
    said: list[dict[str, Any]] = runs.native.said["requests"]
    assert [(one["id"], one["output_tokens"], one["reason"]) for one in said] == [
        (one["id"], one["output_tokens"], one["reason"]) for one in runs.agent.said["requests"]
    ]
