"""Connects profiler control to the session of this process, as the options say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.base import doctor_channel, log
from autoinstr.base.guard import contain_errors
from autoinstr.emitters.registry import AUTO, RECORDER
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers import parameters
from autoinstr.instrument.profilers.effective import EffectiveParameters
from autoinstr.instrument.profilers.external import watch_external_profilers
from autoinstr.instrument.profilers.npu import config_settings, profile_settings, watch
from autoinstr.instrument.profilers.torch import settings
from autoinstr.instrument.profilers.vllm.capture import Capture
from autoinstr.instrument.profilers.vllm.enable import Enabler
from autoinstr.instrument.profilers.vllm.running_flag import RunningFlag
from autoinstr.instrument.profilers.vllm.watch import EngineObserver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.config.config import Config

WARNED_VARIABLE = "_AUTOINSTR_PROFILER_WARNED"  # one line for each problem in a run


@contain_errors("connecting profiler control")
def connect(session: Any, config: Config) -> None:
    """Connect the patches of profilers to the Session.

    Nothing is imported: each module is patched when the program imports it.
    """
    values, problems = parameters.read_parameters(config.profiler)
    for problem in problems if WARNED_VARIABLE not in os.environ else ():
        log.write_once(str(problem), "warning", str(problem))
    if problems:
        os.environ[WARNED_VARIABLE] = "1"

    def set_parameters(module: Any) -> None:
        settings.apply_settings(module, values.get("torch", {}), values.get("experimental", {}))

    importhook.register("torch.profiler.profiler", set_parameters)
    _connect_torch_npu(session, config, values)
    if values.get("agent", {}).get("enable", True):
        Enabler(config.out, values).apply()
    watch_external_profilers(session.profiler_events)
    _connect_engine(session, config)
    if config.capture != "off":
        stacks = not {"with_stack", "with_modules"}.isdisjoint(values.get("torch", {}))
        Capture(config.capture == "through", stacks, lambda: session.profilers.has_own).apply()


def _connect_engine(session: Any, config: Config) -> None:
    """Follow the profilers of vLLM's processes.

    If the recorder waits for profilers, the Worker shows the other processes when its profiler
    runs.
    """

    def is_worker() -> bool:
        return "Worker" in session.roles

    follows_worker = config.get_when(RECORDER) == "profiling"
    if follows_worker:
        session.profilers.on_change = RunningFlag(config.out, is_worker).show
    EngineObserver(session.profiler_events, is_worker, config.out, follows_worker).apply()


def _connect_torch_npu(
    session: Any, config: Config, values: Mapping[str, Mapping[str, Any]]
) -> None:
    source = config.sources["profiler"]
    domain = config.domain if writes_mstx(config) else None
    effective = EffectiveParameters()
    config_parameters = config_settings.ConfigParameters(
        values.get("torch_npu", {}), source, domain, effective
    )
    profile_parameters = profile_settings.ProfileParameters(
        values.get("torch", {}), bool(values.get("torch_npu")), source, domain, effective
    )
    profile_parameters.report_to_doctor = session.report_to_doctor
    doctor_channel.add_details("profilers", effective.list_profilers)
    importhook.register(config_settings.MODULE, config_parameters.apply)
    importhook.register(profile_settings.MODULE, profile_parameters.apply)
    importhook.register(watch.MODULE, watch.NpuObserver(session.profiler_events).apply)


def writes_mstx(config: Config) -> bool:
    """Return True if ranges go to mstx where torch_npu is: emitter=auto chooses it there."""
    return AUTO in config.emitter or "mstx" in config.emitter
