"""Connects profiler control to the session of this process, as the options ask."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from autoinstr import diagnosis, log
from autoinstr.containment import contained
from autoinstr.instrument import importhook
from autoinstr.instrument.profiling import npu_config, npu_observe, npu_profile, outside, parameters, torch_profiler
from autoinstr.instrument.profiling.capture import Capture
from autoinstr.instrument.profiling.effective import Effective
from autoinstr.instrument.profiling.enable import Enabler
from autoinstr.instrument.profiling.observe import Observer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.config import Config

WARNED = "_AUTOINSTR_PROFILER_WARNED"  # one line a run, not one a process


@contained("connecting profiler control")
def connect(session: Any, config: Config) -> None:
    """`session` is the Session. Nothing is imported: each module is patched when the program imports it."""
    values, problems = parameters.read(config.profiler)
    for problem in problems if WARNED not in os.environ else ():
        log.once(str(problem), "warning", str(problem))
    if problems:
        os.environ[WARNED] = "1"
    importhook.register(
        "torch.profiler.profiler",
        functools.partial(_set_parameters, torch_values=values.get("torch", {}), experimental_values=values.get("experimental", {})),
    )
    _connect_torch_npu(session, config, values)
    if values.get("agent", {}).get("enable", True):
        Enabler(config.out, values).apply()
    outside.tell(session)
    Observer(session, config.out, config.when_for("recorder") == "profiling").apply()
    if config.capture != "off":
        stacks = not {"with_stack", "with_modules"}.isdisjoint(values.get("torch", {}))
        Capture(config.capture == "through", stacks, lambda: session.profilers.own).apply()


def _connect_torch_npu(session: Any, config: Config, values: Mapping[str, Mapping[str, Any]]) -> None:
    source = config.sources["profiler"]
    domain = config.domain if writes_mstx(config) else None
    effective = Effective()
    of_config = npu_config.ConfigParameters(values.get("torch_npu", {}), source, domain, effective)
    of_profile = npu_profile.ProfileParameters(values.get("torch", {}), bool(values.get("torch_npu")), source, domain, effective)
    of_profile.told = session.diagnose
    diagnosis.contribute("profilers", effective.facts)
    importhook.register(npu_config.MODULE, of_config.apply)
    importhook.register(npu_profile.MODULE, of_profile.apply)
    importhook.register(npu_observe.MODULE, npu_observe.NpuObserver(session).apply)


def writes_mstx(config: Config) -> bool:
    """Where torch_npu is, ranges go to mstx: `auto` chooses it there."""
    return any(name in ("auto", "mstx") for name in config.emitter)


def _set_parameters(module: Any, torch_values: Any, experimental_values: Any) -> None:
    torch_profiler.apply(module, torch_values, experimental_values)
