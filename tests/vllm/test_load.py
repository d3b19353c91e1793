"""A server under the load of vLLM's own benchmark client, profiled by it, with no profiler flag
given: what every process records of it."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from autoinstr.targets.installed import OK, check_targets
from examples.tiny_model import LAYERS
from tests.support import recorded
from tests.vllm.engines import Place
from tests.vllm.served import REQUESTS, TOKENS, Served

# In each process: what every step with scheduled tokens calls, and how often.
EACH_STEP = {
    "EngineCore": {"exec.sample_tokens.mp": 1},
    "Worker": {
        **dict.fromkeys(
            (
                "runner.prepare_inputs",
                "runner.determine_batch",
                "runner.build_attn_metadata",
                "runner.preprocess",
            ),
            1,
        ),
        **dict.fromkeys(
            (
                "runner.model_forward",
                "logits",
                "runner.sample_tokens",
                "worker.sample_tokens",
                "runner.sample",
            ),
            1,
        ),
        **dict.fromkeys(("sampler.forward", "runner.bookkeeping", "runner.eplb"), 1),
        **dict.fromkeys(
            ("gpu_model_runner: forward", "gpu_model_runner: sample", "gpu_model_runner: bookkeep"),
            1,
        ),
        "attn.impl.cpu": LAYERS,
    },
}
EACH_STEP_OR_IDLE = {
    "EngineCore": (
        "sched.schedule",
        "exec.execute_model.mp",
        "sched.update_from_output",
        "sched.grammar_bitmask",
    ),
    "Worker": ("worker.execute_model", "runner.execute_model", "runner.update_states"),
}
EACH_REQUEST = {
    "APIServer": (
        "async_llm.add_request",
        "input.process",
        "client.add_request_async",
        "request.arrived",
    ),
    "EngineCore": (
        "engine.preprocess_add_request",
        "engine.add_request",
        "sched.add_request",
        "kv.free",
        "request.queued",
    ),
}
ONCE = {
    "EngineCore": (
        "engine.init",
        "engine.init_kv",
        "exec.initialize_from_config",
        "exec.compile_or_warm_up",
    ),
    "Worker": (
        *(
            "worker.init_device",
            "worker.load_model",
            "runner.load_model",
            "load.model",
            "load.weights",
        ),
        *("worker.determine_memory", "worker.warmup"),
    ),
}
OFTEN = {
    "APIServer": (
        *(
            "api.completion",
            "async_llm.generate",
            "input.tokenize_async",
            "client.get_output_async",
        ),
        *("output.process", "output.detok"),
    ),
    "EngineCore": (
        *(
            "engine.input_queue",
            "engine.step",
            "engine.post_step",
            "comm.shm_enqueue",
            "comm.shm_dequeue",
        ),
        *(
            "kv.allocate_slots",
            "kv.get_computed_blocks",
            "engine.profile",
            "schedule: allocate_slots",
        ),
        *("struct.grammar_init", "struct.grammar_bitmask", "struct.create_grammar"),
        *("engine.abort_requests", "sched.finish_requests"),
    ),
    "Worker": ("comm.shm_enqueue", "comm.shm_dequeue", "worker.enqueue_output", "worker.profile"),
}
SERVED = {
    name
    for table in (EACH_STEP, EACH_STEP_OR_IDLE, EACH_REQUEST, ONCE, OFTEN)
    for names in table.values()
    for name in names
}
# The rest of the default set, and why it cannot be seen in a server of a text model on one CPU.
NOT_HERE = {
    "llm.*": "offline: test_offline.py",
    "llm_engine.*": "offline: test_offline.py",
    "input.tokenize": "offline: test_offline.py",
    "client.add_request": "offline: test_offline.py",
    "client.get_output": "offline: test_offline.py",
    "api.chat": "the tiny model has no chat template",
    "input.render_chat_async": "the tiny model has no chat template",
    "async_llm.encode": "pooling models",
    "runner*.pool": "pooling models",
    "async_llm.abort": "seen, or not: the client may have gone before the request is known",
    "engine.step_bq": "asynchronous scheduling, which the CPU platform does not do",
    "*dummy_batch": "data parallel",
    "sched.preempt": "seen only when the KV cache is full",
    "sched.schedule": "seen",
    "exec.execute_model*": "one executor of several",
    "exec.sample_tokens*": "one executor of several",
    "worker.draft_ids": "speculative decoding",
    "runner.draft": "speculative decoding",
    "spec.*": "speculative decoding",
    "sampler.rejection": "speculative decoding",
    "runner.mm_*": "multi-modal models",
    "runner.dummy_run": "an accelerator's warm-up",
    "runner.profile_run": "an accelerator's warm-up",
    "runner.capture_*": "an accelerator's graphs",
    "runner.warmup.cpu": "compiled models",
    "compile.backend": "compiled models",
    "graph.wrapper_call": "an accelerator's graphs",
    "runner.async_output": "asynchronous scheduling",
    "runner2.*": "the V2 model runner needs an accelerator",
    "attn.impl.*": "one attention backend of many",
    "moe.forward_impl": "mixture-of-experts models",
    "comm.*tensor_dict": "pipeline parallel",
    "kvconn.*": "KV connectors",
    "vllm.scopes": "ranges under vLLM's own names",
    "lora.*": "LoRA adapters",
    "*.reload_weights": "training with rollouts",
    "*.update_weights": "training with rollouts",
    "engine.collective_rpc": "training with rollouts",
    "*.sleep": "a device whose memory can be given back",
    "*.wake_up": "a device whose memory can be given back",
}


class Load(NamedTuple):
    """The part of the server's run that is the load."""

    place: Place
    client: dict[str, Any]
    processes: dict[str, Recording]
    steps: int
    until: int

    def named(self, role: str, kind: str = "range") -> list[recorded.Named]:
        """The ranges of functions, or the marks, of a process until the end of the load."""
        found = recorded.named(self.processes[role], kind)
        return [one for one in found if one.start < self.until]


