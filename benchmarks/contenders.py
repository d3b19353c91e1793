"""Define the contenders: each is one row of the table and runs in fresh processes of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
GATE = str(REPO / "sitecustomize")

BASE, FLOOR, PEER, OURS = "base", "floor", "peer", "ours"


class Contender(NamedTuple):
    """One way to instrument module calls.

    `rival` is its key in rivals.RIVALS, or in floors.FLOORS. `options` are AUTOINSTR_* variables,
    which only autoinstr's contenders have. `writes_all` says that it writes a range for each module
    call; ratios to the best peer refer to such a peer. `is_recorded` says that the reader must find
    every call in the recording.
    """

    name: str
    kind: str
    rival: str = ""
    options: dict[str, str] | None = None
    venv: str = ".venv-bench"
    works: tuple[str, ...] = ("leaf", "step")
    writes_all: bool = True
    is_recorded: bool = False


LEAF, CALLS = ("leaf",), ("leaf", "step", "vllm")
NPU = ".venv-npu"
MSTX_OPTIONS = {"EMITTER": "mstx", "WHEN": "always", "STREAMS": "off"}

CPU = (
    Contender("nothing", BASE, works=CALLS),
    Contender("floor: two clock reads, one packed store", FLOOR, "floor", works=LEAF),
    Contender(
        "the guide's custom_call, native part a no-op",
        PEER,
        "custom_call",
        works=CALLS,
        writes_all=False,
    ),
    Contender("empty global hooks", PEER, "global_hooks", works=CALLS, writes_all=False),
    Contender("empty hooks on each module", PEER, "module_hooks", writes_all=False),
    Contender("vLLM's PytHooks, nvtx a no-op", PEER, "pyt_hooks", works=CALLS),
    Contender("record_function, no profiler", PEER, "record_function", writes_all=False),
    Contender("record_function, profiler on", PEER, "record_function_profiled"),
    Contender("torch.profiler, with_stack and with_modules", PEER, "with_stack"),
    Contender("msServiceProfiler's hook wrapper, native part a no-op", PEER, "service_profiler"),
    Contender("viztracer", PEER, "viztracer", works=CALLS),
    Contender("cProfile", PEER, "cprofile", works=CALLS),
    Contender("autoinstr attached, off", OURS, options={"WHEN": "manual"}, works=CALLS),
    Contender("autoinstr, all filtered out", OURS, options={"EXCLUDE": "*"}, works=CALLS),
    Contender("autoinstr recorder", OURS, options={}, works=CALLS, is_recorded=True),
    Contender(
        "autoinstr recorder, durability=range",
        OURS,
        options={"DURABILITY": "range"},
        is_recorded=True,
    ),
    Contender("autoinstr torch emitter, profiler on", OURS, "profiled", {"EMITTER": "torch"}),
)
MSTX = (
    Contender("nothing, with torch_npu", BASE, "npu", venv=NPU, works=LEAF),
    Contender("floor of mstx: two bare calls", FLOOR, "bare_mstx", venv=NPU, works=LEAF),
    Contender("the guide's custom_call", PEER, "mstx_custom_call", venv=NPU, works=LEAF),
    Contender(
        "mstx_torch_plugin's way", PEER, "mstx_plugin", venv=NPU, works=LEAF, writes_all=False
    ),
    Contender("autoinstr mstx", OURS, "npu", MSTX_OPTIONS, venv=NPU, works=LEAF),
    Contender(
        "autoinstr mstx with streams",
        OURS,
        "npu",
        {**MSTX_OPTIONS, "STREAMS": "on"},
        venv=NPU,
        works=LEAF,
    ),
)
PROFILED = ", profiler on"
GROUPS = {
    "cpu": CPU,
    "mstx": MSTX,
    "mstx" + PROFILED: tuple(
        contender._replace(name=contender.name + PROFILED) for contender in MSTX
    ),
}


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the variables of autoinstr and Python."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lstrip("_").startswith(("AUTOINSTR", "PYTHON"))
    }


def build_environment(contender: Contender, folder: str) -> dict[str, str]:
    """Return the environment of a contender's process; recordings go to `folder`."""
    environ = clean_environment()
    environ.update(
        OMP_NUM_THREADS="1",
        HF_HUB_OFFLINE="1",
        VLLM_NO_USAGE_STATS="1",
        VLLM_CPU_OMP_THREADS_BIND="nobind",
        VLLM_ENABLE_V1_MULTIPROCESSING="0",
        VLLM_LOGGING_LEVEL="ERROR",
    )
    if contender.options is not None:
        environ.update(
            AUTOINSTR="1", AUTOINSTR_OUT=folder, AUTOINSTR_MAX_MB="4096", PYTHONPATH=GATE
        )
        environ.update((f"AUTOINSTR_{name}", value) for name, value in contender.options.items())
    return environ
