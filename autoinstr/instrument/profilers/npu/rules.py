"""What torch_npu does not take as it is given: it warns (on stdout) and takes something else. We
know before, and say why.

The rules are those of torch_npu 2.13 (profiler/experimental_config.py, profiler_interface.py);
where another version differs, what it has made of a value is seen afterwards (npu_calls.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_FLAGS = (
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
    """torch_npu will make `to` of the parameter, because of `reason`."""

    name: str
    to: Any
    reason: str


class Known(NamedTuple):
    """The constants of the installed torch_npu."""

    levels: Mapping[str, Any]  # name -> constant
    aic_metrics: Mapping[str, Any]
    exports: Collection[Any]
    hosts: Collection[Any]
    exports_db_anyway: Callable[
        [], bool
    ]  # CANN does so; asking starts a process, as torch_npu does


def of_config(given: Mapping[str, Any], known: Known) -> list[Reset]:
    """`given`: arguments of _ExperimentalConfig, without those that are left to their defaults."""
    found: list[Reset] = []

    def reset(name: str, to: Any, reason: str) -> None:
        found.append(Reset(name, to, reason))

    for name in _FLAGS:
        if not isinstance(given.get(name, False), bool):
            reset(name, False, "it must be True or False")
    if not isinstance(given.get("data_simplification"), (bool, type(None))):
        reset("data_simplification", True, "it must be True or False")
    low = [known.levels.get("Level0"), known.levels.get("Level_none")]
    level = given.get("profiler_level", low[0])
    none = known.aic_metrics.get("AiCoreNone")
    metrics = given.get("aic_metrics", none)
    if level in low and metrics != none:
        reset("aic_metrics", "AiCoreNone", "profiler_level is below Level1")
    elif metrics != none and metrics not in known.aic_metrics.values():
        reset("aic_metrics", "its default", "there are no such metrics")
    if level not in known.levels.values():
        reset("profiler_level", "Level0", "there is no such level")
    takes = any(given.get(name) is True for name in ("mstx", "msprof_tx"))
    if level == known.levels.get("Level_none", object()) and not takes:
        takes = True
        reset("mstx", True, "profiler_level=Level_none collects ranges only")
    exports = _listed(given.get("export_type", ["text"]))
    if not exports or any(one not in known.exports for one in exports):
        reset("export_type", "text", f"it must be some of {', '.join(map(str, known.exports))}")
        exports = ["text"]
    if given.get("op_attr") is True and "db" not in exports and not known.exports_db_anyway():
        reset("op_attr", False, "export_type has no db")
    _threshold(given.get("gc_detect_threshold"), reset)
    _domains(given, takes, reset)
    hosts = given.get("host_sys") or []
    if not isinstance(hosts, list) or any(host not in known.hosts for host in hosts):
        reset("host_sys", "nothing", f"it must be a list of {', '.join(map(str, known.hosts))}")
    return found


def _listed(value: Any) -> list[Any] | None:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else None


def _threshold(value: Any, reset: Callable[[str, Any, str], None]) -> None:
    if value is not None and not isinstance(value, (int, float)):
        reset("gc_detect_threshold", "off", "it must be a number")
    elif value is not None and value < 0:
        reset("gc_detect_threshold", "off", "it is negative")


def _domains(given: Mapping[str, Any], takes: bool, reset: Callable[[str, Any, str], None]) -> None:
    names = ("mstx_domain_include", "mstx_domain_exclude")
    asked = [name for name in names if given.get(name)]
    good = []
    for name in asked:
        domains = given[name]
        if not takes:
            reset(name, "nothing", "mstx is off")
        elif not isinstance(domains, list) or not all(
            isinstance(domain, str) for domain in domains
        ):
            reset(name, "nothing", "it must be a list of names")
        else:
            good.append(name)
    if len(good) == 2:
        reset(names[1], "nothing", f"{names[0]} is set, and only one of them counts")


def of_profile(
    given: Mapping[str, Any], able: Collection[Any], configured: bool, threshold: Any
) -> list[Reset]:
    """`given`: arguments of profile; `able`: the activities that there are; `configured`,
    `threshold`: whether it has an _ExperimentalConfig, and the gc_detect_threshold of that."""
    found = [
        Reset(name, False, "it must be True or False")
        for name in _PROFILE_FLAGS
        if not isinstance(given.get(name, False), bool)
    ]
    activities = given.get("activities") or able
    strange = [str(activity) for activity in activities if activity not in able]
    if strange:
        found.append(Reset("activities", "all", f"torch_npu has no {', '.join(strange)}"))
        activities = able
    for name in ("schedule", "on_trace_ready"):
        if given.get(name) and not callable(given[name]):
            found.append(Reset(name, "its default", "it must be a function"))
    names = {getattr(activity, "name", "") for activity in activities}
    if "NPU" not in names and configured:
        found.append(Reset("experimental_config", "nothing", "the npu activity is not there"))
    if "CPU" not in names and threshold is not None:
        found.append(Reset("gc_detect_threshold", "off", "the cpu activity is not there"))
    return found
