"""The table of profiler parameters that can be set from outside (option `profiler`).

Nothing of torch is imported here: `autoinstr run` checks parameters before any program starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.config.suggestions import BadValue, find_nearest
from autoinstr.instrument.profilers import parameter_values as kinds
from autoinstr.instrument.profilers.parameter_values import VALUE_READERS

if TYPE_CHECKING:
    from collections.abc import Mapping


class Parameter(NamedTuple):
    """One parameter.

    `owner` says what takes it:
    - torch: an argument of torch.profiler.profile; torch_npu's profile takes most of them too
    - experimental: a field of its experimental_config
    - vllm: a field of vLLM's profiler configuration
    - agent: autoinstr itself
    - torch_npu: torch_npu alone
    - "": it is known, but the options cannot set it, for the reason in `text`
    """

    name: str
    owner: str
    kind: str
    text: str


TABLE = (
    Parameter(
        "enable",
        "agent",
        kinds.FLAG,
        "off: vLLM's profiler is left as the program sets it, and no route is added",
    ),
    Parameter(
        "activities",
        "torch",
        kinds.ACTIVITY_LIST,
        "what is profiled; what this torch cannot do is left out",
    ),
    Parameter(
        "schedule",
        "torch",
        kinds.STEPS,
        "which steps; for vLLM it becomes its wait, warmup and active iterations",
    ),
    Parameter(
        "on_trace_ready",
        "torch",
        kinds.FOLDER,
        "where traces go (tensorboard_trace_handler), not what the program does with them",
    ),
    Parameter("record_shapes", "torch", kinds.FLAG, "shapes of operator inputs"),
    Parameter("profile_memory", "torch", kinds.FLAG, "allocations"),
    Parameter("with_stack", "torch", kinds.FLAG, "source lines and Python calls"),
    Parameter("with_flops", "torch", kinds.FLAG, "estimated floating point operations"),
    Parameter("with_modules", "torch", kinds.FLAG, "modules of operators"),
    Parameter("acc_events", "torch", kinds.FLAG, "keep events across cycles of the schedule"),
    Parameter(
        "post_processing_timeout_s", "torch", kinds.SECONDS, "limit of the time after a stop"
    ),
    Parameter("profiler_metrics", "experimental", kinds.LIST, "CUPTI metrics"),
    Parameter("profiler_measure_per_kernel", "experimental", kinds.FLAG, "metrics per kernel"),
    Parameter("verbose", "experimental", kinds.FLAG, "call stacks in the trace file"),
    Parameter("performance_events", "experimental", kinds.LIST, "performance events"),
    Parameter("enable_cuda_sync_events", "experimental", kinds.FLAG, "CUDA synchronisation events"),
    Parameter(
        "adjust_profiler_step", "experimental", kinds.FLAG, "steps as long as their Python events"
    ),
    Parameter(
        "disable_external_correlation", "experimental", kinds.FLAG, "no external correlation"
    ),
    Parameter(
        "profile_all_threads",
        "experimental",
        kinds.FLAG,
        "all threads, not the one that starts the profiler alone",
    ),
    Parameter("capture_overload_names", "experimental", kinds.FLAG, "overloads of ATen operators"),
    Parameter("record_python_gc_info", "experimental", kinds.FLAG, "Python's garbage collections"),
    Parameter(
        "expose_kineto_event_metadata", "experimental", kinds.FLAG, "Kineto's metadata on events"
    ),
    Parameter("custom_profiler_config", "experimental", kinds.TEXT, "text for a custom profiler"),
    Parameter("adjust_timestamps", "experimental", kinds.FLAG, "adjust Vulkan events"),
    Parameter(
        "trace_only", "experimental", kinds.FLAG, "the trace file alone, no events in Python"
    ),
    Parameter(
        "delay_iterations",
        "vllm",
        kinds.COUNT,
        "engine steps between start_profile and the start of the profiler",
    ),
    Parameter(
        "max_iterations",
        "vllm",
        kinds.COUNT,
        "engine steps after which the profiler stops by itself; 0: none",
    ),
    Parameter("ignore_frontend", "vllm", kinds.FLAG, "no CPU profile of the API server"),
    Parameter("use_gzip", "vllm", kinds.FLAG, "compressed traces"),
    Parameter(
        "execution_trace_observer",
        "",
        kinds.NO_VALUE,
        "set ENABLE_PYTORCH_EXECUTION_TRACE=1, torch's own way",
    ),
    Parameter(
        "custom_trace_id_callback",
        "",
        kinds.NO_VALUE,
        "a Python function cannot be given from outside",
    ),
    Parameter("experimental_config", "", kinds.NO_VALUE, "its fields are parameters of their own"),
    Parameter("use_cuda", "", kinds.NO_VALUE, "write activities"),
    # What torch_npu has beyond it: arguments of its _ExperimentalConfig.
    Parameter(
        "profiler_level",
        "torch_npu",
        kinds.LEVEL,
        "how much is collected; Level1 adds CANN's calls, HCCL and AI Core metrics, Level2 more",
    ),
    Parameter("level", "torch_npu", kinds.LEVEL, "the same as profiler_level"),
    Parameter("aic_metrics", "torch_npu", kinds.AIC, "AI Core metrics; they need Level1 or Level2"),
    Parameter("l2_cache", "torch_npu", kinds.FLAG, "hits and misses of the L2 cache"),
    Parameter(
        "export_type",
        "torch_npu",
        kinds.EXPORT,
        "what the analysis writes; module_statistic reads db",
    ),
    Parameter("data_simplification", "torch_npu", kinds.FLAG, "remove raw data after the analysis"),
    Parameter("record_op_args", "torch_npu", kinds.FLAG, "dump what operators were called with"),
    Parameter(
        "op_attr", "torch_npu", kinds.FLAG, "attributes of operators; they need db in export_type"
    ),
    Parameter(
        "gc_detect_threshold",
        "torch_npu",
        kinds.MILLISECONDS,
        "Python's garbage collections that take at least as long; they need the cpu activity",
    ),
    Parameter(
        "mstx",
        "torch_npu",
        kinds.FLAG,
        "take ranges and marks; msprof_tx where torch_npu has no mstx",
    ),
    Parameter("msprof_tx", "torch_npu", kinds.FLAG, "the same as mstx, by its older name"),
    Parameter("mstx_domain_include", "torch_npu", kinds.LIST, "take these domains only"),
    Parameter(
        "mstx_domain_exclude",
        "torch_npu",
        kinds.LIST,
        "do not take these domains; without effect beside mstx_domain_include",
    ),
    Parameter("host_sys", "torch_npu", kinds.HOST, "counters of the host"),
    Parameter("sys_io", "torch_npu", kinds.FLAG, "NIC and RoCE"),
    Parameter("sys_interconnection", "torch_npu", kinds.FLAG, "HCCS, PCIe and the like"),
)
BY_NAME = {parameter.name: parameter for parameter in TABLE}
SETTABLE = tuple(parameter.name for parameter in TABLE if parameter.owner)
_ALIASES = {
    "level": "profiler_level",
    "msprof_tx": "mstx",
}  # another name -> the one that `read` gives


class ParameterProblem(NamedTuple):
    """A pair of the option `profiler` that cannot be used, and why."""

    name: str
    value: str
    problem: str
    suggestion: str | None

    def __str__(self) -> str:
        near = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"profiler parameter {self.name}={self.value} {self.problem}{near}"


def read_parameters(
    pairs: Mapping[str, str],
) -> tuple[dict[str, dict[str, Any]], list[ParameterProblem]]:
    """Return the values by owner ({"torch": {"with_stack": True}, …}), and the wrong pairs.

    A wrong pair does not affect the others.
    """
    values: dict[str, dict[str, Any]] = {}
    problems = []
    for name, text in pairs.items():
        parameter = BY_NAME.get(name)
        if parameter is None:
            near_name = find_nearest(name, SETTABLE)
            suggestion = near_name and f"{near_name}={text}"
            problems.append(ParameterProblem(name, text, "is unknown", suggestion))
        elif not parameter.owner:
            reason = f"cannot be set from outside: {parameter.text}"
            problems.append(ParameterProblem(name, text, reason, None))
        else:
            try:
                values.setdefault(parameter.owner, {})[name] = VALUE_READERS[parameter.kind](text)
            except BadValue as bad:
                suggestion = bad.suggestion and f"{name}={bad.suggestion}"
                problems.append(ParameterProblem(name, text, bad.problem, suggestion))
    for alias, name in _ALIASES.items():
        owner_values = values.get(BY_NAME[alias].owner, {})
        if alias not in owner_values:
            continue
        value = owner_values.pop(alias)
        if owner_values.setdefault(name, value) != value:
            reason = f"contradicts {name}={pairs[name]}, which is taken"
            problems.append(ParameterProblem(alias, pairs[alias], reason, None))
    return values, problems
