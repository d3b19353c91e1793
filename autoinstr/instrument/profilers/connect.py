"""Connects profiler control to the session of this process, as the options ask."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from autoinstr.base import doctor_channel, log
from autoinstr.base.guard import contained
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers import external, parameters
from autoinstr.instrument.profilers.effective import Effective
from autoinstr.instrument.profilers.npu import config_settings, profile_settings, watch
from autoinstr.instrument.profilers.torch import settings
from autoinstr.instrument.profilers.vllm.capture import Capture
from autoinstr.instrument.profilers.vllm.enable import Enabler
from autoinstr.instrument.profilers.vllm.watch import Observer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.config.config import Config

WARNED = "_AUTOINSTR_PROFILER_WARNED"  # one line a run, not one a process


@contained("connecting profiler control")
def connect(session: Any, config: Config) -> None:
    """`session` is the Session. Nothing is imported: each module is patched when the program
    imports it."""
    values, problems = parameters.read(config.profiler)
    for problem in problems if WARNED not in os.environ else ():
        log.once(str(problem), "warning", str(problem))
    if problems:
        os.environ[WARNED] = "1"
    importhook.register(
        "torch.profiler.profiler",
        functools.partial(
            _set_parameters,
            torch_values=values.get("torch", {}),
            experimental_values=values.get("experimental", {}),
        ),
    )
    _connect_torch_npu(session, config, values)
    if values.get("agent", {}).get("enable", True):
        Enabler(config.out, values).apply()
    external.tell(session)
    Observer(session, config.out, config.when_for("recorder") == "profiling").apply()
    if config.capture != "off":
        stacks = not {"with_stack", "with_modules"}.isdisjoint(values.get("torch", {}))
        Capture(config.capture == "through", stacks, lambda: session.profilers.own).apply()


def _connect_torch_npu(
    session: Any, config: Config, values: Mapping[str, Mapping[str, Any]]
) -> None:
    source = config.sources["profiler"]
    domain = config.domain if writes_mstx(config) else None
    effective = Effective()
    of_config = config_settings.ConfigParameters(
        values.get("torch_npu", {}), source, domain, effective
    )
    of_profile = profile_settings.ProfileParameters(
        values.get("torch", {}), bool(values.get("torch_npu")), source, domain, effective
    )
    of_profile.told = session.diagnose
    doctor_channel.contribute("profilers", effective.facts)
    importhook.register(config_settings.MODULE, of_config.apply)
    importhook.register(profile_settings.MODULE, of_profile.apply)
    importhook.register(watch.MODULE, watch.NpuObserver(session).apply)


def writes_mstx(config: Config) -> bool:
    """Where torch_npu is, ranges go to mstx: `auto` chooses it there."""
    return any(name in ("auto", "mstx") for name in config.emitter)


def _set_parameters(module: Any, torch_values: Any, experimental_values: Any) -> None:
    settings.apply(module, torch_values, experimental_values)
