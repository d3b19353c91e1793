"""The table of profiler parameters that can be set from outside (option `profiler`), and how their texts are read.

Nothing of torch is imported here: `autoinstr run` checks parameters before any program starts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.kinds import Flag
from autoinstr.texts import BadValue, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACTIVITIES = ("cpu", "cuda", "xpu", "npu", "mtia", "hpu")  # npu is torch's PrivateUse1
SCHEDULE = ("wait", "warmup", "active", "repeat", "skip_first", "skip_first_wait")


class Parameter(NamedTuple):
    """One name. `belongs` says to what: an argument of torch.profiler.profile (torch), a field of its experimental_config
    (experimental), a field of vLLM's profiler configuration (vllm), this agent (agent), torch_npu alone (torch_npu), or "": known, but
    not to be set from outside, for the reason in `text`."""

    name: str
    belongs: str
    kind: str
    text: str


def _flag(text: str) -> bool:
    return bool(Flag().parse(text))


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadValue("must be a whole number, 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise BadValue("must be a number of seconds above 0")
    return seconds


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise BadValue("must not be empty")
    return words


def _activities(text: str) -> list[str]:
    words = [word.lower() for word in _words(text)]
    for word in words:
        if word not in ACTIVITIES:
            raise BadValue(f"{word!a} is not one of {', '.join(ACTIVITIES)}", nearest(word, ACTIVITIES))
    return list(dict.fromkeys(words))


def _schedule(text: str) -> dict[str, int]:
    """`wait:1,warmup:1,active:3,repeat:0`; what is left out is 0, but active must be there."""
    numbers = {"wait": 0, "warmup": 0}
    for word in _words(text):
        name, colon, number = (part.strip() for part in word.partition(":"))
        if name not in SCHEDULE or not colon:
            near = nearest(name, SCHEDULE)
            raise BadValue(f"{word!a} is not one of {', '.join(SCHEDULE)} with a colon and a number", near and f"{near}:{number or 1}")
        numbers[name] = _whole(number)
    if not numbers.get("active"):
        raise BadValue("must say how many steps are active, at least 1", f"{text},active:1")
    return numbers


def _folder(text: str) -> str:
    if not text or "\0" in text:
        raise BadValue("must be a directory")
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def _any(text: str) -> str:
    return text


KINDS: dict[str, Callable[[str], Any]] = {
    "on, off": _flag,
    "comma list of " + ", ".join(ACTIVITIES): _activities,
    "wait:N,warmup:N,active:N,repeat:N,skip_first:N": _schedule,
    "directory": _folder,
    "whole number": _whole,
    "seconds": _seconds,
    "comma list": _words,
    "text": _any,
    "-": _any,
}
_FLAG, _ACTIVITIES, _SCHEDULE, _FOLDER, _WHOLE, _SECONDS, _LIST, _TEXT, _NONE = KINDS

TABLE = (
    Parameter("enable", "agent", _FLAG, "off: vLLM's profiler is left as the program sets it, and no route is added"),
    Parameter("activities", "torch", _ACTIVITIES, "what is profiled; what this torch cannot do is left out"),
    Parameter("schedule", "torch", _SCHEDULE, "which steps; for vLLM it becomes its wait, warmup and active iterations"),
    Parameter("on_trace_ready", "torch", _FOLDER, "where traces go (tensorboard_trace_handler), not what the program does with them"),
    Parameter("record_shapes", "torch", _FLAG, "shapes of operator inputs"),
    Parameter("profile_memory", "torch", _FLAG, "allocations"),
    Parameter("with_stack", "torch", _FLAG, "source lines and Python calls"),
    Parameter("with_flops", "torch", _FLAG, "estimated floating point operations"),
    Parameter("with_modules", "torch", _FLAG, "modules of operators"),
    Parameter("acc_events", "torch", _FLAG, "keep events across cycles of the schedule"),
    Parameter("post_processing_timeout_s", "torch", _SECONDS, "limit of the time after a stop"),
    Parameter("profiler_metrics", "experimental", _LIST, "CUPTI metrics"),
    Parameter("profiler_measure_per_kernel", "experimental", _FLAG, "metrics per kernel"),
    Parameter("verbose", "experimental", _FLAG, "call stacks in the trace file"),
    Parameter("performance_events", "experimental", _LIST, "performance events"),
    Parameter("enable_cuda_sync_events", "experimental", _FLAG, "CUDA synchronisation events"),
    Parameter("adjust_profiler_step", "experimental", _FLAG, "steps as long as their Python events"),
    Parameter("disable_external_correlation", "experimental", _FLAG, "no external correlation"),
    Parameter("profile_all_threads", "experimental", _FLAG, "all threads, not the one that starts the profiler alone"),
    Parameter("capture_overload_names", "experimental", _FLAG, "overloads of ATen operators"),
    Parameter("record_python_gc_info", "experimental", _FLAG, "Python's garbage collections"),
    Parameter("expose_kineto_event_metadata", "experimental", _FLAG, "Kineto's metadata on events"),
    Parameter("custom_profiler_config", "experimental", _TEXT, "text for a custom profiler"),
    Parameter("adjust_timestamps", "experimental", _FLAG, "adjust Vulkan events"),
    Parameter("trace_only", "experimental", _FLAG, "the trace file alone, no events in Python"),
    Parameter("delay_iterations", "vllm", _WHOLE, "engine steps between start_profile and the start of the profiler"),
    Parameter("max_iterations", "vllm", _WHOLE, "engine steps after which the profiler stops by itself; 0: none"),
    Parameter("ignore_frontend", "vllm", _FLAG, "no CPU profile of the API server"),
    Parameter("use_gzip", "vllm", _FLAG, "compressed traces"),
    Parameter("execution_trace_observer", "", _NONE, "set ENABLE_PYTORCH_EXECUTION_TRACE=1, torch's own way"),
    Parameter("custom_trace_id_callback", "", _NONE, "a Python function cannot be given from outside"),
    Parameter("experimental_config", "", _NONE, "its fields are parameters of their own"),
    Parameter("use_cuda", "", _NONE, "write activities"),
    # What torch_npu's profiler has beyond torch's.
    Parameter("level", "torch_npu", _TEXT, "profiler_level"),
    Parameter("profiler_level", "torch_npu", _TEXT, "the same"),
    Parameter("aic_metrics", "torch_npu", _TEXT, "AI Core metrics"),
    Parameter("l2_cache", "torch_npu", _FLAG, "L2 cache"),
    Parameter("export_type", "torch_npu", _TEXT, "text, db"),
    Parameter("data_simplification", "torch_npu", _FLAG, "remove intermediate data"),
    Parameter("record_op_args", "torch_npu", _FLAG, "arguments of operators"),
    Parameter("op_attr", "torch_npu", _FLAG, "attributes of operators"),
    Parameter("gc_detect_threshold", "torch_npu", _TEXT, "garbage collections, in ms"),
    Parameter("msprof_tx", "torch_npu", _FLAG, "ranges, by the older name"),
    Parameter("mstx", "torch_npu", _FLAG, "ranges"),
    Parameter("mstx_domain_include", "torch_npu", _LIST, "domains to keep"),
    Parameter("mstx_domain_exclude", "torch_npu", _LIST, "domains to leave out"),
    Parameter("host_sys", "torch_npu", _TEXT, "host counters"),
    Parameter("sys_io", "torch_npu", _FLAG, "NIC, RoCE"),
    Parameter("sys_interconnection", "torch_npu", _FLAG, "HCCS, PCIe"),
)
BY_NAME = {parameter.name: parameter for parameter in TABLE}
SETTABLE = tuple(parameter.name for parameter in TABLE if parameter.belongs)


class Problem(NamedTuple):
    """A pair that cannot be used."""

    name: str
    value: str
    problem: str
    suggestion: str | None

    def __str__(self) -> str:
        near = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"profiler parameter {self.name}={self.value} {self.problem}{near}"


def read(pairs: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """The values by what they belong to ({"torch": {"with_stack": True}, …}), and what is wrong. A wrong pair costs itself only."""
    values: dict[str, dict[str, Any]] = {}
    problems = []
    for name, text in pairs.items():
        parameter = BY_NAME.get(name)
        if parameter is None:
            near = nearest(name, SETTABLE)
            problems.append(Problem(name, text, "is unknown", near and f"{near}={text}"))
        elif not parameter.belongs:
            problems.append(Problem(name, text, f"cannot be set from outside: {parameter.text}", None))
        else:
            try:
                values.setdefault(parameter.belongs, {})[name] = KINDS[parameter.kind](text)
            except BadValue as bad:
                problems.append(Problem(name, text, bad.problem, bad.near and f"{name}={bad.near}"))
    return values, problems
