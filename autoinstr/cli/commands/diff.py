"""`autoinstr diff A B`: compare two runs module by module, with an exit status for CI."""

from __future__ import annotations

import argparse
import io
import shlex
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli.arguments import (
    WordChoice,
    add_format_option,
    add_latest_option,
    add_output_option,
    add_process_option,
    apply_table_defaults,
    parse_path,
    parse_whole_number,
)
from autoinstr.cli.diff_sides import (
    TIMES,
    check_common_modules,
    check_phase_of_sides,
    choose_time,
    open_sides,
)
from autoinstr.cli.messages import print_message, write_lines
from autoinstr.cli.parser import add_command

if TYPE_CHECKING:
    from autoinstr.cli.parser import Parser
    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.gate import Verdict

FORMATS = ("table", "html", "json")
SORTS = ("difference", "ratio", "total", "tree")
MATCH_KEYS = ("path", "class")
GATE_SCOPES = ("whole", "modules")

DESCRIPTION = """\
Compare two runs module by module: before and after a change, two machines, or Ascend and
NVIDIA. A is the old run, B the new one. A module is compared with the one of the same
role, path and phase. Repeated layers are folded, even if one model has more of them. The
time per step is compared, so the runs may differ in length. Each difference has a 95 %
interval. docs/reference/diff.md says what is matched, and when a difference is noise."""

