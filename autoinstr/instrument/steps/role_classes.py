"""Which class of vLLM or SGLang gives a process which role.

The classes that are instantiated decide, not the process layout: on one card the Worker lives in
the EngineCore process.
"""

from __future__ import annotations

from typing import NamedTuple


class RoleClass(NamedTuple):
    """An instance of `module:cls` gives its process the role.

    The others are attribute paths on the instance, read after __init__. Of several paths, separated
    by blanks, the first that exists counts."""

    module: str
    cls: str
    role: str
    rank: str = ""
    world_size: str = ""
    dp_rank: str = ""
    dp_size: str = ""


# From 0.14 on, data_parallel_rank is 0 in models without experts.
_CONFIG = "vllm_config.parallel_config"
_DP_RANK = f"{_CONFIG}.data_parallel_index {_CONFIG}.data_parallel_rank"
_DP_SIZE = f"{_CONFIG}.data_parallel_size"

# The names are the same in vLLM 0.9.2 to 0.33, as a comparison of the sources showed.
ROLE_CLASSES: tuple[RoleClass, ...] = (
    RoleClass("vllm.v1.engine.llm_engine", "LLMEngine", "MainProcess"),
    RoleClass("vllm.v1.engine.async_llm", "AsyncLLM", "APIServer"),
    RoleClass(
        "vllm.v1.engine.core", "EngineCore", "EngineCore", dp_rank=_DP_RANK, dp_size=_DP_SIZE
    ),
    RoleClass(
        "vllm.v1.worker.worker_base",
        "WorkerBase",
        "Worker",
        "rank",
        "parallel_config.world_size",
        _DP_RANK,
        _DP_SIZE,
    ),
    # Read in SGLang 0.5.4 to 0.5.23. Each rank is a process with a scheduler and its worker. From
    # 0.5.22 on, their objects do not hold the rank.
    RoleClass("sglang.srt.entrypoints.engine", "Engine", "MainProcess"),
    RoleClass("sglang.srt.entrypoints.openai.serving_chat", "OpenAIServingChat", "APIServer"),
    RoleClass(
        "sglang.srt.managers.scheduler",
        "Scheduler",
        "EngineCore",
        "tp_rank ps.tp_rank",
        "tp_size ps.tp_size",
        "dp_rank ps.dp_rank",
        "dp_size ps.dp_size",
    ),
    RoleClass("sglang.srt.managers.tp_worker", "TpModelWorker", "Worker"),
)
