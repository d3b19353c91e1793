"""Predicts which arguments torch_npu will replace by something else.

torch_npu itself only warns on stdout. The agent predicts the replacement and logs the reason. The
rules are those of torch_npu 2.13 (profiler/experimental_config.py, profiler_interface.py). If
another release differs, `arguments.py` sees that after the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    AddReset = Callable[[str, Any, str], None]

_CONFIG_FLAGS = (
    "l2_cache",
    "msprof_tx",
    "mstx",
    "record_op_args",
    "op_attr",
    "sys_io",
    "sys_interconnection",
)
_PROFILE_FLAGS = ("record_shapes", "profile_memory", "with_stack", "with_flops", "with_modules")


class Reset(NamedTuple):
    """torch_npu will use `replacement` for the parameter, because of `reason`."""

    name: str
    replacement: Any
    reason: str


class TorchNpuConstants(NamedTuple):
    """The constants of the installed torch_npu."""

    levels: Mapping[str, Any]  # name -> constant
    aic_metrics: Mapping[str, Any]
    exports: Collection[Any]
    hosts: Collection[Any]
    # Whether CANN exports a database in any case. The question starts a process, in torch_npu too.
    always_exports_db: Callable[[], bool]


def predict_config_resets(
    arguments: Mapping[str, Any], constants: TorchNpuConstants
) -> list[Reset]:
    """Return the resets of an _ExperimentalConfig.

    `arguments` are those that are set; the others have their defaults.
    """
    resets: list[Reset] = []

    def reset(name: str, replacement: Any, reason: str) -> None:
        resets.append(Reset(name, replacement, reason))

    for name in _CONFIG_FLAGS:
        if not isinstance(arguments.get(name, False), bool):
            reset(name, False, "it must be True or False")
    if not isinstance(arguments.get("data_simplification"), (bool, type(None))):
        reset("data_simplification", True, "it must be True or False")
    low_levels = [constants.levels.get("Level0"), constants.levels.get("Level_none")]
    level = arguments.get("profiler_level", low_levels[0])
    no_metrics = constants.aic_metrics.get("AiCoreNone")
    metrics = arguments.get("aic_metrics", no_metrics)
    if level in low_levels and metrics != no_metrics:
        reset("aic_metrics", "AiCoreNone", "profiler_level is below Level1")
    elif metrics != no_metrics and metrics not in constants.aic_metrics.values():
        reset("aic_metrics", "its default", "there are no such metrics")
    if level not in constants.levels.values():
        reset("profiler_level", "Level0", "there is no such level")
    takes_ranges = any(arguments.get(name) is True for name in ("mstx", "msprof_tx"))
    if level == constants.levels.get("Level_none", object()) and not takes_ranges:
        takes_ranges = True
        reset("mstx", True, "profiler_level=Level_none collects ranges only")
    exports = _make_list(arguments.get("export_type", ["text"]))
    if not exports or any(export not in constants.exports for export in exports):
        reset("export_type", "text", f"it must be some of {', '.join(map(str, constants.exports))}")
        exports = ["text"]
    wants_op_attr = arguments.get("op_attr") is True
    if wants_op_attr and "db" not in exports and not constants.always_exports_db():
        reset("op_attr", False, "export_type has no db")
    _check_gc_threshold(arguments.get("gc_detect_threshold"), reset)
    _check_domains(arguments, takes_ranges, reset)
    hosts = arguments.get("host_sys") or []
    if not isinstance(hosts, list) or any(host not in constants.hosts for host in hosts):
        names = ", ".join(map(str, constants.hosts))
        reset("host_sys", "nothing", f"it must be a list of {names}")
    return resets


def _make_list(value: Any) -> list[Any] | None:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else None


def _check_gc_threshold(value: Any, reset: AddReset) -> None:
    if value is not None and not isinstance(value, (int, float)):
        reset("gc_detect_threshold", "off", "it must be a number")
    elif value is not None and value < 0:
        reset("gc_detect_threshold", "off", "it is negative")


def _check_domains(arguments: Mapping[str, Any], takes_ranges: bool, reset: AddReset) -> None:
    names = ("mstx_domain_include", "mstx_domain_exclude")
    valid_names = []
    for name in names:
        domains = arguments.get(name)
        if not domains:
            continue
        if not takes_ranges:
            reset(name, "nothing", "mstx is off")
        elif not isinstance(domains, list) or not all(
            isinstance(domain, str) for domain in domains
        ):
            reset(name, "nothing", "it must be a list of names")
        else:
            valid_names.append(name)
    if len(valid_names) == 2:
        reset(names[1], "nothing", f"{names[0]} is set, and only one of them counts")


def predict_profile_resets(
    arguments: Mapping[str, Any],
    supported_activities: Collection[Any],
    has_config: bool,
    gc_threshold: Any,
) -> list[Reset]:
    """Return the resets of a profile.

    `has_config`: it has an _ExperimentalConfig. `gc_threshold`: the gc_detect_threshold of that.
    """
    resets = [
        Reset(name, False, "it must be True or False")
        for name in _PROFILE_FLAGS
        if not isinstance(arguments.get(name, False), bool)
    ]
    activities = arguments.get("activities") or supported_activities
    unsupported = [str(activity) for activity in activities if activity not in supported_activities]
    if unsupported:
        resets.append(Reset("activities", "all", f"torch_npu has no {', '.join(unsupported)}"))
        activities = supported_activities
    for name in ("schedule", "on_trace_ready"):
        if arguments.get(name) and not callable(arguments[name]):
            resets.append(Reset(name, "its default", "it must be a function"))
    names = {getattr(activity, "name", "") for activity in activities}
    if "NPU" not in names and has_config:
        resets.append(Reset("experimental_config", "nothing", "the npu activity is not there"))
    if "CPU" not in names and gc_threshold is not None:
        resets.append(Reset("gc_detect_threshold", "off", "the cpu activity is not there"))
    return resets
