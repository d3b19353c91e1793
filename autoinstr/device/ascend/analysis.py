"""Go from a folder to module trees: find the profiles, analyse them, and combine the results."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.progress import Progress
from autoinstr.device import bases
from autoinstr.device.ascend import offline, profiles, writers
from autoinstr.device.ascend.contents import read_contents
from autoinstr.device.ascend.subprocesses import JobProgress

if TYPE_CHECKING:
    from autoinstr.device.ascend.check import CheckResult
    from autoinstr.device.ascend.database import DatabaseFacts, KernelTotals
    from autoinstr.device.ascend.module_times import ModuleTimes
    from autoinstr.device.ascend.modules import DeviceModule
    from autoinstr.device.ascend.offline import OfflineResult
    from autoinstr.device.ascend.profiles import Profile


# What the table calls the kernels that no module has.
UNASSIGNED = {
    "outside modules": bases.OUTSIDE,
    "before the profile": bases.BEFORE,
    "unknown": bases.UNKNOWN,
}


class ProfileResult(NamedTuple):
    """The result for one profile: its module tree, or the reason why it has none.

    `label` names the rank. `name` is the profile's folder, relative to the analysed folder.
    `problem` is "" if there is a tree. `tool_output` has the last lines of a tool that failed.
    `check` is the comparison with msprof-analyze, if the user asked for one.
    """

    profile: Profile
    label: str
    name: str
    facts: DatabaseFacts | None = None
    times: ModuleTimes | None = None
    problem: str = ""
    remarks: tuple[str, ...] = ()
    tool_output: tuple[str, ...] = ()
    check: CheckResult | None = None

    @property
    def tree(self) -> DeviceModule | None:
        """The module tree, if the profile has a table."""
        return self.times.tree if self.times is not None and not self.problem else None

    @property
    def unassigned_kernels(self) -> dict[str, KernelTotals]:
        """The kernels that no module has, by the name of their line."""
        assert self.times is not None
        groups = {name: self.times.by_basis[basis] for name, basis in UNASSIGNED.items()}
        return {name: group for name, group in groups.items() if group.number}


class FolderAnalysis(NamedTuple):
    """The results for all profiles under one folder.

    `other_data` has a line for each kind of profiler output that this analysis cannot use.
    `remarks` apply to the folder, not to a single profile.
    """

    path: str
    results: list[ProfileResult]
    other_data: list[str]
    remarks: list[str]

    @property
    def with_tree(self) -> list[ProfileResult]:
        """The results that have a module tree."""
        return [result for result in self.results if result.tree is not None]


class AnalysisTools(NamedTuple):
    """The Python for torch_npu's analysis, None to search for one, and what torch_npu exports.

    `export_types` is "db" or "db,text".
    """

    python: str | None = None
    export_types: str = "db"


def analyse_folder(
    path: str, tools: AnalysisTools, work_folder: str, rank: int | None = None
) -> FolderAnalysis:
    """Analyse all profiles under a folder, or those of one rank.

    Temporary files go into a new folder below `work_folder`. Raise AutoinstrError if there is no
    profile, or no Python with torch_npu for a raw one.
    """
    profile_set = profiles.find_profiles(path, rank)
    work_folder = tempfile.mkdtemp(dir=work_folder)
    outcomes = _analyse_raw(profile_set.profiles, tools, path, work_folder)
    current = sorted(
        (
            outcomes[profile.folder].profile if profile.folder in outcomes else profile
            for profile in profile_set.profiles
        ),
        key=lambda profile: profile.order,
    )
    progress = Progress(sys.stderr, path, "rows")
    results = []
    for profile, label in zip(current, profiles.label_profiles(current)):
        result = ProfileResult(profile, label, _name_folder(profile.folder, path))
        if profile.database:
            result = result._replace(**read_contents(profile, progress.tick)._asdict())
        else:
            outcome = outcomes[profile.folder]
            result = result._replace(problem=outcome.problem, tool_output=outcome.tool_output)
        results.append(result)
    progress.finish()
    return FolderAnalysis(path, results, profile_set.other_data, _describe_shared_ranks(results))


def _analyse_raw(
    all_profiles: list[Profile], tools: AnalysisTools, path: str, work_folder: str
) -> dict[str, OfflineResult]:
    """Run torch_npu's offline analysis on the profiles without a database; return it by folder."""
    raw_profiles = [profile for profile in all_profiles if profile.raw and not profile.database]
    progress = JobProgress(sys.stderr, f"torch_npu's own analysis of {path}")
    writers.wait_for_writers(raw_profiles, progress)
    progress.finish()
    for profile in all_profiles:
        if profile.database:
            # An earlier run was killed after the analysis and before it restored older results.
            offline.restore_results(profile.folder)
    if not raw_profiles:
        return {}
    finished = {
        profile.folder: current
        for profile in raw_profiles
        if (current := profiles.read_profile(profile.folder)) and current.database
    }
    raw_profiles = [profile for profile in raw_profiles if profile.folder not in finished]
    results = {folder: offline.OfflineResult(profile) for folder, profile in finished.items()}
    if not raw_profiles:
        return results
    python = offline.find_python_with_torch_npu(tools.python)
    progress = JobProgress(sys.stderr, f"torch_npu's offline analysis of {path}")
    outcomes = offline.analyse_profiles(
        raw_profiles, python, tools.export_types, work_folder, progress
    )
    return {**results, **{outcome.profile.folder: outcome for outcome in outcomes}}


def _name_folder(folder: str, path: str) -> str:
    """Return a profile's folder relative to the analysed path, or its last part if that is it."""
    relative = os.path.relpath(folder, path)
    return os.path.basename(folder) if relative.startswith(".") else relative


def _describe_shared_ranks(results: list[ProfileResult]) -> list[str]:
    """Describe profiles that name the same rank.

    Profiles that overlap in time are replicas; profiles that follow each other are sessions.
    """
    lines = []
    by_rank: dict[int | None, list[ProfileResult]] = {}
    for result in results:
        by_rank.setdefault(result.profile.rank, []).append(result)
    for rank, group in by_rank.items():
        if len(group) < 2:
            continue
        intervals = sorted(
            (result.facts.start_ns, result.facts.end_ns)
            for result in group
            if result.facts and result.facts.start_ns and result.facts.end_ns
        )
        overlap = any(start < end for (_, end), (start, _) in zip(intervals, intervals[1:]))
        kind = (
            "at the same time: replicas, or models of one host"
            if overlap
            else "one after the other: sessions"
        )
        claim = "have no rank" if rank is None else f"name rank {rank}"
        lines.append(f"{len(group)} profiles {claim} ({kind}); each has its own figures")
    return lines
