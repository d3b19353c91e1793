"""What torch_npu's profilers of this process were really made with, and what set each value: for
`autoinstr doctor -- command`."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 8  # profilers that are remembered: those of a loop are all alike

PROGRAM = "program"
TORCH_NPU = "torch_npu's default"
OURS = "autoinstr's default for module_statistic"
RESET = "reset by torch_npu"


class Row(NamedTuple):
    """One parameter."""

    name: str
    value: str
    source: str


class Effective:
    """Configurations are known by identity, as long as the program keeps them."""

    def __init__(self) -> None:
        self._configs: weakref.WeakKeyDictionary[Any, list[Row]] = weakref.WeakKeyDictionary()
        self._profiles: list[dict[str, Any]] = []

    def config_made(self, config: Any, rows: list[Row]) -> None:
        """An _ExperimentalConfig."""
        self._configs[config] = rows

    def profile_made(self, cls: type, rows: list[Row], config: Any) -> None:
        """A profile with its _ExperimentalConfig. One that is like another is not told twice."""
        parameters = [row._asdict() for row in [*rows, *self._configs.get(config, [])]]
        found = {"profiler": f"{cls.__module__}.{cls.__qualname__}", "parameters": parameters}
        if found not in self._profiles:
            self._profiles = [*self._profiles, found][-MOST:]

    def facts(self) -> list[dict[str, Any]]:
        """Ready for JSON: `profiler`, and `parameters` with `name`, `value` and `source`."""
        return self._profiles


def shown(value: Any, words: Mapping[Any, str]) -> str:
    """A value as the option `profiler` takes it, where it can; `words` are its names for constants
    of torch_npu's."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(sorted(shown(item, words) for item in value)) or "none"
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
