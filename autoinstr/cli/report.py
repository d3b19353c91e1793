"""`autoinstr report DIR`: what each module cost, as a table, as data or as a timeline."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import TYPE_CHECKING, Callable

from autoinstr.cli import add_command
from autoinstr.texts import nearest

if TYPE_CHECKING:
    from autoinstr.cli import Parser
    from autoinstr.recording.reader import Run

FORMATS = ("table", "json", "csv", "pftrace", "chrome")
SORTS = ("tree", "total", "self", "calls", "mean")

EXAMPLES = """\
  autoinstr report autoinstr-runs/<run>                          which module costs what, on one screen
  autoinstr report autoinstr-runs --latest --sort self           the newest run, by time in the module itself
  autoinstr report autoinstr-runs/<run> --process "rank 0"       one process of several
  autoinstr report autoinstr-runs/<run> --format pftrace         a timeline, for https://ui.perfetto.dev
  autoinstr report autoinstr-runs/<run> --format json -o -       every figure, for a program
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "report",
        "say what each module cost: a table, data, or a timeline",
        "Read a run directory and say what each module cost. The table folds repeated layers into one line; 'self' is the time in\n"
        "a module outside the modules that it called, 'share' is of all time inside ranges. All formats: docs/reports.md.",
        EXAMPLES,
    )
    parser.add_argument("dir", metavar="DIR", help="a run directory (holds *.airec files), or a directory that holds one")
    parser.add_argument("--format", default="table", metavar="FORMAT", type=_one_of(FORMATS), help=f"{', '.join(FORMATS)} (default: table)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write; - is standard output; .gz compresses (default: standard output; pftrace and chrome: report.pftrace and "
        "report.chrome.json in DIR)",
    )
    parser.add_argument("--latest", action="store_true", help="where DIR holds several runs, take the newest")
    parser.add_argument("--process", metavar="WHICH", help='only the processes of this pid, role (Worker) or rank ("rank 3")')
    parser.add_argument("--sort", default="tree", metavar="BY", type=_one_of(SORTS), help=f"table: {', '.join(SORTS)} (default: tree)")
    parser.add_argument("--limit", default=30, metavar="N", type=_count, help="table: most lines for one process; 0 is all (default: 30)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.report.formats import FORMATS as WRITERS
    from autoinstr.report.output import opened
    from autoinstr.report.progress import Progress
    from autoinstr.report.runs import find, only
    from autoinstr.report.table import Look

    chosen = WRITERS[args.format]
    found = find(args.dir, latest=args.latest)
    if args.process is not None:
        found = only(found, args.process)
    target = args.output or (os.path.join(found.path, chosen.default_file) if chosen.default_file else "-")
    look = Look(shutil.get_terminal_size((100, 24)).columns, "utf-8", args.limit, args.sort)
    if target == "-":
        look = look._replace(encoding=getattr(sys.stdout, "encoding", None) or "ascii")
    progress = Progress(sys.stderr, f"{args.format} of {found.path}")
    try:
        with opened(target, binary=chosen.binary) as stream:
            chosen.write(found, stream, look, progress.tick)
    finally:
        progress.done()
    if target != "-":
        size = os.path.getsize(target) if os.path.isfile(target) else 0
        _say(f"wrote {target} ({progress.count:,} ranges, {size / 1e6:,.1f} MB){'; ' if chosen.hint else ''}{chosen.hint}")
    if args.format != "table":
        _say_problems(found)
    return 0


def _say_problems(found: Run) -> None:
    """The table has these in it; the other formats go to programs."""
    for problem in [*found.problems, *(problem for recording in found.recordings for problem in recording.problems)]:
        _say(f"warning: {problem}")
    for recording in found.recordings:
        if recording.dropped:
            _say(f"warning: {recording.file}: {recording.dropped:,} ranges were dropped, the recording was full (option max_mb)")


def _say(line: str) -> None:
    if sys.stderr is not None:  # print() would take None for standard output
        print(f"autoinstr: {line}", file=sys.stderr)


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """An argument type that answers a wrong word with the nearest right one, not with all of them."""

    def checked(word: str) -> str:
        if word not in choices:
            near = nearest(word, choices)
            raise argparse.ArgumentTypeError(f"{word!a} is none of {', '.join(choices)}" + (f"; did you mean {near!r}?" if near else ""))
        return word

    return checked


def _count(word: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        raise argparse.ArgumentTypeError(f"{word!a} is not a whole number (0 or more)")
    return int(word)
