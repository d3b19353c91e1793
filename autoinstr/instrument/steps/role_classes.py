"""Which vLLM class gives a process which role.

The classes that are instantiated decide, not the process layout: on one card the Worker lives in
the EngineCore process.
"""

from __future__ import annotations

from typing import NamedTuple


class RoleClass(NamedTuple):
    """An instance of `module:cls` gives its process the role.

    `rank` and `world_size` are attribute paths on the instance, read after __init__."""

    module: str
    cls: str
    role: str
    rank: str = ""
    world_size: str = ""


# The names are the same in vLLM 0.9.2 to 0.33, as a comparison of the sources showed.
ROLE_CLASSES: tuple[RoleClass, ...] = (
    RoleClass("vllm.v1.engine.llm_engine", "LLMEngine", "MainProcess"),
    RoleClass("vllm.v1.engine.async_llm", "AsyncLLM", "APIServer"),
    RoleClass("vllm.v1.engine.core", "EngineCore", "EngineCore"),
    RoleClass(
        "vllm.v1.worker.worker_base", "WorkerBase", "Worker", "rank", "parallel_config.world_size"
    ),
)
