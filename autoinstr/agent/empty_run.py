"""At the end of a run: find out that no process wrote a range, and log why and what to do.

A run gets one line, not one for each process, because many helper processes import torch and record
nothing. The first process that loaded torch logs it if no recording of the run has a range. What a
child wrote to a tool is not known here. If a child could have written ranges, the level is info.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Callable, NamedTuple

from autoinstr.agent.run_recordings import has_any_range
from autoinstr.base import log, process_facts
from autoinstr.base.system import calls
from autoinstr.emitters.registry import AUTO, RECORDER, find_policies, find_row
from autoinstr.instrument.functions.unwrapped_rows import is_importable

if TYPE_CHECKING:
    from autoinstr.config.config import Config

MIN_CHILD_SECONDS = 1.0  # processor time of children: an import of torch alone takes longer


class ProcessSummary(NamedTuple):
    """What a process did, as far as the explanation of an empty run needs it."""

    config: Config
    emitter_names: tuple[str, ...]  # of the emitters that exist
    used_names: frozenset[str]  # of those that were on at some time
    has_written: bool  # a tool got ranges
    recording_failed: bool
    folder: str  # the run directory
    run: str  # identifies the run
    is_explicit: bool  # this command was asked for, by -X or `autoinstr run`, not by a container
    saw_profiler: bool
    serves_vllm: bool
    decisions: tuple[bool, ...]  # of each named module: the filter keeps it
    has_unmatched_patterns: bool  # of the filter
    counted_steps: int | None  # of the window; None without one
    foreign_patch: str  # why the wrapper of Module.__call__ has no effect; "" if it has


def report_empty_run(summary: ProcessSummary) -> bool:
    """Return True if the run has no range, and log that unless the reason was logged before."""
    if (
        summary.has_written
        or summary.recording_failed
        or has_any_range(summary.folder, summary.run)
    ):
        return False
    reason, remedy = _explain(summary)
    if reason:
        level = "info" if _is_expected(summary) or _may_child_have_written(summary) else "warning"
        names = summary.emitter_names or summary.config.emitter
        event = f"no range was written: {reason}; {remedy}"
        log.write_once("nothing", level, event, emitter=",".join(names))
    return True


def has_children() -> bool:
    """Return True if children of multiprocessing run, or have not been joined."""
    return bool(getattr(sys.modules.get("multiprocessing.process"), "_children", None))


def call_after_children(function: Callable[[], object]) -> None:
    """Call the function now, or after multiprocessing has joined the remaining children.

    multiprocessing joins at exit the children that the program did not join, after this process's
    own exit functions.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None and has_children():
        util.Finalize(None, function, exitpriority=-100)
    else:
        function()


def speaks_for_run(rank: int | None) -> bool:
    """Return True for the main process of rank 0 (None: no rank), unless the program failed.

    A failed program has its own error message.
    """
    roles = process_facts.describe_process()["roles"]
    return roles == ["MainProcess"] and rank in (None, 0) and not hasattr(sys, "last_value")


def _explain(summary: ProcessSummary) -> tuple[str, str]:
    """Return why there is no range, and a remedy; two empty texts if an error was logged."""
    config = summary.config
    if not summary.emitter_names:
        for name in config.emitter:
            module = None if name == AUTO else find_row(name).policy.module
            if module is not None and module not in sys.modules:
                return f"{module} was never imported", "emitter=auto records without it"
        return "", ""
    if summary.used_names:
        return _explain_active_process(summary)
    name = summary.emitter_names[0]
    if config.get_when(name) == "manual":
        return "it was not switched on", f"autoinstr ctl on {summary.folder} does that"
    policy = find_row(name).policy
    return policy.silent_reason, policy.silent_remedy


def _explain_active_process(summary: ProcessSummary) -> tuple[str, str]:
    if summary.foreign_patch:
        return summary.foreign_patch, "modules cannot be seen beneath it"
    if summary.decisions and not any(summary.decisions):
        if summary.has_unmatched_patterns:
            return "", ""  # a line about the pattern was logged
        return "nothing that the filters keep was called", "see include and exclude"
    if summary.counted_steps is not None:
        steps = summary.counted_steps
        return f"the window begins after the last step ({steps} were counted)", "see window"
    remedy = "autoinstr doctor -- COMMAND shows what each process did"
    return "no nn.Module and no target was called", remedy


def _is_expected(summary: ProcessSummary) -> bool:
    """Return True if a run without ranges is normal.

    A service that waits for `autoinstr ctl` or a profiler may never be looked at. If a whole
    container has the agent, so has every small program that imports torch and calls no module.
    """
    when = summary.config.when
    if when == "manual" and not summary.used_names:
        return True
    if summary.is_explicit:
        return False
    if not summary.used_names:
        return when == "profiling"
    return not summary.decisions and summary.counted_steps is None


def _may_child_have_written(summary: ProcessSummary) -> bool:
    """Return True if a child may have written ranges to a tool, which is not known here.

    The front-end process of an engine knows when a profiler runs in the engine.
    """
    words = summary.config.emitter
    if words == (AUTO,):
        modules = [policy.module for policy in find_policies(words) if policy.module]
        waits_for_profilers = any(is_importable(module) for module in modules)
    else:
        names = [name for name in words if name not in (AUTO, RECORDER)]
        waits_for_profilers = any(find_row(name).policy.profiler_kinds for name in names)
    if not waits_for_profilers:
        return False
    if summary.saw_profiler and not summary.used_names:
        return True
    times = calls.times()
    return not summary.serves_vllm and (
        times.children_user + times.children_system >= MIN_CHILD_SECONDS or has_children()
    )
