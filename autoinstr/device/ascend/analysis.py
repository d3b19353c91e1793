"""Go from a folder to module trees: find the profiles, analyse them, and combine the results."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.progress import Progress
from autoinstr.device.ascend import missing_reasons, module_statistic, offline, profiles, writers
from autoinstr.device.ascend.contents import read_contents
from autoinstr.device.ascend.database import KernelTotals
from autoinstr.device.ascend.modules import build_module_tree
from autoinstr.device.ascend.subprocesses import JobProgress

if TYPE_CHECKING:
    from autoinstr.device.ascend.contents import ProfileContents
    from autoinstr.device.ascend.database import DatabaseFacts
    from autoinstr.device.ascend.module_statistic import StatisticResult
    from autoinstr.device.ascend.modules import DeviceModule
    from autoinstr.device.ascend.offline import OfflineResult
    from autoinstr.device.ascend.profiles import Profile


class ProfileResult(NamedTuple):
    """The result for one profile: its module tree, or the reason why it has none.

    `label` names the rank. `name` is the profile's folder, relative to the analysed folder.
    `problem` is "" if there is a tree. `tool_output` has the last lines of a tool that failed.
    """

    profile: Profile
    label: str
    name: str
    facts: DatabaseFacts | None = None
    tree: DeviceModule | None = None
    problem: str = ""
    remarks: tuple[str, ...] = ()
    tool_output: tuple[str, ...] = ()

    @property
    def unassigned_kernels(self) -> dict[str, KernelTotals]:
        """The kernels that no module has: of operators outside modules, and without an operator."""
        assert self.facts is not None and self.tree is not None
        kernels, linked = self.facts.kernels, self.facts.linked
        groups = {
            "outside modules": KernelTotals(
                linked.number - self.tree.kernels, linked.total_ns - self.tree.total_ns
            ),
            "no operator": KernelTotals(
                kernels.number - linked.number, kernels.total_ns - linked.total_ns
            ),
        }
        return {
            name: group for name, group in groups.items() if group.number > 0 or group.total_ns > 0
        }


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
    """The programs to run, None to search for them, and what torch_npu exports.

    `export_types` is "db" or "db,text".
    """

    msprof_program: str | None = None
    python: str | None = None
    export_types: str = "db"


def analyse_folder(
    path: str, tools: AnalysisTools, work_folder: str, rank: int | None = None
) -> FolderAnalysis:
    """Analyse all profiles under a folder, or those of one rank.

    Temporary files go into a new folder below `work_folder`. Raise AutoinstrError if there is no
    profile or a tool is not installed.
    """
    profile_set = profiles.find_profiles(path, rank)
    work_folder = tempfile.mkdtemp(dir=work_folder)
    # A missing program is reported here, before the offline analysis, which takes minutes.
    program = module_statistic.find_program(tools.msprof_program)
    outcomes = _analyse_raw(profile_set.profiles, tools, path, work_folder)
    current = sorted(
        (
            outcomes[profile.folder].profile if profile.folder in outcomes else profile
            for profile in profile_set.profiles
        ),
        key=lambda profile: profile.order,
    )
    progress = Progress(sys.stderr, f"ranges of {path}")
    contents = {
        profile.folder: read_contents(profile, progress.tick)
        for profile in current
        if profile.database
    }
    progress.finish()
    readable = [
        entry for entry in contents.values() if not entry.read_error and not entry.missing_reason
    ]
    statistics = _run_statistics(program, readable, path, work_folder)
    results = []
    for profile, label in zip(current, profiles.label_profiles(current)):
        result = ProfileResult(profile, label, _name_folder(profile.folder, path))
        if profile.folder in contents:
            statistic = statistics.get(profile.folder)
            results.append(_add_tree(result, contents[profile.folder], statistic))
        else:
            outcome = outcomes[profile.folder]
            results.append(
                result._replace(problem=outcome.problem, tool_output=outcome.tool_output)
            )
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


def _run_statistics(
    program: str, contents: list[ProfileContents], path: str, work_folder: str
) -> dict[str, StatisticResult]:
    """Run msprof-analyze on all databases and return its rows by profile folder.

    One database that it fails on costs the others their rows. So it runs again for each database
    that has no rows although nothing is missing from it.
    """

    def run(batch: list[ProfileContents], description: str) -> list[StatisticResult]:
        databases = [entry.profile.database for entry in batch]
        progress = JobProgress(sys.stderr, f"msprof-analyze of {description}")
        return module_statistic.run_module_statistic(program, databases, work_folder, progress)

    statistics = run(contents, path) if contents else []
    for index, entry in enumerate(contents):
        if not statistics[index].rows and len(contents) > 1:
            [statistics[index]] = run([entry], entry.profile.folder)
    return {entry.profile.folder: result for entry, result in zip(contents, statistics)}


def _add_tree(
    result: ProfileResult, contents: ProfileContents, statistic: StatisticResult | None
) -> ProfileResult:
    """Return the result with its module tree, or with the reason why there is none."""
    if contents.facts is None:
        return result._replace(problem=contents.read_error)
    result = result._replace(facts=contents.facts)
    if statistic is None:  # it could not help, so msprof-analyze did not run
        return result._replace(problem=contents.missing_reason)
    if statistic.rows:
        return result._replace(
            tree=build_module_tree(contents.ranges, statistic.rows),
            remarks=tuple(missing_reasons.list_remarks(contents.facts, contents.ranges)),
        )
    if statistic.signal:
        return result._replace(
            problem=f"msprof-analyze was killed (signal {statistic.signal}): out of memory? "
            "autoinstr report makes the table without it",
            tool_output=statistic.tool_output,
        )
    # The database is complete. Either all operators lie outside the modules, which msprof-analyze
    # reports as missing "event tree data", or msprof-analyze failed.
    lines = statistic.tool_output
    has_error = any("ERROR" in line or "Error" in line for line in lines)
    if has_error and not any("event tree data" in line for line in lines):
        return result._replace(problem="msprof-analyze failed", tool_output=lines)
    return result._replace(problem=missing_reasons.explain_empty_modules(contents.facts))


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
