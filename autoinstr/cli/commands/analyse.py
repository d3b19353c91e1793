"""`autoinstr analyse DIR`: device time by module, from the profiles that torch_npu wrote on an
Ascend machine."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.cli.arguments import one_of, only_table, place, whole_number
from autoinstr.cli.messages import say, write_lines
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser
    from autoinstr.device.ascend.analysis import Analysis
    from autoinstr.report.ascend_modules.tables import Look

FORMATS = ("table", "json", "csv")
TABLES = ("modules", "operators")
SORTS = ("tree", "device", "self", "kernels", "calls", "mean")
COMPARE_SORTS = ("tree", "difference", "device", "calls")

DESCRIPTION = """\
Find torch_npu's profiles under DIR (*_ascend_pt folders), run torch_npu's offline
analysis on those that have none yet (vLLM's workers cannot do it themselves), then
the real msprof-analyze with module_statistic, and say what each module cost on the
device: of one rank, or of several side by side. Says plainly what is missing and why.

It needs msprof-analyze 26 (pip install 'autoinstr[ascend]', or one of another
environment) and, for raw profiles, a Python with torch_npu and CANN. Nothing is
written into DIR but what torch_npu's analysis writes. Every column: docs/ascend.md."""

EXAMPLES = """\
  autoinstr analyse vllm_profile                                which module costs what, rank by rank
  autoinstr analyse vllm_profile --sort self                    the longest first, without what is below
  autoinstr analyse vllm_profile --table operators --limit 0    operators and kernels of each module
  autoinstr analyse before --compare after                      two of them, module by module
  autoinstr analyse vllm_profile --format json -o modules.json
  autoinstr analyse vllm_profile --msprof-analyze ~/tools/bin/msprof-analyze --python /usr/local/bin/python3
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "analyse",
        "say what each module cost on an Ascend device",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument(
        "dir",
        metavar="DIR",
        type=place,
        help="a folder with profiles of torch_npu in it, at any depth, or one of them",
    )
    parser.add_argument(
        "--compare",
        metavar="DIR2",
        type=place,
        help="compare module by module: DIR is A, DIR2 is B",
    )
    parser.add_argument(
        "--format",
        default="table",
        metavar="FORMAT",
        type=one_of(FORMATS),
        help=f"{', '.join(FORMATS)} (default: table)",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        type=place,
        metavar="FILE",
        help="where to write; - is standard output; .gz compresses (default: -)",
    )
    parser.add_argument(
        "--table",
        default="modules",
        metavar="WHICH",
        type=one_of(TABLES),
        help=f"table and csv: {', '.join(TABLES)} (default: modules)",
    )
    orders = tuple(dict.fromkeys(SORTS + COMPARE_SORTS))
    parser.add_argument(
        "--sort",
        metavar="BY",
        type=one_of(orders),
        help=f"table: {', '.join(SORTS)}; with --compare: {', '.join(COMPARE_SORTS)} (default: tree)",
    )
    parser.add_argument(
        "--limit", metavar="N", type=whole_number, help="table: most lines; 0 is all (default: 30)"
    )
    parser.add_argument(
        "--rank", metavar="N", type=whole_number, help="only the profiles of this rank"
    )
    parser.add_argument(
        "--text",
        action="store_true",
        help="let torch_npu's analysis export text files as well (trace_view.json and CSV)",
    )
    parser.add_argument(
        "--python",
        metavar="PYTHON",
        help="a Python with torch_npu, for raw profiles (default: this one, or one on PATH)",
    )
    parser.add_argument(
        "--msprof-analyze",
        metavar="PROGRAM",
        help="the msprof-analyze to use (default: that of this environment, or one on PATH)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.device.ascend.analysis import Tools, analyse
    from autoinstr.report.ascend_modules import compare
    from autoinstr.report.output import check_target, opened

    _check(args)
    for path in filter(None, (args.dir, args.compare)):
        if not os.path.exists(path):
            raise AutoinstrError(f"{path}: no such directory")
    check_target(args.output)
    tools = Tools(args.msprof_analyze, args.python, "db,text" if args.text else "db")
    work = tempfile.mkdtemp(prefix="autoinstr-analyse-")
    try:
        found = analyse(args.dir, tools, work, args.rank)
        other = analyse(args.compare, tools, work, args.rank) if args.compare is not None else None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    both = [found] if other is None else [found, other]
    for one in both:
        _say_words(one)
    if other is not None and not (found.whole and other.whole):
        raise AutoinstrError(_failure(other if found.whole else found))
    with opened(args.output, binary=False) as stream:
        out = io.TextIOWrapper(
            stream, encoding="ascii" if args.format == "json" else "utf-8", newline=""
        )
        try:
            if other is None:
                _write(found, args, out)
            else:
                sides = compare.side(found), compare.side(other)
                if args.format == "table":
                    write_lines(compare.report(*sides, _look(args)), args.output, out)
                else:
                    (compare.write_json if args.format == "json" else compare.write_csv)(
                        *sides, out
                    )
        finally:
            out.flush()
            out.detach()
    if args.output != "-":
        say(f"wrote {args.output}")
    for one in both:
        if args.format != "table":
            _say_remarks(one)
    if not found.whole:
        raise AutoinstrError(_failure(found))
    return 0


def _check(args: argparse.Namespace) -> None:
    only_table(args, sort="tree", limit=30)
    if args.compare is None and args.sort not in SORTS:
        raise UsageError(f"--sort {args.sort}: is for --compare; there are: {', '.join(SORTS)}")
    if args.compare is not None and args.sort not in COMPARE_SORTS:
        raise UsageError(
            f"--sort {args.sort}: is no order of --compare; there are: {', '.join(COMPARE_SORTS)}"
        )
    if args.compare is not None and args.table != "modules":
        raise UsageError(f"--table {args.table}: --compare compares modules")
    if args.format == "json" and args.table != "modules":
        raise UsageError(
            "--table operators: is for the formats table and csv; json has operators anyway"
        )


def _write(found: Analysis, args: argparse.Namespace, out: io.TextIOWrapper) -> None:
    from autoinstr.report.ascend_modules import data, tables

    if args.format == "table":
        write_lines(tables.report(found, _look(args)), args.output, out)
    elif args.format == "json":
        data.write_json(found, out)
    else:
        data.write_csv(found, out, args.table)


def _look(args: argparse.Namespace) -> Look:
    from autoinstr.report.ascend_modules.tables import Look

    return Look(shutil.get_terminal_size((100, 24)).columns, args.limit, args.sort, args.table)


def _say_words(found: Analysis) -> None:
    """What the tools that failed said themselves."""
    for one in found.results:
        if one.words:
            say(f"{one.label} ({one.name}): {one.problem}; its last words:")
            for line in one.words:
                say(f"  | {line}")


def _say_remarks(found: Analysis) -> None:
    """The table has these in it; the other formats go to programs."""
    from autoinstr.report.ascend_modules.tables import remarks

    for line in remarks(found):
        say(f"warning: {line}")


def _failure(found: Analysis) -> str:
    from autoinstr.base.text import count

    first = found.results[0]
    more = (
        f" (and {count(len(found.results) - 1, 'more profile')} without one)"
        if len(found.results) > 1
        else ""
    )
    return f"{found.path}: no module table: {first.label}: {first.problem}{more}"
