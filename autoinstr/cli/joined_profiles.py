"""The profiles that `autoinstr report` joins with a run, those named or those below it; --peak."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, UsageError

if TYPE_CHECKING:
    import argparse

    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.recording.run import Run


def join_named_profiles(
    args: argparse.Namespace, source_run: Run, *, with_kernels: bool = False
) -> RunDevice | None:
    """Join the profiles that the user named, or those in the run directory."""
    from autoinstr.analysis.device_join import join_profiles
    from autoinstr.base.progress import Progress
    from autoinstr.device.profile_kinds import find_profiles

    found = []
    for path in args.profile or ():
        profiles = find_profiles(path)
        if not profiles:
            raise UsageError(f"--profile {path}: holds no profile of torch.profiler or torch_npu")
        found += profiles
    if not args.profile:
        found = find_profiles(source_run.path)
    if not found:
        return None
    progress = Progress(sys.stderr, f"profiles of {source_run.path}", "events")
    try:
        joined = join_profiles(
            source_run, found, args.capture or (), progress.tick, with_kernels=with_kernels
        )
    finally:
        progress.finish()
    if args.profile and joined.device is None:
        raise AutoinstrError(joined.problems[0])
    source_run.problems.extend(joined.problems)
    return joined.device


def set_named_peak(args: argparse.Namespace, device: RunDevice | None) -> None:
    """Set what the devices can do, if the user gave it with --peak."""
    from autoinstr.device.peaks import parse_peak

    if args.peak is None:
        return
    peak = parse_peak(args.peak)
    if device is None:
        raise UsageError(f"--peak {args.peak}: needs a profile (--profile)")
    device.set_peak(peak)
