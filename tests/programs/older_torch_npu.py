"""Our wraps on the Python files of one torch_npu (argv[1]: the folder that has torch_npu/) over a
stub of its C layer: what vllm-ascend's profiler, with a schedule, becomes, and what is told of its
start and stop. Prints JSON. PAIRS: AUTOINSTR_PROFILER's."""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import os
import sys
import tempfile
import types
import warnings
from typing import Any

import torch

from autoinstr.instrument import importhook
from autoinstr.instrument.profilers import parameters
from autoinstr.instrument.profilers.effective import EffectiveParameters
from autoinstr.instrument.profilers.npu import config_settings, profile_settings, watch

ROOT = os.path.join(sys.argv[1], "torch_npu")
told: list[Any] = []


class Stub(types.ModuleType):
    """A module that has everything: functions that do nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def stub(name: str, path: str | None = None, **attributes: Any) -> None:
    module = Stub(name)
    if path is not None:
        module.__path__ = [os.path.join(ROOT, path)]
    vars(module).update(attributes)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)


class ProfilerActivity(enum.Enum):
    CPU = 1
    NPU = 2


class Event:
    record = wait = query = elapsed_time = synchronize = lambda self: None


class CConfig:
    """What the C layer is given."""

    def __init__(self, **given: Any) -> None:
        self.given = given


class Watcher:
    def __getattr__(self, name: str) -> Any:
        return lambda *args: told.append(
            [name, *(one[0] if isinstance(one, tuple) else one for one in args)]
        )


def load(pairs: dict[str, str]) -> tuple[Any, EffectiveParameters]:
    """torch_npu.profiler with our wraps."""
    stub("torch_npu", "", __version__="0")
    stub("torch_npu._C")
    activities = {
        "ProfilerActivity": ProfilerActivity,
        "_supported_npu_activities": lambda: set(ProfilerActivity),
    }
    clock = {"_get_syscnt_enable": lambda: False, "_get_monotonic": lambda: 0}
    stub(
        "torch_npu._C._profiler",
        _ExperimentalConfig=CConfig,
        NpuProfilerConfig=lambda *given: given,
        **activities,
        **clock,
    )
    for name in ("torch_npu._C._mstx", "torch_npu._C._monitor"):
        stub(name)
    stub("torch_npu.npu", "npu", Event=Event, is_available=lambda: True, mstx=Stub("mstx"))
    stub("torch_npu.npu.mstx", mstx=Stub("mstx"))
    for name in ("_init", "_init.common", "utils"):
        stub(f"torch_npu.{name}", name.replace(".", "/"))
    stub("torch_npu._init.common.warning_utils", _should_print_warning=lambda: True)
    stub(
        "torch_npu.utils.collect_env",
        get_cann_version=lambda: "8",
        get_torch_npu_version=lambda: "0",
    )
    torch.npu = sys.modules["torch_npu.npu"]
    values, problems = parameters.read_parameters(pairs)
    assert not problems, problems
    effective, watcher = EffectiveParameters(), Watcher()
    importhook.install()
    for module, patch in (
        (
            config_settings.MODULE,
            config_settings.ConfigParameters(
                values.get("torch_npu", {}), "pairs", "Module", effective
            ).apply,
        ),
        (
            profile_settings.MODULE,
            profile_settings.ProfileParameters(
                values.get("torch", {}), bool(values), "pairs", "Module", effective
            ).apply,
        ),
        (watch.MODULE, watch.NpuObserver(watcher).apply),  # type: ignore[arg-type]
    ):
        importhook.register(module, patch)
    return importlib.import_module("torch_npu.profiler"), effective


def main() -> None:
    warnings.simplefilter("ignore")
    out = os.dup(1)
    os.dup2(2, 1)  # torch_npu warns on stdout
    profiler, effective = load(
        dict(pair.split("=", 1) for pair in os.environ.get("PAIRS", "").split(";") if pair)
    )
    os.chdir(tempfile.mkdtemp())
    vllm_ascend = {
        "export_type": profiler.ExportType.Text,
        "profiler_level": profiler.ProfilerLevel.Level1,
        "msprof_tx": False,
        "aic_metrics": profiler.AiCMetrics.PipeUtilization,
        "l2_cache": False,
        "op_attr": False,
        "data_simplification": True,
        "record_op_args": False,
        "gc_detect_threshold": None,
    }
    taken = inspect.signature(profiler._ExperimentalConfig).parameters
    config = profiler._ExperimentalConfig(
        **{name: value for name, value in vllm_ascend.items() if name in taken}
    )
    made = profiler.profile(
        activities=[ProfilerActivity.NPU],
        experimental_config=config,
        schedule=profiler.schedule(wait=1, warmup=1, active=1, repeat=1),
        on_trace_ready=lambda _: None,
    )
    made.start()
    steps = []
    for _ in range(4):
        steps.append(len(told))
        made.step()
    made.stop()
    rows = {
        row["name"]: [row["value"], row["source"]]
        for row in effective.list_profilers()[0]["parameters"]
    }
    os.write(
        out,
        json.dumps(
            {"told": told, "steps": steps, "rows": rows, "given to C": config().given["msprof_tx"]},
            default=str,
        ).encode(),
    )


main()
