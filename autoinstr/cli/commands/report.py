"""`autoinstr report DIR`: show the time of each module, as a table, as data or as a timeline."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError
from autoinstr.cli.arguments import (
    add_format_option,
    add_latest_option,
    add_process_option,
    parse_path,
)
from autoinstr.cli.joined_profiles import join_named_profiles, set_named_peak
from autoinstr.cli.messages import print_message
from autoinstr.cli.parser import add_command
from autoinstr.cli.report_options import add_format_options, choose_sort, collect_own_options
from autoinstr.report.formats import FORMATS, NICKNAMES, find_format_by_ending

if TYPE_CHECKING:
    import argparse

    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.cli.parser import Parser
    from autoinstr.device.profile_kinds import FoundProfile
    from autoinstr.recording.run import Run
    from autoinstr.report.formats import Format

DESCRIPTION = """\
Read a run directory and show the time of each module. The table folds repeated layers
into one line. 'total' is the time in a module, 'self' the time outside the modules that
it called, and 'share' is total without waiting, divided by the busy time of the process.
For vLLM, --table shows requests or engine steps. The ending of -o chooses the format.
docs/reference/formats.md describes all formats and columns."""

EXAMPLES = """\
  autoinstr report autoinstr-runs/<run>                      the time of each module, on one screen
  autoinstr report autoinstr-runs --latest --sort self       the newest run, by self time
  autoinstr report autoinstr-runs/<run> --process "rank 0"   one process of several
  autoinstr report autoinstr-runs/<run> --phase decode       only what ran in decode steps
  autoinstr report autoinstr-runs/<run> --table requests     a line for each request to vLLM
  autoinstr report autoinstr-runs/<run> --format html        everything on one page, for a browser
  autoinstr report autoinstr-runs/<run> --format pftrace     a timeline, for https://ui.perfetto.dev
  autoinstr report autoinstr-runs/<run> --format json -o -   every figure, for a program
  autoinstr report trace.json.gz                             device time of any torch.profiler trace
  autoinstr report autoinstr-runs/<run> --format ascend-db --kineto trace.json
                                                             a database for MindStudio Insight
  autoinstr report autoinstr-runs/<run> --format parquet     files for DuckDB, pandas or Spark
  autoinstr report autoinstr-runs/<run> --on ray             read a thousand ranks on a Ray cluster
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "report",
        "show the time of each module: a table, a page, data, or a timeline",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument(
        "dir",
        metavar="DIR",
        type=parse_path,
        help="a run directory (it contains *.airec files), or a directory that contains one; or a "
        "profile: a trace of torch.profiler, or a folder or database of torch_npu",
    )
    add_format_option(parser, tuple(FORMATS), NICKNAMES)
    files = ", ".join(row.default_file for row in FORMATS.values() if row.default_file)
    folders = ", ".join(row.name for row in FORMATS.values() if row.writes_folder)
    parser.add_argument(
        "-o",
        "--output",
        type=parse_path,
        metavar="FILE",
        help="the file to write; - is standard output; .gz compresses (default: standard output, "
        f"or in DIR: {files}). For {folders}: the directory to write folders in",
    )
    add_latest_option(parser)
    add_process_option(parser)
    add_format_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from autoinstr.analysis.runs import list_recording_files, list_runs
    from autoinstr.device.profile_kinds import find_profiles

    args.format = args.format or find_format_by_ending(args.output or "") or "table"
    row = FORMATS[args.format]
    sort = choose_sort(args, row)
    profiles = []
    if not list_recording_files(args.dir) and not list_runs(args.dir):
        profiles = find_profiles(args.dir)
    if profiles:
        _report_profiles(args, row, sort, profiles)
    else:
        _report_run(args, row, sort)
    return 0


def _report_profiles(
    args: argparse.Namespace, row: Format, sort: str, profiles: list[FoundProfile]
) -> None:
    """Report profiles without a recording."""
    from autoinstr.analysis.profile_run import ProfileRun
    from autoinstr.base.progress import Progress
    from autoinstr.device.profile_kinds import analyse_raw_profiles

    needing = f"--format {row.name}" if row.writes_folder else args.on and f"--on {args.on}"
    if needing:
        raise UsageError(f"{needing}: needs the recordings of a run, and {args.dir} is a profile")
    profiles = analyse_raw_profiles(profiles, args.dir)
    progress = Progress(sys.stderr, args.dir, "events")
    try:
        profile_run = ProfileRun(
            args.dir,
            profiles,
            args.capture or (),
            progress.tick,
            with_kernels=row.shows_kernels,
        )
    finally:
        progress.finish()
    with profile_run:
        _write_file(args, row, sort, profile_run.run, profile_run.device)


