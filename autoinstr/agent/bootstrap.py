"""What happens once torch has been imported: read the configuration, start the one session, connect
it to the events that it follows."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from typing import TYPE_CHECKING

from autoinstr.agent import empty_run
from autoinstr.agent.active_emitters import RECORDER
from autoinstr.agent.control_file import ControlWatcher
from autoinstr.agent.session import Session
from autoinstr.base import doctor_channel, log
from autoinstr.base.errors import ConfigError
from autoinstr.base.guard import contained
from autoinstr.config import config as configuration
from autoinstr.instrument import compile, importhook
from autoinstr.instrument.functions import unwrapped_rows
from autoinstr.instrument.functions.install import FunctionPatches
from autoinstr.instrument.profilers import connect as profiling
from autoinstr.instrument.profilers.torch.watch import ProfilerPatches
from autoinstr.instrument.steps import optimizer
from autoinstr.instrument.steps.engine import EngineSteps
from autoinstr.instrument.steps.roles import RolePatches
from autoinstr.targets import rows, selection

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.targets.rows import Target

_DYNAMO = ("torch._dynamo.utils", "torch._dynamo.variables.nn_module", "torch._dynamo")
_session: Session | None = None


@contained("starting")
def activate() -> None:
    """Start the session of this process, once. Called by the import hook when `import torch` has
    finished."""
    global _session
    if _session is not None:
        return
    given = getattr(sys, "_xoptions", {}).get("autoinstr")
    log.configure(*configuration.log_settings(os.environ, given))
    try:
        config = configuration.load(os.environ, given)
        log.configure(
            config.log, config.log_format, config.log_file
        )  # a file may say more than the environment
        for warning in config.warnings:
            log.once(warning, "warning", warning)
        first = configuration.WARNED not in os.environ
        os.environ[configuration.WARNED] = "1"  # one line a run, not one a process
        if config.emitter == ("none",):
            return _stay_off("the emitter is none", "info")
        session = Session(config, sys.modules["torch.nn.modules.module"])
    except ConfigError as error:
        said = os.environ.get(configuration.WARNED)
        os.environ[configuration.WARNED] = mistake = ascii(str(error))
        return _stay_off(
            str(error), "info" if said == mistake else "error"
        )  # one that a process further up has said already
    _session = session
    session.first = first
    session.asked = given is not None or configuration.ASKED in os.environ
    session.storage.run = _run(config)
    os.environ["AUTOINSTR_OUT"] = config.out
    _connect(session, first)
    _start(session)


def session() -> Session | None:
    """The session of this process, if there is one."""
    return _session


def _run(config: configuration.Config) -> str:
    """Which run this process is of: what the first one would have called the run directory,
    whatever `out` says."""
    named = (
        config.out if config.sources["out"] == "default" else configuration.default_out(os.environ)
    )
    return os.path.basename(os.environ.setdefault(configuration.INHERITED_OUT, named))


def _stay_off(reason: str, level: str) -> None:
    log.once(reason, level, f"off in this process: {reason}")
    doctor_channel.report(False, reason)


def _connect(session: Session, first: bool) -> None:
    patches = ProfilerPatches(session)
    importhook.register("torch.autograd.profiler", patches.apply)
    profiling.connect(session, session.config)
    roles = RolePatches(session.take_role)
    roles.apply()
    _apply_targets(session, first)
    for name in _DYNAMO:
        importhook.register(name, _dynamo_imported)
    if session.window is not None:
        EngineSteps(session.steps.engine_stepped).apply()
    os.register_at_fork(after_in_child=session.reset_in_child)
    atexit.register(session.close)


@contained("applying function targets")
def _apply_targets(session: Session, first: bool) -> None:
    chosen, problems = targets(session.config)
    if first:
        for problem in problems:
            log.once(problem, "warning", problem)
        own = [target for target in chosen if not target.package]
        if own:
            in_script = [target for target in own if unwrapped_rows.names_the_script(target)]
            atexit.register(
                empty_run.when_children_have_ended,
                functools.partial(_say_unfound, session, own, in_script),
            )
    chosen = [
        target
        for target in chosen
        if target.module != unwrapped_rows.MAIN or not unwrapped_rows.names_the_script(target)
    ]
    torchs = [target for target in chosen if target.package == "torch"]
    optimizer.apply(
        session.functions, torchs, session.window is not None, session.steps.optimizer_stepped
    )
    FunctionPatches(
        session.functions, [target for target in chosen if target.package != "torch"]
    ).apply()


def targets(config: configuration.Config) -> tuple[list[Target], list[str]]:
    """The function targets that the configuration selects, and a line for each row or pattern that
    is wrong."""
    own, problems = rows.custom(config.custom_targets, config.config or "custom_target")
    chosen, unmatched = selection.select([*rows.builtin(), *own], config.targets)
    return chosen, [*problems, *unmatched]


@contained("looking for modules of targets")
def _say_unfound(session: Session, own: list[Target], in_script: list[Target]) -> None:
    if not empty_run.is_first(session):
        return
    found: dict[str, list[Target]] = {}
    for target, why in unwrapped_rows.unfound(own, in_script):
        if why != unwrapped_rows.NOT_IMPORTED or not empty_run.wrapped_in_run(
            session.storage, target.name
        ):
            found.setdefault(why, []).append(target)
    for why, targets in found.items():
        # A child that writes to a tool alone leaves no word of what it has wrapped.
        level = (
            "warning"
            if why != unwrapped_rows.NOT_IMPORTED or RECORDER in session.emission.names
            else "info"
        )
        names = {
            "target": ",".join(one.name for one in targets),
            "module": ",".join(one.module for one in targets),
        }
        log.once(f"unfound {why}", level, why, **names)


def _dynamo_imported(module: ModuleType) -> None:
    if _session is not None:
        _session.calls.swap.synchronise_copies()
        if module.__name__ == "torch._dynamo":  # the whole of it, by now
            compile.tell()


def _start(session: Session) -> None:
    if session.config.when == "manual":
        _follow_control(session)
    session.choose_emitters()
    if any(name in ("auto", "mstx") for name in session.config.emitter):
        importhook.register("torch_npu", session.choose_emitters)
    session.diagnose()


def _follow_control(session: Session) -> None:
    session.reason = "when=manual: autoinstr ctl on has not been given"
    writer = session.recorder.open()
    if writer is None:
        return

    @contained("switching by autoinstr ctl")
    def switch(on: bool) -> None:
        (session.on if on else session.off)(f"autoinstr ctl {'on' if on else 'off'}")

    folder = os.path.dirname(writer.path)
    watcher = ControlWatcher(folder, switch)
    watcher.look()
    watcher.start()
    os.register_at_fork(
        before=watcher.stop,
        after_in_parent=watcher.restart_later,
        after_in_child=watcher.restart_in_child,
    )
