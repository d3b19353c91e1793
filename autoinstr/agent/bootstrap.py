"""Starts the agent after `import torch`: reads the configuration and connects the session."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from autoinstr.agent.control_file import ControlWatcher
from autoinstr.agent.control_words import ControlWords
from autoinstr.agent.function_targets import apply_targets
from autoinstr.agent.session import Session
from autoinstr.base import doctor_channel, log
from autoinstr.base.errors import ConfigError
from autoinstr.base.guard import contain_errors
from autoinstr.config import config as configuration
from autoinstr.config import environment
from autoinstr.emitters.registry import NONE, find_policies
from autoinstr.instrument import compile, importhook
from autoinstr.instrument.modules import torch_versions
from autoinstr.instrument.profilers import connect as profilers
from autoinstr.instrument.profilers.torch.watch import TorchObserver
from autoinstr.instrument.steps.engine import EngineSteps
from autoinstr.instrument.steps.roles import RolePatches

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.config.config import Config

# These copy `Module.__call__` or decide how torch.compile traces it.
_DYNAMO_MODULES = ("torch._dynamo.utils", "torch._dynamo.variables.nn_module", "torch._dynamo")
_session: Session | None = None


@contain_errors("starting")
def activate() -> None:
    """Start the session of this process, once.

    The import hook calls it when `import torch` has finished.
    """
    global _session
    if _session is not None:
        return
    option_text = getattr(sys, "_xoptions", {}).get("autoinstr")  # of -X autoinstr
    log.configure(*configuration.read_log_settings(os.environ, option_text))
    try:
        config = configuration.load_config(os.environ, option_text)
        # A configuration file may set more than the environment.
        log.configure(config.log, config.log_format, config.log_file)
        for warning in config.warnings:
            log.write_once(warning, "warning", warning)
        is_first = environment.WARNED_VARIABLE not in os.environ
        os.environ[environment.WARNED_VARIABLE] = "1"  # one line a run, not one a process
        if config.emitter == (NONE,):
            return _stay_off("the emitter is none", "info")
        problem, level = torch_versions.explain_unusable_torch()
        if problem:
            return _stay_off(problem, level if is_first else "info")
        session = Session(config, sys.modules["torch.nn.modules.module"])
    except ConfigError as error:
        # A parent process may have logged the same error.
        previous = os.environ.get(environment.WARNED_VARIABLE)
        os.environ[environment.WARNED_VARIABLE] = current = ascii(str(error))
        return _stay_off(str(error), "info" if previous == current else "error")
    _session = session
    session.is_first = is_first
    session.is_explicit = option_text is not None or environment.EXPLICIT_RUN_VARIABLE in os.environ
    session.recording_file.run = _identify_run(config)
    os.environ["AUTOINSTR_OUT"] = config.out
    _connect(session)
    _start(session)


def get_session() -> Session | None:
    """Return the session of this process; None if the agent is off."""
    return _session


def _identify_run(config: Config) -> str:
    """Return the name of the run that this process belongs to.

    It is the default name of the run directory in the first process, even if `out` is set.
    """
    default_folder = (
        config.out
        if config.sources["out"] == "default"
        else environment.choose_default_out(os.environ)
    )
    folder = os.environ.setdefault(environment.INHERITED_OUT_VARIABLE, default_folder)
    return os.path.basename(folder)


def _stay_off(reason: str, level: str) -> None:
    log.write_once(reason, level, f"off in this process: {reason}")
    doctor_channel.report(False, reason)


def _connect(session: Session) -> None:
    """Connect the session to profilers, roles, targets, steps, forks and the process's end."""
    observer = TorchObserver(session.profiler_events)
    importhook.register("torch.autograd.profiler", observer.apply)
    profilers.connect(session, session.config)
    RolePatches(session.add_role, session.add_facts).apply()
    apply_targets(session)
    session.compiled_ranges.connect(session.config.compiled)
    for name in _DYNAMO_MODULES:
        importhook.register(name, _follow_dynamo_import)
    if session.config.counts_steps:
        importhook.register("torch.optim.optimizer", session.steps.optimizers.watch)
        EngineSteps(session.steps.handle_engine_step, session.steps.handle_output_step).apply()
    os.register_at_fork(before=session.prepare_fork, after_in_child=session.reset_in_child)
    atexit.register(session.close)


def _follow_dynamo_import(module: ModuleType) -> None:
    if _session is not None:
        _session.module_ranges.swap.synchronise_copies()
        if module.__name__ == "torch._dynamo":  # it is imported last
            compile.register_substitutes()


def _start(session: Session) -> None:
    """Switch on what is due, and make other emitters when the program imports their modules."""
    if session.config.when == "manual":
        _follow_control_file(session)
    session.make_emitters()
    for policy in find_policies(session.config.emitter):
        if policy.module is not None:
            importhook.register(policy.module, session.make_emitters)
    if session.config.get_metrics() != "off":
        from autoinstr.agent.metrics import start as metrics

        metrics.start(session)
    session.report_to_doctor()


def _follow_control_file(session: Session) -> None:
    """Let `autoinstr ctl` switch the session."""
    session.range_switch.reason = "when=manual: autoinstr ctl on has not been given"
    writer = session.recorder.open()
    if writer is None:
        return

    watcher = ControlWatcher(os.path.dirname(writer.path), ControlWords(session))
    watcher.read_once()
    watcher.start()
    os.register_at_fork(
        before=watcher.stop,
        after_in_parent=watcher.restart_later,
        after_in_child=watcher.restart_in_child,
    )