EXAMPLES = """\
  autoinstr diff runs/before runs/after                       the differences, the largest first
  autoinstr diff runs/before runs/after --phase decode        only what ran in decode steps
  autoinstr diff runs/before runs/after --sort tree           in the order of the model
  autoinstr diff runs/main runs/branch --fail-above 5%        for CI: fail if a step is 5 % slower
  autoinstr diff runs/llama runs/qwen --by class              two models with different structure
  autoinstr diff runs/before runs/after --time device         device time, from their profiles
  autoinstr diff runs/before runs/after --format html -o diff.html
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers, "diff", "compare two runs module by module", DESCRIPTION, EXAMPLES
    )
    parser.add_argument("a", metavar="A", type=parse_path, help="the old run directory or profile")
    parser.add_argument("b", metavar="B", type=parse_path, help="the new run directory or profile")
    add_format_option(parser, FORMATS)
    add_output_option(parser)
    parser.add_argument(
        "--fail-above",
        metavar="PERCENT",
        type=_parse_percent,
        help="exit status 1 if B is slower by more than this: 5%%",
    )
    parser.add_argument(
        "--fail-on",
        default="whole",
        metavar="WHAT",
        type=WordChoice(GATE_SCOPES),
        help="with --fail-above: judge whole steps, or the modules too (default: whole)",
    )
    add_latest_option(parser, "A or B")
    parser.add_argument(
        "--phase",
        metavar="PHASE",
        help="only what ran in this phase: prefill, decode, mixed, idle; "
        "none selects ranges without a phase",
    )
    add_process_option(parser)
    parser.add_argument(
        "--by",
        default="path",
        metavar="WHAT",
        type=WordChoice(MATCH_KEYS),
        help="match modules by path or by class (default: path)",
    )
    parser.add_argument(
        "--time",
        metavar="WHAT",
        type=WordChoice(TIMES),
        help="host or device: with device, the kernels of the profiles below A and B, or of A and "
        "B themselves (default: host; device if A or B is a profile)",
    )
    parser.add_argument(
        "--sort",
        metavar="BY",
        type=WordChoice(SORTS),
        help=f"table: {', '.join(SORTS)} (default: difference)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=parse_whole_number,
        help="table: the most modules; 0 shows all (default: 20)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.diff import table
    from autoinstr.diff.gate import judge
    from autoinstr.report.formats import find_format_by_ending
    from autoinstr.report.output import check_target, open_output

    args.format = args.format or find_format_by_ending(args.output, FORMATS) or "table"
    apply_table_defaults(args, sort="difference", limit=20)
    check_target(args.output)
    comparison = _compare(args)
    verdict = None
    if args.fail_above is not None:
        verdict = judge(comparison, args.fail_above, args.fail_on == "modules")
    with open_output(args.output, binary=args.format == "html") as stream:
        encoding = "ascii" if args.format == "json" else "utf-8"
        text = io.TextIOWrapper(stream, encoding=encoding, errors="backslashreplace", newline="")
        try:
            _write(comparison, verdict, args, text)
        finally:
            text.flush()
            text.detach()
    if args.output != "-":
        print_message(f"wrote {args.output}")
    for line in table.list_remarks(comparison) if args.format != "table" else ():
        print_message(f"warning: {line}")
    check_common_modules(comparison)
    if verdict is not None:
        _check_verdict(verdict, args.fail_above)
    return 0


def _compare(args: argparse.Namespace) -> Comparison:
    from autoinstr.analysis.phase_names import check_phase
    from autoinstr.base.progress import Progress
    from autoinstr.diff.comparison import compare_runs

    with ExitStack() as stack:
        first, second = open_sides(args, choose_time(args), stack)
        a, b = first.run, second.run
        if args.phase is not None:
            check_phase(args.phase, [a, b])
        devices = None
        if first.device is not None and second.device is not None:
            devices = first.device, second.device
        description = f"diff of {a.path} and {b.path}"
        progress = Progress(sys.stderr, description, "records", total=a.capacity + b.capacity)
        by_class = args.by == "class"
        try:
            comparison = compare_runs(
                a, b, progress.tick, phase=args.phase, by_class=by_class, devices=devices
            )
        finally:
            progress.finish()
    if args.phase is not None and not comparison.has_common_modules:
        check_phase_of_sides(comparison, args.phase)
    return comparison


def _write(
    comparison: Comparison,
    verdict: Verdict | None,
    args: argparse.Namespace,
    text: io.TextIOWrapper,
) -> None:
    from autoinstr.diff import data, page, table
    from autoinstr.report.options import build_options

    if args.format == "table":
        options = build_options(args.output, limit=args.limit, sort=args.sort)
        lines = table.format_diff(comparison, options, _format_command(args))
        write_lines(lines, args.output, text)
    elif args.format == "html":
        page.write_page(comparison, text, args.fail_above, verdict)
    else:
        data.write_json(data.build_contents(comparison, args.fail_above, verdict), text)


def _check_verdict(verdict: Verdict, fail_above: float) -> None:
    """Raise AutoinstrError if `--fail-above` fails; print what it could not judge."""
    from autoinstr.base.text import limit_lines
    from autoinstr.diff.gate import describe_line

    for line in limit_lines([f"not judged: {describe_line(line)}" for line in verdict.unjudged]):
        print_message(line)
    if verdict.failed:
        count = len(verdict.failed) - 1
        suffix = f" (and {count} more)" if count else ""
        slowest = describe_line(verdict.failed[0])
        raise AutoinstrError(f"slower by more than {100 * fail_above:g} %: {slowest}{suffix}")
    if not verdict.is_conclusive:
        raise AutoinstrError(
            f"--fail-above: only {100 * verdict.judged_share:.0f} % of the time could be judged; "
            "record more steps"
        )


def _format_command(args: argparse.Namespace) -> str:
    """Return the command of the same comparison, without its format."""
    words = ["autoinstr", "diff", args.a, args.b]
    if args.latest:
        words.append("--latest")
    for option in ("phase", "process", "time"):
        if getattr(args, option) is not None:
            words += [f"--{option}", getattr(args, option)]
    if args.by != "path":
        words += ["--by", args.by]
    return shlex.join(words)


def _parse_percent(word: str) -> float:
    """Return a share: "5%", "5 %" and "5" are 0.05."""
    text = word.strip()
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!a} is not a percentage such as 5%")
    if 0 < value < 1 and not text.endswith("%"):
        raise argparse.ArgumentTypeError(
            f"{word!a}: is it {100 * value:g}% or {value:g}%? write it with the percent sign"
        )
    return value / 100
