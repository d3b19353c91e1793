"""`autoinstr diff A B`: two runs, module by module, and an exit status for CI."""

from __future__ import annotations

import argparse
import io
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.arguments import one_of, only_table, place, whole_number
from autoinstr.cli.messages import say, write_lines
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    from autoinstr.cli.parser import Parser
    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.gate import Verdict
    from autoinstr.recording.reader import Run

FORMATS = ("table", "html", "json")
SORTS = ("difference", "ratio", "total", "tree")
BY = ("path", "class")
FAIL_ON = ("whole", "modules")

DESCRIPTION = """\
Compare two runs module by module: before and after a change, two machines, Ascend
against NVIDIA. A is what was, B is what is. A module stands against the one of the same
role, path and phase; layers are folded and stand against each other even where one model
has more of them. What is compared is the time in a step, so runs may be of different
lengths, and each difference has a 95 % interval. What is matched, what a step is, how a
difference is told from noise and every figure: docs/diff.md."""

EXAMPLES = """\
  autoinstr diff runs/before runs/after                       what changed, the largest difference first
  autoinstr diff runs/before runs/after --phase decode        only what ran in decode steps
  autoinstr diff runs/before runs/after --sort tree           in the order of the model
  autoinstr diff runs/main runs/branch --fail-above 5%        exit status 1 if a step takes 5 % longer: for CI
  autoinstr diff runs/llama runs/qwen --by class              two models of other layout
  autoinstr diff runs/before runs/after --format html -o diff.html
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers, "diff", "compare two runs module by module", DESCRIPTION, EXAMPLES
    )
    parser.add_argument("a", metavar="A", type=place, help="a run directory: what was")
    parser.add_argument("b", metavar="B", type=place, help="a run directory: what is")
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
        "--fail-above",
        metavar="PERCENT",
        type=_percent,
        help="exit status 1 if B is slower by more than that: 5%%",
    )
    parser.add_argument(
        "--fail-on",
        default="whole",
        metavar="WHAT",
        type=one_of(FAIL_ON),
        help="with --fail-above: whole steps, or any of the modules too (default: whole)",
    )
    parser.add_argument(
        "--latest", action="store_true", help="where A or B holds several runs, take the newest"
    )
    parser.add_argument(
        "--phase",
        metavar="PHASE",
        help="only what ran in this phase: prefill, decode, mixed, idle; none is what is in none",
    )
    parser.add_argument(
        "--process",
        metavar="WHICH",
        help='only the processes of this pid, role (Worker) or rank ("rank 3")',
    )
    parser.add_argument(
        "--by",
        default="path",
        metavar="WHAT",
        type=one_of(BY),
        help="match modules by path or by class (default: path)",
    )
    parser.add_argument(
        "--sort",
        metavar="BY",
        type=one_of(SORTS),
        help=f"table: {', '.join(SORTS)} (default: difference)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=whole_number,
        help="table: most modules; 0 is all (default: 20)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.analysis.stats import check_phase
    from autoinstr.base.progress import Progress
    from autoinstr.diff import data, page, table
    from autoinstr.diff.comparison import compare_runs
    from autoinstr.diff.gate import judge
    from autoinstr.report.output import check_target, opened

    only_table(args, sort="difference", limit=20)
    check_target(args.output)
    a, b = (_found(path, args) for path in (args.a, args.b))
    if args.phase is not None:
        check_phase(args.phase, [a, b])
    progress = Progress(
        sys.stderr, f"diff of {a.path} and {b.path}", "records", total=a.capacity + b.capacity
    )
    try:
        found = compare_runs(a, b, progress.tick, phase=args.phase, by_class=args.by == "class")
    finally:
        progress.done()
    if args.phase is not None and not found.in_common:
        _check_phase(found, args.phase)
    verdict = (
        judge(found, args.fail_above, args.fail_on == "modules")
        if args.fail_above is not None
        else None
    )
    with opened(args.output, binary=args.format == "html") as stream:
        out = io.TextIOWrapper(
            stream,
            encoding="ascii" if args.format == "json" else "utf-8",
            errors="backslashreplace",
            newline="",
        )
        try:
            if args.format == "table":
                look = table.Look(
                    shutil.get_terminal_size((100, 24)).columns, args.limit, args.sort
                )
                write_lines(table.report(found, look, _command(args)), args.output, out)
            elif args.format == "html":
                page.write(found, out, args.fail_above, verdict)
            else:
                data.write(data.contents(found, args.fail_above, verdict), out)
        finally:
            out.flush()
            out.detach()
    if args.output != "-":
        say(f"wrote {args.output}")
    if args.format != "table":
        for line in table.remarks(found):
            say(f"warning: {line}")
    _check_common(found)
    if verdict is not None:
        _check(verdict, args.fail_above)
    return 0


def _check_phase(found: Comparison, phase: str) -> None:
    """AutoinstrError where a side has nothing of this phase: there is nothing to show either."""
    for word, side in (("A", found.a), ("B", found.b)):
        if side.ranges and phase not in side.phases:
            raise AutoinstrError(
                f"nothing to compare: in {word} no range has the phase {phase!a}; it has: {', '.join(side.phases)}"
            )


def _check_common(found: Comparison) -> None:
    if found.in_common:
        return
    for word, side in (("A", found.a), ("B", found.b)):
        if not side.ranges:
            raise AutoinstrError(f"nothing to compare: {word} ({side.run.path}) recorded nothing")
    raise AutoinstrError(
        f"nothing in common: no module of {found.a.run.path} was called in {found.b.run.path} (try --by class)"
    )


def _check(verdict: Verdict, above: float) -> None:
    """Raise where `--fail-above` is to fail; say what it could not judge."""
    from autoinstr.base.text import few
    from autoinstr.diff.gate import describe

    for line in few([f"not judged: {describe(line)}" for line in verdict.unjudged]):
        say(line)
    if verdict.failed:
        more = f" (and {len(verdict.failed) - 1} more)" if len(verdict.failed) > 1 else ""
        raise AutoinstrError(
            f"slower by more than {100 * above:g} %: {describe(verdict.failed[0])}{more}"
        )
    if not verdict.enough:
        raise AutoinstrError(
            f"--fail-above: only {100 * verdict.judged:.0f} % of the time could be judged; record more steps"
        )


def _found(path: str, args: argparse.Namespace) -> Run:
    from autoinstr.analysis.runs import find, only

    found = find(path, latest=args.latest, command="")
    return only(found, args.process) if args.process is not None else found


def _command(args: argparse.Namespace) -> str:
    """The same comparison, for another format."""
    words = ["autoinstr", "diff", args.a, args.b, *(["--latest"] if args.latest else [])]
    for option in ("phase", "process"):
        if getattr(args, option) is not None:
            words += [f"--{option}", getattr(args, option)]
    return " ".join(map(shlex.quote, [*words, *(["--by", args.by] if args.by != "path" else [])]))


def _percent(word: str) -> float:
    """ "5%", "5 %" and "5" are 0.05."""
    plain = word.strip()
    try:
        value = float(plain.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!a} is not a percentage such as 5%")
    if 0 < value < 1 and not plain.endswith("%"):
        raise argparse.ArgumentTypeError(
            f"{word!a}: is it {100 * value:g}% or {value:g}%? write it with the percent sign"
        )
    return value / 100
