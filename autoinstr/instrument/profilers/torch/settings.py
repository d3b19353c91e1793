"""Sets parameters of torch.profiler.profile over those of the program, in its `__init__`.

The class itself stays the same object.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log
from autoinstr.base.guard import log_failure
from autoinstr.instrument.frames import hide_frame
from autoinstr.instrument.profilers.replace import replace
from autoinstr.instrument.profilers.torch.saved_traces import SavedTraces

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

# (value of the options, argument of the program or None) -> the argument
BuildArgument = Callable[[Any, Any], Any]
_ACTIVITY = {
    "cpu": "CPU",
    "cuda": "CUDA",
    "xpu": "XPU",
    "npu": "PrivateUse1",
    "mtia": "MTIA",
    "hpu": "HPU",
}
# These packages count the steps of the profilers that they make. A schedule from the options would
# stay in its first phase there. `vllm/enable.py` has what `schedule` means for vLLM.
_PACKAGES_WITH_SCHEDULE = ("vllm.", "vllm_ascend.")


class _KeepArgument(Exception):
    """The program's own argument stays; a log line says why."""


def apply_settings(
    module: ModuleType, torch_values: Mapping[str, Any], experimental_values: Mapping[str, Any]
) -> None:
    """Wrap the profiler's `__init__`; without a value nothing is wrapped.

    `module` is torch.profiler.profiler. `experimental_values` are fields of experimental_config.
    """
    values = dict(torch_values)
    saved_traces = SavedTraces(module)
    if "on_trace_ready" in values:
        saved_traces.apply()
    builders: dict[str, BuildArgument] = {
        "activities": lambda words, _: _build_activities(module, words),
        "schedule": lambda numbers, _: module.schedule(**numbers),
        "on_trace_ready": lambda folder, _: saved_traces.make_handler(folder),
    }
    if experimental_values:
        values["experimental_config"] = dict(experimental_values)
        builders["experimental_config"] = _build_experimental_config
    if values:
        override_arguments(module.profile, values, builders)


def override_arguments(
    cls: type, values: Mapping[str, Any], builders: Mapping[str, BuildArgument]
) -> None:
    """Wrap `cls.__init__` so that `values` win over the arguments of the caller.

    `builders` make arguments of values that are not arguments themselves. If this version has no
    such parameter, or a value cannot be built, one line is logged and the others are set.
    """

    def make(original: Any) -> Any:
        signature = inspect.signature(original)

        def replace_arguments(self: Any, args: Any, kwargs: Any, caller: str) -> tuple[Any, Any]:
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:  # the caller's mistake: the original reports it
                return (self, *args), kwargs
            for name, value in values.items():
                if name == "schedule" and caller.startswith(_PACKAGES_WITH_SCHEDULE):
                    continue
                if name not in signature.parameters:
                    log.write_once(
                        f"no {name}",
                        "warning",
                        "this profiler has no such parameter",
                        parameter=name,
                        profiler=cls.__qualname__,
                    )
                    continue
                try:
                    build = builders.get(name)
                    bound.arguments[name] = (
                        build(value, bound.arguments.get(name)) if build else value
                    )
                except _KeepArgument:
                    pass
                except Exception as error:
                    log_failure(f"setting the profiler parameter {name}", error)
            return bound.args, bound.kwargs

        @hide_frame
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                args, kwargs = replace_arguments(
                    self, args, kwargs, str(sys._getframe(1).f_globals.get("__name__"))
                )
            except Exception as error:
                log_failure("setting profiler parameters", error)
                args = (self, *args)
            original(*args, **kwargs)

        return init

    replace(cls, "__init__", make)


def _build_activities(module: ModuleType, words: list[str]) -> Any:
    activity_class = module.ProfilerActivity
    supported = module.supported_activities()
    activities = [getattr(activity_class, _ACTIVITY[word], None) for word in words]
    unsupported = [
        word
        for word, activity in zip(words, activities)
        if activity is None or activity not in supported
    ]
    if unsupported:
        log.write_once(
            f"activities {unsupported}",
            "warning",
            "this torch cannot profile an activity that is asked for",
            activities=unsupported,
        )
    usable = [activity for activity in activities if activity is not None and activity in supported]
    if not usable:
        raise _KeepArgument
    return usable


def _build_experimental_config(fields: dict[str, Any], argument: Any) -> Any:
    """Return an _ExperimentalConfig with the program's fields and, over them, `fields`."""
    from torch._C._profiler import _ExperimentalConfig

    names = _read_field_names(_ExperimentalConfig)
    merged = {}
    if argument is not None:
        if not isinstance(argument, _ExperimentalConfig):
            raise TypeError(f"the program gives a {type(argument).__name__}")
        state: Any = argument.__getstate__()  # type: ignore[attr-defined]
        if len(state) != len(names):
            raise TypeError("this torch does not show what the program has set")
        merged = {name: _decode_items(value) for name, value in zip(names, state)}
    for name, value in fields.items():
        if name in names:
            merged[name] = value
        else:
            log.write_once(
                f"no {name}", "warning", "this torch has no such profiler parameter", parameter=name
            )
    if not merged:
        raise _KeepArgument
    return _ExperimentalConfig(**merged)


def _read_field_names(cls: Any) -> list[str]:
    """Return the arguments of a pybind11 class, which are also its state, in this order.

    Only the docstring names them.
    """
    import re

    return re.findall(r"[(,] ?(\w+): ", (cls.__init__.__doc__ or "").partition("\n")[0])[1:]


def _decode_items(value: Any) -> Any:
    """Decode the strings of a list: pybind11 pickles a C++ string in a list as bytes."""
    return (
        [item.decode() if isinstance(item, bytes) else item for item in value]
        if isinstance(value, list)
        else value
    )
