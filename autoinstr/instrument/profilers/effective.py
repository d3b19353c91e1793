"""The parameters that torch_npu's profilers of this process really have, and what set each.

`autoinstr doctor -- COMMAND` shows them.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PROFILERS = 8  # that are remembered: those of a loop are all alike

PROGRAM = "program"
TORCH_NPU = "torch_npu's default"
AUTOINSTR = "autoinstr's default for module_statistic"
RESET = "reset by torch_npu"


class ParameterValue(NamedTuple):
    """One parameter, its value and what set the value."""

    name: str
    value: str
    source: str


class EffectiveParameters:
    """Remembers profilers. A configuration is known by identity while the program keeps it."""

    def __init__(self) -> None:
        self._configs: weakref.WeakKeyDictionary[Any, list[ParameterValue]] = (
            weakref.WeakKeyDictionary()
        )
        self._profilers: list[dict[str, Any]] = []

    def add_config(self, config: Any, values: list[ParameterValue]) -> None:
        """Remember an _ExperimentalConfig."""
        self._configs[config] = values

    def add_profiler(self, cls: type, values: list[ParameterValue], config: Any) -> None:
        """Remember a profiler with its _ExperimentalConfig, unless an equal one is known."""
        parameters = [value._asdict() for value in [*values, *self._configs.get(config, [])]]
        profiler = {"profiler": f"{cls.__module__}.{cls.__qualname__}", "parameters": parameters}
        if profiler not in self._profilers:
            self._profilers = [*self._profilers, profiler][-MAX_PROFILERS:]

    def list_profilers(self) -> list[dict[str, Any]]:
        """Return `profiler`, and `parameters` with `name`, `value` and `source`, for JSON."""
        return self._profilers


def format_value(value: Any, words: Mapping[Any, str]) -> str:
    """Return a value in the syntax of the option `profiler`, if it has one.

    `words`: the names that the option has for constants of torch_npu.
    """
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(sorted(format_value(item, words) for item in value)) or "none"
    if type(value).__name__ == "ProfilerActivity":
        return str(value.name).lower()
    numbers = {
        name: number
        for name, number in getattr(value, "__dict__", {}).items()
        if type(number) is int
    }
    if numbers:  # a Schedule
        return ",".join(f"{name}:{number}" for name, number in numbers.items())
    if getattr(value, "__name__", None) == "_default_schedule_fn":
        return "every step"
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__)).partition(".")[0]
    return str(words.get(value, value))