@pytest.fixture(scope="module")
def load(served: Served) -> Load:
    return Load(
        served.place, served.client, served.processes, served.loaded_steps, served.loaded_until
    )


def marks(load: Load, role: str) -> dict[str, dict[str, recorded.Named]]:
    """Internal request id -> its marks by message."""
    found: dict[str, dict[str, recorded.Named]] = {}
    for one in load.named(role, "mark"):
        if one.message.startswith("request."):
            found.setdefault(one.fields["request"], {})[one.message] = one
    return found


@pytest.fixture(scope="module")
def counts(load: Load) -> dict[str, Counter[str]]:
    return {
        role: Counter(one.message for kind in ("range", "mark") for one in load.named(role, kind))
        for role in load.processes
    }


def test_the_client_got_what_it_asked_for(load: Load) -> None:
    assert (load.client["completed"], load.client["failed"]) == (REQUESTS, 0)
    assert load.client["output_lens"] == [TOKENS] * REQUESTS


def test_each_request_of_the_client_is_in_the_recordings(load: Load) -> None:
    """Ids hold the number of the request in the client's list."""
    engine, front = marks(load, "EngineCore"), marks(load, "APIServer")
    numbers = {
        name: int(name.split("load-")[1].split("-")[0]) for name in engine if "load-" in name
    }
    assert sorted(numbers.values()) == list(range(REQUESTS))
    for name, number in numbers.items():
        assert list(engine[name]) == [
            "request.queued",
            "request.scheduled",
            "request.first_token",
            "request.finished",
        ]
        end = engine[name]["request.finished"].fields
        assert (end["output_tokens"], end["reason"], end["preemptions"]) == (TOKENS, "length", 0)
        assert (
            engine[name]["request.queued"].fields["prompt_tokens"]
            == load.client["input_lens"][number]
        )
        assert front[name]["request.completed"].fields["reason"] == "length"
        arrived = (
            front[name]["request.arrived"].start
            - front[name]["request.arrived"].fields["waited_ns"]
        )
        # The client's clock is ours: it asks before the request arrives, and has its first token
        # after we have seen it.
        asked = load.client["start_times"][number] * 1e9
        assert (
            asked
            < arrived
            < front[name]["request.first_output"].start
            < asked + load.client["ttfts"][number] * 1e9
        )


