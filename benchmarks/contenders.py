"""Who is measured: each row of the table is one contender, in fresh processes of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
GATE = str(REPO / "sitecustomize")

BASE, FLOOR, PEER, OURS = "base", "floor", "peer", "ours"


class Contender(NamedTuple):
    """`rival` names a function of rivals.py, which puts it in place. `options` are AUTOINSTR_*;
    only ours has them."""

    name: str
    kind: str
    rival: str = ""
    options: dict[str, str] | None = None
    venv: str = ".venv-bench"
    works: tuple[str, ...] = ("leaf", "step")
    # a peer that writes a range for each module call; ratios to the best peer are to such a one
    whole: bool = True
    recorded: bool = False  # the reader must find every call


LEAF, CALLS = ("leaf",), ("leaf", "step", "vllm")
NPU = ".venv-npu"
ALWAYS = {"EMITTER": "mstx", "WHEN": "always", "STREAMS": "off"}

CPU = (
    Contender("nothing", BASE, works=CALLS),
    Contender("floor: two clock reads, one packed store", FLOOR, "floor", works=LEAF),
    Contender(
        "the guide's custom_call, native part a no-op",
        PEER,
        "custom_call",
        works=CALLS,
        whole=False,
    ),
    Contender("empty global hooks", PEER, "global_hooks", works=CALLS, whole=False),
    Contender("empty hooks on each module", PEER, "module_hooks", whole=False),
    Contender("vLLM's PytHooks, nvtx a no-op", PEER, "pyt_hooks", works=CALLS),
    Contender("record_function, no profiler", PEER, "record_function", whole=False),
    Contender("record_function, profiler on", PEER, "record_function_profiled"),
    Contender("torch.profiler, with_stack and with_modules", PEER, "with_stack"),
    Contender("msServiceProfiler's hook wrapper, native part a no-op", PEER, "service_profiler"),
    Contender("viztracer", PEER, "viztracer", works=CALLS),
    Contender("cProfile", PEER, "cprofile", works=CALLS),
    Contender("autoinstr attached, off", OURS, options={"WHEN": "manual"}, works=CALLS),
    Contender("autoinstr, all filtered out", OURS, options={"EXCLUDE": "*"}, works=CALLS),
    Contender("autoinstr recorder", OURS, options={}, works=CALLS, recorded=True),
    Contender(
        "autoinstr recorder, durability=range", OURS, options={"DURABILITY": "range"}, recorded=True
    ),
    Contender("autoinstr torch emitter, profiler on", OURS, "profiled", {"EMITTER": "torch"}),
)
MSTX = (
    Contender("nothing, with torch_npu", BASE, "npu", venv=NPU, works=LEAF),
    Contender("floor of mstx: two bare calls", FLOOR, "bare_mstx", venv=NPU, works=LEAF),
    Contender("the guide's custom_call", PEER, "mstx_custom_call", venv=NPU, works=LEAF),
    Contender("mstx_torch_plugin's way", PEER, "mstx_plugin", venv=NPU, works=LEAF, whole=False),
    Contender("autoinstr mstx", OURS, "npu", ALWAYS, venv=NPU, works=LEAF),
    Contender(
        "autoinstr mstx with streams",
        OURS,
        "npu",
        {**ALWAYS, "STREAMS": "on"},
        venv=NPU,
        works=LEAF,
    ),
)
PROFILED = ", profiler on"
GROUPS = {
    "cpu": CPU,
    "mstx": MSTX,
    "mstx" + PROFILED: tuple(one._replace(name=one.name + PROFILED) for one in MSTX),
}


def environment(contender: Contender, out: str) -> dict[str, str]:
    """Of its process; recordings go to the folder `out`."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.lstrip("_").startswith(("AUTOINSTR", "PYTHON"))
    }
    environ.update(
        OMP_NUM_THREADS="1",
        HF_HUB_OFFLINE="1",
        VLLM_NO_USAGE_STATS="1",
        VLLM_CPU_OMP_THREADS_BIND="nobind",
    )
    environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_LOGGING_LEVEL="ERROR")
    if contender.options is not None:
        environ.update(AUTOINSTR="1", AUTOINSTR_OUT=out, AUTOINSTR_MAX_MB="4096", PYTHONPATH=GATE)
        environ.update((f"AUTOINSTR_{name}", value) for name, value in contender.options.items())
    return environ
