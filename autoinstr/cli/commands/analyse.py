"""`autoinstr analyse DIR`: show the device time of each module, from torch_npu's profiles."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.cli.analysis_output import (
    explain_failure,
    judge_checks,
    print_remarks,
    print_tool_output,
    write_analysis,
    write_comparison,
)
from autoinstr.cli.arguments import (
    WordChoice,
    add_format_option,
    add_output_option,
    apply_table_defaults,
    parse_path,
    parse_whole_number,
)
from autoinstr.cli.messages import print_message
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser
    from autoinstr.device.ascend.analysis import FolderAnalysis

FORMATS = ("table", "json", "csv")
CHECKERS = ("msprof-analyze",)
TABLES = ("modules", "operators")
SORTS = ("tree", "device", "self", "kernels", "calls", "mean")
COMPARE_SORTS = ("tree", "difference", "device", "calls")

DESCRIPTION = """\
Show the device time of each module, of one rank or of several side by side. Find
torch_npu's profiles below DIR (*_ascend_pt folders). Run torch_npu's offline analysis on
those that have none yet, because vLLM's workers cannot run it themselves. The output says
what is missing and why.

Raw profiles need a Python with torch_npu and CANN. Only torch_npu's analysis writes into
DIR. docs/ascend.md describes every column."""

EXAMPLES = """\
  autoinstr analyse vllm_profile                               the time of each module and rank
  autoinstr analyse vllm_profile --sort self                   the largest self time first
  autoinstr analyse vllm_profile --table operators --limit 0   operators and kernels of each module
  autoinstr analyse before --compare after                     two profiles, module by module
  autoinstr analyse vllm_profile --format json -o modules.json
  autoinstr analyse vllm_profile --python /usr/local/bin/python3
  autoinstr analyse vllm_profile --check-with msprof-analyze   compare with module_statistic
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "analyse",
        "show the time of each module on an Ascend device",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument(
        "dir",
        metavar="DIR",
        type=parse_path,
        help="a folder that contains profiles of torch_npu, at any depth, or one of them",
    )
    parser.add_argument(
        "--compare",
        metavar="DIR2",
        type=parse_path,
        help="compare module by module: DIR is A, DIR2 is B",
    )
    add_format_option(parser, FORMATS)
    add_output_option(parser)
    parser.add_argument(
        "--table",
        default="modules",
        metavar="WHICH",
        type=WordChoice(TABLES),
        help=f"table and csv: {', '.join(TABLES)} (default: modules)",
    )
    orders = tuple(dict.fromkeys(SORTS + COMPARE_SORTS))
    parser.add_argument(
        "--sort",
        metavar="BY",
        type=WordChoice(orders),
        help=f"table: {', '.join(SORTS)}; with --compare: {', '.join(COMPARE_SORTS)} "
        "(default: tree)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=parse_whole_number,
        help="table: the most lines; 0 shows all (default: 30)",
    )
    parser.add_argument(
        "--rank", metavar="N", type=parse_whole_number, help="only the profiles of this rank"
    )
    parser.add_argument(
        "--text",
        action="store_true",
        help="let torch_npu's analysis export text files too (trace_view.json and CSV)",
    )
    parser.add_argument(
        "--python",
        metavar="PYTHON",
        help="a Python with torch_npu, for raw profiles (default: this one, or one on PATH)",
    )
    parser.add_argument(
        "--check-with",
        metavar="TOOL",
        type=WordChoice(CHECKERS),
        help="msprof-analyze: compare with the table of its module_statistic, operator by operator",
    )
    parser.add_argument(
        "--msprof-analyze",
        metavar="PROGRAM",
        help="the program for --check-with (default: that of this environment, or one on PATH)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.report.formats import find_format_by_ending
    from autoinstr.report.output import check_target, open_output

    args.format = args.format or find_format_by_ending(args.output, FORMATS) or "table"
    _check_options(args)
    check_target(args.output)
    work_folder = tempfile.mkdtemp(prefix="autoinstr-analyse-")
    try:
        program = _find_checker(args)
        analyses = _analyse_folders(args, work_folder)
        if program:
            analyses = [_check_analysis(analyses[0], program, work_folder)]
    finally:
        shutil.rmtree(work_folder, ignore_errors=True)
    for analysis in analyses:
        print_tool_output(analysis)
    is_comparison = len(analyses) > 1
    failures = [explain_failure(analysis) for analysis in analyses if not analysis.with_tree]
    if is_comparison and failures:
        raise AutoinstrError(failures[0])
    with open_output(args.output, binary=False) as stream:
        encoding = "ascii" if args.format == "json" else "utf-8"
        text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        try:
            if is_comparison:
                write_comparison(analyses, args, text)
            else:
                write_analysis(analyses[0], args, text)
        finally:
            text.flush()
            text.detach()
    if args.output != "-":
        print_message(f"wrote {args.output}")
    if args.format != "table":
        for analysis in analyses:
            print_remarks(analysis)
    if failures:
        raise AutoinstrError(failures[0])
    judge_checks(analyses[0])
    return 0


def _check_options(args: argparse.Namespace) -> None:
    apply_table_defaults(args, sort="tree", limit=30)
    if args.compare is None and args.sort not in SORTS:
        raise UsageError(f"--sort {args.sort}: is for --compare; there are: {', '.join(SORTS)}")
    if args.compare is not None and args.sort not in COMPARE_SORTS:
        raise UsageError(
            f"--sort {args.sort}: is no order of --compare; there are: {', '.join(COMPARE_SORTS)}"
        )
    if args.compare is not None and args.table != "modules":
        raise UsageError(f"--table {args.table}: --compare compares modules")
    if args.compare is not None and args.check_with is not None:
        raise UsageError(f"--check-with {args.check_with}: --compare has no table to check")
    if args.format == "json" and args.table != "modules":
        raise UsageError(
            "--table operators: is for the formats table and csv; json has operators anyway"
        )
    for path in filter(None, (args.dir, args.compare)):
        if not os.path.exists(path):
            raise AutoinstrError(f"{path}: no such directory")


def _find_checker(args: argparse.Namespace) -> str:
    """Return the path of msprof-analyze; "" without --check-with.

    A missing program is reported here, before the offline analysis, which takes minutes."""
    if args.check_with is None:
        return ""
    from autoinstr.device.ascend.module_statistic import find_program

    return find_program(args.msprof_analyze)


def _analyse_folders(args: argparse.Namespace, work_folder: str) -> list[FolderAnalysis]:
    """Analyse DIR, and DIR2 of a comparison."""
    from autoinstr.device.ascend.analysis import AnalysisTools, analyse_folder

    tools = AnalysisTools(args.python, "db,text" if args.text else "db")
    return [
        analyse_folder(path, tools, work_folder, args.rank)
        for path in (args.dir, args.compare)
        if path is not None
    ]


def _check_analysis(analysis: FolderAnalysis, program: str, work_folder: str) -> FolderAnalysis:
    from autoinstr.device.ascend.checked_analysis import check_analysis

    return check_analysis(analysis, program, work_folder)
