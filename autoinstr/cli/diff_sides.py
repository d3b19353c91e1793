"""Open the two sides of `autoinstr diff`: run directories, or profiles without a recording."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError

if TYPE_CHECKING:
    import argparse

    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.device.profile_kinds import FoundProfile
    from autoinstr.diff.comparison import Comparison
    from autoinstr.recording.run import Run

HOST, DEVICE = "host", "device"
TIMES = (HOST, DEVICE)


class DiffSide(NamedTuple):
    """One side: its run, and its device time if that is compared."""

    run: Run
    device: RunDevice | None


def choose_time(args: argparse.Namespace) -> str:
    """Return what is compared: device time where a side is a profile, unless the user says so."""
    if args.time is not None:
        return str(args.time)
    is_profile = any(_find_bare_profiles(path) for path in (args.a, args.b))
    return DEVICE if is_profile else HOST


def open_sides(args: argparse.Namespace, time: str, stack: ExitStack) -> list[DiffSide]:
    """Open A and B; the stack closes them. Raise AutoinstrError if a side has no device time."""
    return [_open_side(name, path, args, time, stack) for name, path in zip("AB", (args.a, args.b))]


def _open_side(
    name: str, path: str, args: argparse.Namespace, time: str, stack: ExitStack
) -> DiffSide:
    from autoinstr.analysis.runs import find_run, select_processes

    profiles = _find_bare_profiles(path)
    if profiles:
        return _open_profiles(name, path, profiles, stack, time)
    source_run = find_run(path, latest=args.latest, command="")
    if args.process is not None:
        source_run = select_processes(source_run, args.process)
    if time == HOST:
        return DiffSide(source_run, None)
    device = _join_own_profiles(source_run)
    if device is None:
        reason = source_run.problems[0] if source_run.problems else "no profile lies below it"
        raise AutoinstrError(f"--time device: {name} ({path}) has no device time: {reason}")
    stack.callback(device.close)
    return DiffSide(source_run, _require_kernels(name, path, device))


def _open_profiles(
    name: str, path: str, profiles: list[FoundProfile], stack: ExitStack, time: str
) -> DiffSide:
    """Open profiles without a recording."""
    from autoinstr.analysis.profile_run import ProfileRun
    from autoinstr.base.progress import Progress
    from autoinstr.device.profile_kinds import analyse_raw_profiles

    profiles = analyse_raw_profiles(profiles, path)
    progress = Progress(sys.stderr, path, "events")
    try:
        run = stack.enter_context(ProfileRun(path, profiles, (), progress.tick, with_kernels=True))
    finally:
        progress.finish()
    if time == HOST:
        return DiffSide(run.run, None)
    return DiffSide(run.run, _require_kernels(name, path, run.device))


def _join_own_profiles(source_run: Run) -> RunDevice | None:
    from autoinstr.analysis.device_join import join_profiles
    from autoinstr.base.progress import Progress
    from autoinstr.device.profile_kinds import find_profiles

    progress = Progress(sys.stderr, f"profiles of {source_run.path}", "events")
    try:
        found = find_profiles(source_run.path)
        joined = join_profiles(source_run, found, (), progress.tick, with_kernels=True)
    finally:
        progress.finish()
    source_run.problems.extend(joined.problems)
    return joined.device


def _require_kernels(name: str, path: str, device: RunDevice) -> RunDevice:
    if all(profile.times.on_cpu for profile in device.profiles):
        raise AutoinstrError(f"--time device: {name} ({path}): no device took part in its profiles")
    return device


def _find_bare_profiles(path: str) -> list[FoundProfile]:
    """Return the profiles at a path that holds no recording."""
    from autoinstr.analysis.runs import list_recording_files, list_runs
    from autoinstr.device.profile_kinds import find_profiles

    if list_recording_files(path) or list_runs(path):
        return []
    return find_profiles(path)


def check_phase_of_sides(comparison: Comparison, phase: str) -> None:
    """Raise AutoinstrError if one of the runs has no range in this phase."""
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        if side.range_count and phase not in side.phases:
            raise AutoinstrError(
                f"nothing to compare: in {letter} no range has the phase {phase!a}; "
                f"it has: {', '.join(side.phases)}"
            )


def check_common_modules(comparison: Comparison) -> None:
    """Raise AutoinstrError if the runs have no module in common."""
    if comparison.has_common_modules:
        return
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        if not side.range_count:
            raise AutoinstrError(f"nothing to compare: {letter} ({side.run.path}) recorded nothing")
    raise AutoinstrError(
        f"nothing in common: no module of {comparison.a.run.path} was called "
        f"in {comparison.b.run.path} (try --by class)"
    )
