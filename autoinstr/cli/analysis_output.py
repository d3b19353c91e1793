"""Write the results of `autoinstr analyse`, and say what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.messages import print_message, write_lines

if TYPE_CHECKING:
    import argparse
    import io

    from autoinstr.device.ascend.analysis import FolderAnalysis


def judge_checks(analysis: FolderAnalysis) -> None:
    """Raise AutoinstrError if a comparison has a difference without a known cause."""
    for result in analysis.results:
        if result.check is not None and result.check.unexplained:
            first, count = result.check.unexplained[0], len(result.check.unexplained)
            raise AutoinstrError(
                f"{result.label}: {count:,} differences from msprof-analyze have no known cause, "
                f"the first at {first.path}, {first.operator}"
            )


def write_analysis(
    analysis: FolderAnalysis, args: argparse.Namespace, text: io.TextIOWrapper
) -> None:
    from autoinstr.report.ascend_modules import data, tables
    from autoinstr.report.options import build_options

    if args.format == "table":
        options = build_options(args.output, limit=args.limit, sort=args.sort, table=args.table)
        write_lines(tables.format_analysis(analysis, options), args.output, text)
    elif args.format == "json":
        data.write_json(analysis, text)
    else:
        data.write_csv(analysis, text, args.table)


def write_comparison(
    analyses: list[FolderAnalysis], args: argparse.Namespace, text: io.TextIOWrapper
) -> None:
    from autoinstr.report.ascend_modules import compare_data, compare_table
    from autoinstr.report.ascend_modules.module_pairs import build_side
    from autoinstr.report.options import build_options

    a, b = (build_side(analysis) for analysis in analyses)
    if args.format == "table":
        options = build_options(args.output, limit=args.limit, sort=args.sort, table=args.table)
        write_lines(compare_table.format_comparison(a, b, options), args.output, text)
    elif args.format == "json":
        compare_data.write_json(a, b, text)
    else:
        compare_data.write_csv(a, b, text)


def print_tool_output(analysis: FolderAnalysis) -> None:
    """Print the last lines of output of the tools that failed."""
    for result in analysis.results:
        if result.tool_output:
            print_message(f"{result.label} ({result.name}): {result.problem}; its last output:")
            for line in result.tool_output:
                print_message(f"  | {line}")


def print_remarks(analysis: FolderAnalysis) -> None:
    """Print the remarks that the table contains itself."""
    from autoinstr.report.ascend_modules.tables import list_remarks

    for line in list_remarks(analysis):
        print_message(f"warning: {line}")


def explain_failure(analysis: FolderAnalysis) -> str:
    from autoinstr.base.text import format_count

    first, count = analysis.results[0], len(analysis.results) - 1
    suffix = f" (and {format_count(count, 'more profile')} without one)" if count else ""
    return f"{analysis.path}: no module table: {first.label}: {first.problem}{suffix}"