def test_who_went_away_is_an_abort(load: Load) -> None:
    its = marks(load, "EngineCore").values()
    ends = Counter(one["request.finished"].fields["reason"] for one in its)
    assert ends["abort"] == 1 and set(ends) <= {"abort", "length", "stop"}, ends


def test_every_step_has_its_parts(load: Load, counts: dict[str, Counter[str]]) -> None:
    """Steps are counted by a plugin of vLLM that knows nothing of us."""
    assert load.steps > REQUESTS * TOKENS / 4
    for role, names in EACH_STEP.items():
        assert {name: counts[role][name] for name in names} == {
            name: count * load.steps for name, count in names.items()
        }


def test_every_schedule_is_carried_through(load: Load, counts: dict[str, Counter[str]]) -> None:
    schedules = [one.fields for one in load.named("EngineCore") if one.message == "sched.schedule"]
    idle = sum(fields["phase"] == "idle" for fields in schedules)
    assert len(schedules) - idle == load.steps
    for role, names in EACH_STEP_OR_IDLE.items():
        # the process may have been killed between one and the next
        assert all(load.steps <= counts[role][name] <= load.steps + idle + 1 for name in names), (
            role,
            counts[role],
            load.steps,
            idle,
        )
    phases = Counter(fields["phase"] for fields in schedules)
    assert (
        phases["prefill"] + phases["mixed"]
        and phases["decode"]
        and set(phases) <= {"prefill", "decode", "mixed", "idle"}
    )
    for fields in schedules:
        assert fields["running"] <= 4 and fields["prefills"] + fields["decodes"] <= 4


def test_tokens_of_steps_are_those_of_requests(load: Load) -> None:
    """Every token that was computed: prompts, and all outputs but the last of each request."""
    tokens = sum(
        one.fields["tokens"] for one in load.named("EngineCore") if one.message == "sched.schedule"
    )
    its = marks(load, "EngineCore").values()
    prompts = sum(
        one["request.queued"].fields["prompt_tokens"]
        - one["request.scheduled"].fields["cached_tokens"]
        for one in its
    )
    outputs = sum(one["request.finished"].fields["output_tokens"] for one in its)
    aborted = sum(one["request.finished"].fields["reason"] == "abort" for one in its)
    assert prompts + outputs - len(its) <= tokens <= prompts + outputs - len(its) + 2 * aborted


def test_requests_and_start_up(load: Load, counts: dict[str, Counter[str]]) -> None:
    requests = len(marks(load, "EngineCore"))
    for role, names in EACH_REQUEST.items():
        assert {name: counts[role][name] for name in names} == dict.fromkeys(names, requests)
    for role, names in ONCE.items():
        assert {name: counts[role][name] for name in names} == dict.fromkeys(names, 1)
    for role, names in OFTEN.items():
        assert [name for name in names if not counts[role][name]] == []


def test_the_default_set_is_seen_but_for_what_cannot_be_here() -> None:
    """A row that applies to this vLLM is in a table above, or is named with the reason."""
    rows = {
        one.target.name
        for one in check_targets()[0]
        if one.status == OK and one.target.default and one.target.domain == "vllm"
    }
    assert len(rows) >= 40
    unknown = [
        name
        for name in rows - SERVED
        if not any(fnmatchcase(name, pattern) for pattern in NOT_HERE)
    ]
    assert unknown == []


def test_the_clients_profile_is_there(load: Load) -> None:
    """--profile asks for /start_profile and /stop_profile; the server has no flag for it."""
    traces = sorted(path.name for path in (load.place.out / "profile").iterdir())
    assert any("rank0" in name for name in traces), traces
    for role, name in (("EngineCore", "engine.profile"), ("Worker", "worker.profile")):
        assert [one.fields["start"] for one in load.named(role) if one.message == name] == [
            True,
            False,
        ]