def _report_run(args: argparse.Namespace, row: Format, sort: str) -> None:
    from autoinstr.analysis.phase_names import check_phase
    from autoinstr.analysis.runs import find_run, select_processes

    source_run = find_run(args.dir, latest=args.latest)
    if args.phase is not None:
        check_phase(args.phase, [source_run])
    if args.process is not None:
        source_run = select_processes(source_run, args.process)
    with ExitStack() as stack:
        device = None
        if "profile" in row.options:
            device = join_named_profiles(args, source_run, with_kernels=row.shows_kernels)
        if device is not None:
            stack.callback(device.close)
        if row.writes_folder:
            _write_folder(args, row, source_run, device)
            return
        if args.on is not None:
            from autoinstr.cluster.ray_runner import RayRunner

            runner = stack.enter_context(RayRunner(args.on, print_message))
            source_run = source_run._replace(runner=runner)
        _write_file(args, row, sort, source_run, device)


def _write_file(
    args: argparse.Namespace,
    row: Format,
    sort: str,
    source_run: Run,
    device: RunDevice | None = None,
) -> None:
    from autoinstr.base.progress import Progress
    from autoinstr.base.text import format_count
    from autoinstr.report.options import build_options
    from autoinstr.report.output import open_output
    from autoinstr.report.terminal.screen_fit import count_screen_lines

    set_named_peak(args, device)
    target = args.output or (
        os.path.join(source_run.path, row.default_file) if row.default_file else "-"
    )
    limit = args.limit if args.limit is not None else 30 if args.format == "table" else 0
    height = shutil.get_terminal_size((100, 0)).lines
    options = build_options(
        target,
        limit=limit,
        sort=sort,
        table=args.table,
        phase=args.phase,
        device=device,
        screen_lines=0 if args.limit is not None else count_screen_lines(height),
    )
    # requests are read from marks; a record is a range or a mark
    reads_marks = args.table == "requests"
    unit = "mark" if reads_marks else "record"
    total = 0 if reads_marks else source_run.capacity
    progress = Progress(sys.stderr, f"{args.format} of {source_run.path}", f"{unit}s", total=total)
    try:
        with open_output(target, binary=row.binary) as stream:
            remarks = row.write(
                source_run, stream, options, progress.tick, **collect_own_options(args, row)
            )
    finally:
        progress.finish()
    if target != "-":
        size = os.path.getsize(target) if os.path.isfile(target) else 0
        unpack = "unpack it, then " if row.unpack_first and target.endswith(".gz") else ""
        hint = f"; {unpack}{row.hint}" if row.hint else ""
        records = format_count(progress.count, unit)
        print_message(f"wrote {target} ({records}, {size / 1e6:,.1f} MB){hint}")
    for remark in remarks or ():
        print_message(remark)
    if not row.shows_warnings:
        _print_warnings(source_run)


def _write_folder(
    args: argparse.Namespace, row: Format, source_run: Run, device: RunDevice | None
) -> None:
    from autoinstr.base.progress import Progress
    from autoinstr.report.options import TableOptions

    directory = args.output or os.path.join(source_run.path, row.file_name).rstrip("/")
    if directory == "-" or os.path.isfile(directory):
        raise UsageError(f"-o {directory}: {args.format} writes folders; give a directory")
    set_named_peak(args, device)
    own_options = collect_own_options(args, row)
    description = f"{args.format} of {source_run.path}"
    progress = Progress(sys.stderr, description, total=source_run.capacity)
    if args.kineto:
        progress = Progress(sys.stderr, description, "ranges and events")
    try:
        options = TableOptions(device=device)
        remarks = row.write(source_run, directory, options, progress.tick, **own_options)
    finally:
        progress.finish()
    _print_warnings(source_run)
    for remark in remarks or ():
        print_message(remark)


def _print_warnings(source_run: Run) -> None:
    """Print what was wrong with the recordings. The table contains these lines itself."""
    from autoinstr.analysis.clock import describe_alignment
    from autoinstr.analysis.dropped_ranges import describe_dropped_ranges

    for line in describe_alignment(source_run.recordings):
        print_message(line)
    problems = [problem for recording in source_run.recordings for problem in recording.problems]
    for problem in [*source_run.problems, *problems]:
        print_message(f"warning: {problem}")
    for recording in source_run.recordings:
        dropped_ranges = describe_dropped_ranges(recording)
        if dropped_ranges:
            print_message(f"warning: {recording.file}: {dropped_ranges}")
