"""`autoinstr report DIR`: what each module cost, as a table, as data or as a timeline."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError
from autoinstr.cli.arguments import one_of, place, whole_number
from autoinstr.cli.messages import say
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser
    from autoinstr.recording.reader import Run

FORMATS = ("table", "html", "json", "csv", "pftrace", "chrome", "speedscope", "ascend-db")
NAMES = ("class", "path", "path:class")
# Tables, and their orders: the first is the default.
SORTS = {
    "modules": ("tree", "total", "self", "calls", "mean"),
    "requests": ("arrival", "queue", "ttft", "tpot", "e2e"),
    "steps": ("start", "duration", "schedule", "execute", "sample", "update", "gap"),
}
ROWS_OF_PHASES = ("table", "json", "csv")

EXAMPLES = """\
  autoinstr report autoinstr-runs/<run>                          which module costs what, on one screen
  autoinstr report autoinstr-runs --latest --sort self           the newest run, by time in the module itself
  autoinstr report autoinstr-runs/<run> --process "rank 0"       one process of several
  autoinstr report autoinstr-runs/<run> --phase decode           only what ran in decode steps
  autoinstr report autoinstr-runs/<run> --table requests         a line for each request that vLLM served; or steps
  autoinstr report autoinstr-runs/<run> --format html            everything on one page, for a browser
  autoinstr report autoinstr-runs/<run> --format pftrace         a timeline, for https://ui.perfetto.dev
  autoinstr report autoinstr-runs/<run> --format json -o -       every figure, for a program
  autoinstr report autoinstr-runs/<run> --format ascend-db --kineto trace.json    for MindStudio Insight and msprof-analyze
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "report",
        "say what each module cost: a table, a page, data, or a timeline",
        "Read a run directory and say what each module cost. The table folds repeated layers into one line; the time in\n"
        "a module is 'total', outside the modules that it called 'self', and 'share' is total by all time inside ranges of the same\n"
        "process and domain. Of vLLM there is also a line for each request and for each engine step (--table). All formats and every\n"
        "column: docs/reports.md.",
        EXAMPLES,
    )
    parser.add_argument(
        "dir",
        metavar="DIR",
        type=place,
        help="a run directory (holds *.airec files), or a directory that holds one",
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
        type=place,
        metavar="FILE",
        help="where to write; - is standard output; .gz compresses (default: standard output; html: report.html in DIR; timelines: "
        "report.pftrace, report.chrome.json, report.speedscope.json there). For ascend-db a directory: where to make its folders",
    )
    parser.add_argument(
        "--latest", action="store_true", help="where DIR holds several runs, take the newest"
    )
    parser.add_argument(
        "--process",
        metavar="WHICH",
        help='only the processes of this pid, role (Worker) or rank ("rank 3")',
    )
    parser.add_argument(
        "--table",
        default="modules",
        metavar="WHICH",
        type=one_of(tuple(SORTS)),
        help=f"table and csv: {', '.join(SORTS)} (default: modules)",
    )
    parser.add_argument(
        "--phase",
        metavar="PHASE",
        help="only what ran in this phase: prefill, decode, mixed, idle; none is what is in none",
    )
    orders = tuple(dict.fromkeys(word for words in SORTS.values() for word in words))
    parser.add_argument(
        "--sort",
        metavar="BY",
        type=one_of(orders),
        help="table and csv; "
        + "; ".join(f"{table}: {', '.join(words)}" for table, words in SORTS.items())
        + " (default: the first of each)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=whole_number,
        help="table and csv: most lines, of each table, of requests, of steps; 0 is all (default: one screen; requests and steps: 30; "
        "csv: all)",
    )
    parser.add_argument(
        "--kineto",
        metavar="TRACE",
        action="append",
        help="ascend-db: a torch.profiler trace of the same run (.json, .gz) for operators, kernels and links; once for each process",
    )
    parser.add_argument(
        "--name",
        metavar="HOW",
        type=one_of(NAMES),
        help=f"ascend-db: what a module is called: {', '.join(NAMES)} (default: class)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.analysis.runs import find, only
    from autoinstr.analysis.stats import check_phase
    from autoinstr.base.progress import Progress
    from autoinstr.base.text import count
    from autoinstr.report.formats import FORMATS as WRITERS
    from autoinstr.report.output import opened
    from autoinstr.report.terminal.modules_table import Look
    from autoinstr.report.terminal.screen_fit import lines_of

    sort = _sort_of(args)
    limit = args.limit if args.limit is not None else 30 if args.format == "table" else 0
    found = find(args.dir, latest=args.latest)
    if args.phase is not None:
        check_phase(args.phase, [found])
    if args.process is not None:
        found = only(found, args.process)
    if args.format == "ascend-db":
        from autoinstr.cli.commands import report_ascend_db

        lines = report_ascend_db.run(args, found)
        _say_problems(found)
        for line in lines:
            say(line)
        return 0
    chosen = WRITERS[args.format]
    target = args.output or (
        os.path.join(found.path, chosen.default_file) if chosen.default_file else "-"
    )
    terminal = shutil.get_terminal_size((100, 0))
    look = Look(
        terminal.columns,
        "utf-8",
        limit,
        sort,
        args.table,
        args.phase,
        0 if args.limit is not None else lines_of(terminal.lines),
    )
    if target == "-":
        look = look._replace(encoding=getattr(sys.stdout, "encoding", None) or "ascii")
    most = 0 if args.table == "requests" else found.capacity  # requests are read from marks
    what = "mark" if args.table == "requests" else "record"  # a record is a range or a mark
    progress = Progress(sys.stderr, f"{args.format} of {found.path}", f"{what}s", total=most)
    try:
        with opened(target, binary=chosen.binary) as stream:
            remarks = chosen.write(found, stream, look, progress.tick) or []
    finally:
        progress.done()
    if target != "-":
        size = os.path.getsize(target) if os.path.isfile(target) else 0
        hint = (
            f"unpack it, then {chosen.hint}"
            if chosen.unpacked and target.endswith(".gz")
            else chosen.hint
        )
        say(
            f"wrote {target} ({count(progress.count, what)}, {size / 1e6:,.1f} MB){'; ' if hint else ''}{hint}"
        )
    for remark in remarks:
        say(remark)
    if args.format != "table":
        _say_problems(found)
    return 0


def _sort_of(args: argparse.Namespace) -> str:
    """The order asked for, or the default; UsageError for options that do not go together."""
    orders = SORTS[args.table]
    for option in ("kineto", "name"):
        if getattr(args, option) is not None and args.format != "ascend-db":
            raise UsageError(f"--{option}: is for the format ascend-db, not for {args.format}")
    if args.table != "modules" and args.format not in ("table", "csv"):
        more = "; json has requests and steps anyway" if args.format == "json" else ""
        raise UsageError(
            f"--table {args.table}: is for the formats table and csv, not for {args.format}{more}"
        )
    if args.phase is not None and (args.table == "requests" or args.format not in ROWS_OF_PHASES):
        whole = (
            "the page has all phases"
            if args.format == "html"
            else f"a timeline ({args.format}) is always whole"
        )
        what = "requests go through all phases" if args.table == "requests" else whole
        raise UsageError(f"--phase {args.phase}: {what}")
    for option in ("sort", "limit"):
        if getattr(args, option) is not None and args.format not in ("table", "csv"):
            raise UsageError(
                f"--{option} {getattr(args, option)}: is for the formats table and csv; {args.format} is always whole"
            )
    if args.sort is not None and args.sort not in orders:
        raise UsageError(
            f"--sort {args.sort}: is no order of {args.table}; there are: {', '.join(orders)}"
        )
    return args.sort or orders[0]


def _say_problems(found: Run) -> None:
    """The table has these in it; the other formats go to programs."""
    from autoinstr.analysis.clock import alignment_lines
    from autoinstr.base.text import count

    for line in alignment_lines(found.recordings):
        say(line)
    for problem in [
        *found.problems,
        *(problem for recording in found.recordings for problem in recording.problems),
    ]:
        say(f"warning: {problem}")
    for recording in found.recordings:
        if recording.dropped:
            say(
                f"warning: {recording.file}: {count(recording.dropped, 'range')} dropped, the recording was full (option max_mb)"
            )
