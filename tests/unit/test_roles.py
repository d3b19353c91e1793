"""What tells processes of one role apart: data-parallel ranks, restarts, and forks.

The classes stand for vLLM's. tests/vllm tests real vLLM."""

from __future__ import annotations

from types import SimpleNamespace as Made
from typing import Any

import pytest

from autoinstr.agent.identity import Identity
from autoinstr.base import process_facts
from autoinstr.instrument.steps.role_classes import ROLE_CLASSES
from autoinstr.instrument.steps.roles import RolePatches
from tests.unit.test_identity import Header

ROWS = {row.cls: row for row in ROLE_CLASSES}


def make_instance(cls: str, parallel_config: Any) -> list[Any]:
    """Instantiate a class that stands for vLLM's; return what was reported."""
    said: list[Any] = []

    class Instance:
        def __init__(self) -> None:
            self.rank = 1
            self.vllm_config = Made(parallel_config=parallel_config)
            self.parallel_config = parallel_config

    patches = RolePatches(lambda *role: said.append(role), said.append)
    module = Made(**{cls: Instance})
    patches._wrap(ROWS[cls], module)  # type: ignore[arg-type]
    getattr(module, cls)()
    return said


def test_an_engine_says_its_data_parallel_rank() -> None:
    """From 0.14 on data_parallel_rank is 0 in models without experts, and the index stays."""
    config = Made(data_parallel_index=1, data_parallel_rank=0, data_parallel_size=2)
    assert make_instance("EngineCore", config) == [
        ("EngineCore", None, None),
        {"dp_rank": 1, "dp_size": 2},
    ]


def test_a_worker_of_an_older_vllm_says_rank_and_size() -> None:
    config = Made(data_parallel_rank=3, data_parallel_size=4, world_size=2)
    assert make_instance("WorkerBase", config) == [
        ("Worker", None, None),
        ("Worker", 1, 2),
        {"dp_rank": 3, "dp_size": 4},
    ]


def test_what_cannot_be_read_is_left_out() -> None:
    class Odd:
        @property
        def data_parallel_index(self) -> int:
            raise RuntimeError("the program's")

    assert make_instance("EngineCore", Odd()) == [("EngineCore", None, None), {}]


def test_each_fork_has_a_number() -> None:
    identity = Identity(Header())  # type: ignore[arg-type]
    for _ in range(2):
        identity.count_fork()
    identity.reset_in_child()
    assert identity.build_header()["fork"] == 2
    identity.count_fork()
    identity.reset_in_child()
    assert identity.build_header()["fork"] == 1


def test_a_restart_of_torchrun_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    assert "restart" not in process_facts.describe_process()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert process_facts.describe_process()["restart"] == 2
