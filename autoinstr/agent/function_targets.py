"""Wraps the function targets of the options, and reports the user's rows that wrapped nothing."""

from __future__ import annotations

import atexit
import functools
from typing import TYPE_CHECKING

from autoinstr.agent import empty_run
from autoinstr.agent.run_recordings import is_target_wrapped
from autoinstr.base import log
from autoinstr.base.guard import contain_errors
from autoinstr.emitters.registry import RECORDER
from autoinstr.instrument import importhook
from autoinstr.instrument.functions import unwrapped_rows
from autoinstr.instrument.functions.install import FunctionPatches
from autoinstr.instrument.steps import optimizer
from autoinstr.targets import custom_targets, rows, selection

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.agent.session import Session
    from autoinstr.config.config import Config
    from autoinstr.targets.rows import Target

# Packages whose functions get other code and stay the same objects.
KEPT_PACKAGES = ("torch", "transformers")


@contain_errors("applying function targets")
def apply_targets(session: Session) -> None:
    """Wrap the targets that the configuration selects, when their modules are imported.

    The first process of a run also logs wrong rows, and at its end the rows that wrapped nothing.
    """
    is_default = session.config.targets == ("default",)
    targets, problems = select_targets(session.config, is_default)
    if is_default:
        _apply_late_tables(session)
    if session.is_first:
        for problem in problems:
            log.write_once(problem, "warning", problem)
        user_targets = [target for target in targets if not target.package]
        if user_targets:
            # Whether a row names the script can be seen only at the start.
            in_script = [target for target in user_targets if unwrapped_rows.is_script_row(target)]
            atexit.register(
                empty_run.call_after_children,
                functools.partial(_report_unwrapped, session, user_targets, in_script),
            )
    targets = [
        target
        for target in targets
        if target.module != unwrapped_rows.MAIN or not unwrapped_rows.is_script_row(target)
    ]
    optimizer.apply_torch_targets(
        session.function_ranges,
        [target for target in targets if target.package in KEPT_PACKAGES],
        session.config.counts_steps,
        session.steps.handle_optimizer_step,
    )
    FunctionPatches(
        session.function_ranges,
        [target for target in targets if target.package not in KEPT_PACKAGES],
    ).apply()


def _apply_late_tables(session: Session) -> None:
    """Wrap the default targets of each late package when it is imported."""

    @contain_errors("applying function targets")
    def apply_table(module: ModuleType) -> None:
        targets = [target for target in rows.load_table(module.__name__) if target.default]
        FunctionPatches(session.function_ranges, targets).apply()

    for package in rows.LATE_PACKAGES:
        importhook.register(package, apply_table)


def select_targets(config: Config, is_default: bool = False) -> tuple[list[Target], list[str]]:
    """Return the selected targets, and a line for each wrong row or pattern.

    With `is_default`, the tables of late packages are not read."""
    user_targets, problems = custom_targets.parse_custom_targets(
        config.custom_targets, config.config or "custom_target"
    )
    builtin_targets = rows.load_early_targets() if is_default else rows.load_builtin_targets()
    targets, unmatched = selection.select_targets([*builtin_targets, *user_targets], config.targets)
    return targets, [*problems, *unmatched]


@contain_errors("looking for modules of targets")
def _report_unwrapped(
    session: Session, user_targets: list[Target], in_script: list[Target]
) -> None:
    """Log the user's rows that no process of the run wrapped, one line for each reason."""
    if not session.speaks_for_run():
        return
    folder, run = session.recording_file.find_folder(), session.recording_file.run
    by_reason: dict[str, list[Target]] = {}
    for target, reason in unwrapped_rows.list_unwrapped(user_targets, in_script):
        if reason != unwrapped_rows.NOT_IMPORTED or not is_target_wrapped(folder, run, target.name):
            by_reason.setdefault(reason, []).append(target)
    for reason, targets in by_reason.items():
        # A child that writes only to a tool leaves no trace of what it wrapped.
        is_certain = reason != unwrapped_rows.NOT_IMPORTED or RECORDER in session.emitters.names
        log.write_once(
            f"unwrapped {reason}",
            "warning" if is_certain else "info",
            reason,
            target=",".join(target.name for target in targets),
            module=",".join(target.module for target in targets),
        )
