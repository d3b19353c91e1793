"""Imports early what ranges would import later, so that nothing is imported under a Python tracer.

torch's Python tracer keeps the names of code that it sees by address. The code of a module is freed
after its import. Then `key_averages()` fails, or the trace is broken."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from autoinstr.base.guard import contain_errors
from autoinstr.emitters.registry import RECORDER

if TYPE_CHECKING:
    from autoinstr.config.config import Config

_FUNCTION_TARGETS = tuple(
    f"autoinstr.instrument.functions.{name}" for name in ("closure", "vllm_scopes", "wrappers")
)
_RANGES_API = ("autoinstr.api.ranges", "autoinstr.api.decorators")
_TOOLS = tuple(
    f"autoinstr.emitters.{name}" for name in ("emitter", "tool_output", "combined_output")
)


@contain_errors("importing what ranges need")
def import_ahead(config: Config) -> None:
    """Import all that the agent, the ranges API and torch's own ranges import at first use."""
    names = ["resource", *_RANGES_API, *_FUNCTION_TARGETS]
    if config.emitter != (RECORDER,):
        names += _TOOLS
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:  # what needs the module finds that, and says it
            pass
    # torch's `record_function`, which each Optimizer.step calls, imports this at its first use.
    import_monitor = getattr(
        sys.modules.get("torch.autograd.profiler"), "_maybe_cupti_monitor", None
    )
    if import_monitor is not None:
        import_monitor()
