"""Compare the tables of a folder with those of msprof-analyze (`--check-with`)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.device.ascend.check import CheckResult, compare_tables
from autoinstr.device.ascend.database import START_END
from autoinstr.device.ascend.module_rows import MODULE
from autoinstr.device.ascend.module_statistic import StatisticResult, run_module_statistic
from autoinstr.device.ascend.subprocesses import JobProgress

if TYPE_CHECKING:
    from autoinstr.device.ascend.analysis import FolderAnalysis, ProfileResult


def check_analysis(analysis: FolderAnalysis, program: str, work_folder: str) -> FolderAnalysis:
    """Run msprof-analyze on the profiles that have a table, and return the comparisons too.

    Raise AutoinstrError if it fails.
    """

    def run(results: list[ProfileResult]) -> list[StatisticResult]:
        progress = JobProgress(sys.stderr, f"msprof-analyze of {analysis.path}")
        databases = [result.profile.database for result in results]
        return run_module_statistic(program, databases, work_folder, progress)

    checked = [result for result in analysis.with_tree if _has_ranges(result)]
    statistics = run(checked) if checked else []
    for index, result in enumerate(checked):
        # one database that it fails on costs the others their rows
        if not statistics[index].rows and len(checked) > 1:
            [statistics[index]] = run([result])
    by_result = dict(zip(map(id, checked), statistics))
    results = [
        result._replace(check=_check(result, by_result.get(id(result)))) if result.tree else result
        for result in analysis.results
    ]
    return analysis._replace(results=results)


def _has_ranges(result: ProfileResult) -> bool:
    """Return whether the database has ranges that msprof-analyze reads."""
    return result.facts is not None and bool(result.facts.domains.get(MODULE, {}).get(START_END))


def _check(result: ProfileResult, statistic: StatisticResult | None) -> CheckResult:
    assert result.times is not None
    if statistic is None:
        return compare_tables(result.times, [], has_ranges=False)
    if not statistic.rows:
        _require_success(result, statistic)
    return compare_tables(result.times, statistic.rows, has_ranges=True)


def _require_success(result: ProfileResult, statistic: StatisticResult) -> None:
    """Raise AutoinstrError if msprof-analyze failed, rather than found nothing.

    It reports as missing "event tree data" that no operator lies in a module."""
    if statistic.signal:
        raise AutoinstrError(
            f"{result.label}: msprof-analyze was killed (signal {statistic.signal}): out of memory?"
        )
    lines = statistic.tool_output
    if not any("event tree data" in line or "Can not export" in line for line in lines):
        error = next((line for line in lines if "ERROR" in line or "Error" in line), "no table")
        raise AutoinstrError(f"{result.label}: msprof-analyze failed: {error}")
