"""Which class makes a process what: roles are told by what is instantiated, not by process layout
(on one card the Worker lives in the EngineCore process).
"""

from __future__ import annotations

from typing import NamedTuple


class RoleRow(NamedTuple):
    """Instances of `module:cls` give their process `role`; `rank` and `world_size` are attribute
    paths on the instance, read after __init__."""

    module: str
    cls: str
    role: str
    rank: str = ""
    world_size: str = ""


# vLLM 0.9.2 to 0.33: the names are the same in all of them (vllm_hotpaths study, by AST).
ROLES: tuple[RoleRow, ...] = (
    RoleRow("vllm.v1.engine.llm_engine", "LLMEngine", "MainProcess"),
    RoleRow("vllm.v1.engine.async_llm", "AsyncLLM", "APIServer"),
    RoleRow("vllm.v1.engine.core", "EngineCore", "EngineCore"),
    RoleRow(
        "vllm.v1.worker.worker_base", "WorkerBase", "Worker", "rank", "parallel_config.world_size"
    ),
)
